"""Arguments of a training run: the run's own, and the Trainer's with defaults for essay scoring and deep supervision."""

from dataclasses import dataclass, field
from pathlib import Path

from transformers import TrainingArguments

from ..bounds import check_bounds
from ..presets import DEFAULT_RECIPE
from ..version import check_sharding

NO_EMBEDDINGS = "none"
NO_COLUMNS = "none"
AUTO_HARDWARE = "auto"


@dataclass(frozen=True)
class RunArguments:
    """What is trained, and on what data, as a user says it; the rest are the model's and the Trainer's own arguments."""

    data: str = field(metadata={"help": "Data set that `trm-aes build` wrote."})
    recipe: str = field(
        default=DEFAULT_RECIPE,
        metadata={"help": "Recipe (what is trained, and how): a preset, or the path of a JSON file of your own."},
    )
    hardware: str = field(
        default=AUTO_HARDWARE, metadata={"help": "Hardware preset, or auto: the first of cuda, mps, cpu there is."}
    )
    embeddings: str | None = field(
        default=None,
        metadata={
            "help": "Encoder whose word embeddings to start from (Hub name or folder), or none; bert-base-uncased if not "
            "given. For recipes without --encoder."
        },
    )
    rescale_embeddings: bool | None = field(
        default=None,
        metadata={"help": "Scale the copied embeddings to a root mean square of 1; the recipe's choice if not given."},
    )
    freeze_embeddings: bool | None = field(
        default=None, metadata={"help": "Keep the copied embeddings out of training; the recipe's choice if not given."}
    )
    encoder: str | None = field(
        default=None,
        metadata={
            "help": "Pretrained encoder whose states the latents read in place of word embeddings (Hub name or folder); the "
            "recipe's if not given."
        },
    )
    encoder_layers: int | None = field(
        default=None, metadata={"help": "How many of its layers, from the first; the recipe's number if not given."}
    )
    freeze_encoder: bool | None = field(
        default=None, metadata={"help": "Keep the encoder out of training; the recipe's choice if not given."}
    )
    revision: str | None = field(
        default=None,
        metadata={"help": "Commit, branch or tag of that encoder on the Hub; its main branch if not given."},
    )
    text_features: bool | None = field(
        default=None,
        metadata={"help": "Tell the model what is countable in the texts; the recipe's choice if not given."},
    )
    auxiliary_columns: str | None = field(
        default=None,
        metadata={
            "help": "Columns that only help to learn, where the recipe learns any beside the score, between commas (raters' "
            "own scores), or none; the data set's raters if not given."
        },
    )
    traits: str | None = field(
        default=None,
        metadata={
            "help": "Traits that the scorer scores beside the whole essay, between commas, or none; all that the data set has "
            "if not given, where the recipe can."
        },
    )
    project_name: str | None = field(default=None, metadata={"help": "Project for --report-to wandb or trackio."})
    overwrite: bool = field(default=False, metadata={"help": "Replace an existing --output-dir."})


# How names of metrics end of which less is better.
SMALLER_IS_BETTER = ("loss", "rmse", "mae")


@dataclass
class TRMTrainingArguments(TrainingArguments):
    """
    `TrainingArguments` plus what is particular to a TRM. Validates and saves every `eval_every_epochs` epochs, and ends
    with the model that is best by `metric_for_best_model`, by default mean QWK.
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
    greater_is_better: bool | None = field(
        default=None,
        metadata={
            "help": "Whether a higher --metric-for-best-model is better; if not given, yes, but for losses and errors."
        },
    )
    logging_steps: float = field(default=50, metadata={"help": "Steps from one line of the log to the next."})
    # TRMTrainer stops at such a loss; to filter each step's would be to wait for it.
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "See the Trainer's."})
    remove_unused_columns: bool = field(default=False, metadata={"help": "The collator chooses columns itself."})
    hub_strategy: str = field(default="end", metadata={"help": "What --push-to-hub publishes: end, or more."})
    # Every weight takes part in every step, so DDP need not look for idle ones.
    ddp_find_unused_parameters: bool | None = field(default=False, metadata={"help": "See torch's DDP."})

    embedding_learning_rate: float | None = field(
        default=None, metadata={"help": "Learning rate of the word embeddings; that of the other weights if not given."}
    )
    ema_decay: float = field(
        default=0.999,
        metadata={"help": "Decay of the moving average of weights used for evaluation and saving; 0 for none."},
    )
    halt_exploration_prob: float = field(
        default=0.1,
        metadata={"help": "Chance that an essay takes a random minimum number of steps, whatever halting says."},
    )
    eval_every_epochs: int = field(
        default=1, metadata={"help": "Epochs from one validation and checkpoint to the next."}
    )
    early_stopping_patience: int | None = field(
        default=None,
        metadata={
            "help": "Validations without a better metric_for_best_model before training stops; off if not given."
        },
    )

    @property
    def run_folder(self) -> Path:
        """The folder of the run: `output_dir`, which the Trainer fills in where a program of one's own leaves it out."""
        return Path(str(self.output_dir))

    def __post_init__(self) -> None:
        if self.fsdp:
            check_sharding()
        check_bounds(vars(self))
        if self.greater_is_better is None:
            metric = (self.metric_for_best_model or "loss").removesuffix("_continuous")
            self.greater_is_better = not metric.endswith(SMALLER_IS_BETTER)
        super().__post_init__()
        if self.early_stopping_patience is not None and not self.load_best_model_at_end:
            raise ValueError("`early_stopping_patience` needs `load_best_model_at_end` true.")
