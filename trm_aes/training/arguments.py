"""Training arguments: those of Transformers, with defaults for essay scoring, and the few that deep supervision adds."""

from dataclasses import dataclass, field

from transformers import TrainingArguments


@dataclass
class TRMTrainingArguments(TrainingArguments):
    """
    `TrainingArguments` plus what is particular to a TRM. Validates and saves every `eval_every_epochs` epochs, and ends
    with the model of the best mean QWK.
    """

    # An optimizer step is one supervision step, so the published betas and warm-up are in units of those.
    adam_beta2: float = field(default=0.95, metadata={"help": "Beta2 of AdamW (published: 0.95)."})
    warmup_steps: float = field(
        default=0.05, metadata={"help": "Warm-up: a share of all steps if below 1, else steps."}
    )
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "Learning-rate schedule after the warm-up."})
    eval_strategy: str = field(default="epoch", metadata={"help": "When to validate: epoch, steps or no."})
    save_strategy: str = field(default="epoch", metadata={"help": "When to save a checkpoint: epoch, steps or no."})
    save_total_limit: int | None = field(default=2, metadata={"help": "Checkpoints kept, the best among them."})
    load_best_model_at_end: bool = field(default=True, metadata={"help": "End with the best model, not the last."})
    metric_for_best_model: str | None = field(default="mean_qwk", metadata={"help": "What makes a model the best."})
    greater_is_better: bool | None = field(default=True, metadata={"help": "Whether more of that is better."})
    logging_steps: float = field(default=50, metadata={"help": "Steps from one line of the log to the next."})
    # TRMTrainer stops at such a loss; to filter each step's would be to wait for it.
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "See the Trainer's."})
    remove_unused_columns: bool = field(default=False, metadata={"help": "The collator chooses columns itself."})
    hub_strategy: str = field(default="end", metadata={"help": "What --push_to_hub publishes: end, or more."})
    # Every weight takes part in every step, so DDP need not look for idle ones.
    ddp_find_unused_parameters: bool | None = field(default=False, metadata={"help": "See torch's DDP."})

    embedding_learning_rate: float | None = field(
        default=None, metadata={"help": "Learning rate of the word embeddings; that of the core if not given."}
    )
    ema_decay: float = field(
        default=0.999,
        metadata={"help": "Decay of the moving average of weights used for evaluation and saving; 0 for none."},
    )
    halt_exploration_prob: float = field(
        default=0.1,
        metadata={"help": "Chance that an essay goes on for a random least number of steps, whatever halting says."},
    )
    eval_every_epochs: int = field(
        default=1, metadata={"help": "Epochs from one validation and checkpoint to the next."}
    )
    early_stopping_patience: int | None = field(
        default=None,
        metadata={"help": "Validations without a better mean QWK before training stops; off if not given."},
    )

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"--ema_decay must lie in [0, 1), got {self.ema_decay}.")
        if not 0 <= self.halt_exploration_prob <= 1:
            raise ValueError(f"--halt_exploration_prob is a probability, got {self.halt_exploration_prob}.")
        if self.eval_every_epochs < 1:
            raise ValueError(f"--eval_every_epochs must be at least 1, got {self.eval_every_epochs}.")
        if self.early_stopping_patience is not None and not self.load_best_model_at_end:
            raise ValueError("--early_stopping_patience needs --load_best_model_at_end true.")
