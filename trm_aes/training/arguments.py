"""Training arguments: those of Transformers, and the few that deep supervision adds."""

from dataclasses import dataclass, field

from transformers import TrainingArguments


@dataclass
class TRMTrainingArguments(TrainingArguments):
    """`TrainingArguments` plus what is particular to a TRM."""

    embedding_learning_rate: float | None = field(
        default=None, metadata={"help": "Learning rate of the word embeddings; that of the core if not given."}
    )
    ema_decay: float = field(
        default=0.0,
        metadata={"help": "Decay of the moving average of weights used for evaluation and saving; 0 for none."},
    )
    halt_exploration_prob: float = field(
        default=0.1,
        metadata={"help": "Chance that an essay goes on for a random least number of steps, whatever halting says."},
    )
    eval_every_epochs: int = field(default=1, metadata={"help": "Epochs from one validation and checkpoint to the next."})
    early_stopping_patience: int | None = field(
        default=None, metadata={"help": "Validations without a better mean QWK before training stops; off if not given."}
    )

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"--ema-decay must lie in [0, 1), got {self.ema_decay}.")
        if not 0 <= self.halt_exploration_prob <= 1:
            raise ValueError(f"--halt-exploration-prob is a probability, got {self.halt_exploration_prob}.")
        if self.eval_every_epochs < 1:
            raise ValueError(f"--eval-every-epochs must be at least 1, got {self.eval_every_epochs}.")
