"""In which bounds the numbers must lie that people give: as options, in a recipe, or to the library."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import InputError

# The random generators of NumPy, which every seed seeds, take 32 bits.
LARGEST_SEED = 2**32 - 1
# Larger whole numbers do not fit into what PyTorch and Arrow count with.
LARGEST_COUNT = 2**31 - 1


@dataclass(frozen=True)
class Bounds:
    """
    The bounds of a number, which must be finite.

    Args:
        least, most: smallest and largest value; None for no such bound.
        above, below: bounds that the value must not reach; None for no such bound.
        or_exactly: one value outside of them, which stands for "not set".
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    or_exactly: float | None = None

    def hold(self, value: float) -> bool:
        """Whether a value is finite and lies within the bounds."""
        if value == self.or_exactly:
            return True
        if isinstance(value, int) and self.most is None and value > LARGEST_COUNT:
            return False
        return (
            (isinstance(value, int) or math.isfinite(value))
            and (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        low = self.least if self.least is not None else self.above
        high = self.most if self.most is not None else self.below
        if high is None:
            return f"be at least {low:,}" if self.above is None else f"be above {low:,}"
        if self.above is None and self.below is None:
            return f"lie between {low:,} and {high:,}"
        return f"lie in {'[' if self.above is None else '('}{low:,}, {high:,}{']' if self.below is None else ')'}"


POSITIVE = Bounds(above=0)
NOT_NEGATIVE = Bounds(least=0)
AT_LEAST_ONE = Bounds(least=1)
SHARE = Bounds(least=0, most=1)
SHARE_BELOW_ONE = Bounds(least=0, below=1)
SEED = Bounds(least=0, most=LARGEST_SEED)

# By parameter: of the commands, of `TRMConfig`, of `RunArguments`, of `TRMTrainingArguments` and those it inherits.
BOUNDS = {
    # Data sets.
    "seed": SEED,
    "fold": NOT_NEGATIVE,
    "validation_share": Bounds(above=0, below=1),
    "test_share": SHARE,
    "limit_train_essays": AT_LEAST_ONE,
    "max_tokens": AT_LEAST_ONE,
    "max_prompt_tokens": NOT_NEGATIVE,
    "drop_longer_than": AT_LEAST_ONE,
    # Reports.
    "least_n": AT_LEAST_ONE,
    # Scoring.
    "batch_tokens": AT_LEAST_ONE,
    "review_share": Bounds(above=0, below=1),
    "release_agreement": Bounds(above=0, most=1),
    "ray_workers": AT_LEAST_ONE,
    "ray_cpus": AT_LEAST_ONE,
    # The page.
    "port": Bounds(least=1, most=65_535),
    # The model. Far more layers than these would take hours to make, before anyone can say how large they are.
    "encoder_layers": AT_LEAST_ONE,
    "hidden_size": AT_LEAST_ONE,
    "embedding_size": AT_LEAST_ONE,
    "num_hidden_layers": Bounds(least=1, most=1000),
    "num_attention_heads": AT_LEAST_ONE,
    "intermediate_size": AT_LEAST_ONE,
    "max_position_embeddings": AT_LEAST_ONE,
    "H_cycles": AT_LEAST_ONE,
    "L_cycles": AT_LEAST_ONE,
    "num_gradient_cycles": AT_LEAST_ONE,
    "num_supervision_steps": AT_LEAST_ONE,
    "num_latents": NOT_NEGATIVE,
    "num_convolutions": Bounds(least=0, most=1000),
    "convolution_size": AT_LEAST_ONE,
    "auxiliary_loss_weight": NOT_NEGATIVE,
    "lexical_share": SHARE,
    "rope_theta": POSITIVE,
    "rms_norm_eps": POSITIVE,
    "hidden_dropout_prob": SHARE_BELOW_ONE,
    "attention_probs_dropout_prob": SHARE_BELOW_ONE,
    "embedding_dropout_prob": SHARE_BELOW_ONE,
    "word_dropout_prob": SHARE_BELOW_ONE,
    "halting_loss_weight": NOT_NEGATIVE,
    "halting_tolerance": NOT_NEGATIVE,
    "halting_threshold": Bounds(above=0, below=1),
    "exit_tolerance": SHARE_BELOW_ONE,
    "initializer_range": NOT_NEGATIVE,
    "embedding_initializer_range": NOT_NEGATIVE,
    # Training.
    "num_train_epochs": POSITIVE,
    "max_steps": Bounds(least=1, or_exactly=-1),
    "per_device_train_batch_size": AT_LEAST_ONE,
    "per_device_eval_batch_size": AT_LEAST_ONE,
    "gradient_accumulation_steps": AT_LEAST_ONE,
    "eval_accumulation_steps": AT_LEAST_ONE,
    "learning_rate": NOT_NEGATIVE,
    "embedding_learning_rate": NOT_NEGATIVE,
    "warmup_steps": NOT_NEGATIVE,
    "weight_decay": NOT_NEGATIVE,
    "adam_beta1": SHARE_BELOW_ONE,
    "adam_beta2": SHARE_BELOW_ONE,
    "adam_epsilon": NOT_NEGATIVE,
    "max_grad_norm": NOT_NEGATIVE,
    "label_smoothing_factor": SHARE_BELOW_ONE,
    "neftune_noise_alpha": NOT_NEGATIVE,
    "ema_decay": SHARE_BELOW_ONE,
    "halt_exploration_prob": SHARE,
    "eval_every_epochs": AT_LEAST_ONE,
    "early_stopping_patience": AT_LEAST_ONE,
    "logging_steps": POSITIVE,
    "eval_steps": POSITIVE,
    "eval_delay": NOT_NEGATIVE,
    "save_steps": POSITIVE,
    "save_total_limit": AT_LEAST_ONE,
    "data_seed": SEED,
    "torch_empty_cache_steps": AT_LEAST_ONE,
    "dataloader_num_workers": NOT_NEGATIVE,
    "dataloader_prefetch_factor": AT_LEAST_ONE,
    "ddp_bucket_cap_mb": AT_LEAST_ONE,
    "ddp_timeout": AT_LEAST_ONE,
    "local_rank": Bounds(least=0, or_exactly=-1),
    # Benchmarks and studies (scripts/).
    "essays": AT_LEAST_ONE,
    "prompts": AT_LEAST_ONE,
    "mean_words": AT_LEAST_ONE,
    "folds": NOT_NEGATIVE,
    "seeds": SEED,
    "num_threads": AT_LEAST_ONE,
    "rounds": AT_LEAST_ONE,
    "latency_calls": AT_LEAST_ONE,
    "min_seconds": NOT_NEGATIVE,
    "every": POSITIVE,
    "train_batch_size": AT_LEAST_ONE,
    "train_steps": NOT_NEGATIVE,
    "workers": AT_LEAST_ONE,
}


def check_bounds(values: Mapping[str, Any], where: str = ""):
    """
    Checks the numbers among some values; what is no number, or has no bounds, is not looked at.

    Args:
        values: `parameter -> value`, or a list of values, each of which is checked.
        where: the file and the part of it that they stand in, for the message.

    Raises:
        InputError: for the first number that is not finite or lies outside its bounds; it names the parameter.
    """
    each = ((name, one) for name, value in values.items() for one in (value if isinstance(value, list) else [value]))
    for name, value in each:
        bounds = BOUNDS.get(name)
        if bounds is None or isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if not bounds.hold(value):
            place = f"{where}: " if where else ""
            if isinstance(value, int) and value > LARGEST_COUNT and bounds.most is None:
                raise InputError(f"{place}`{name}` must be at most {LARGEST_COUNT:,}, got {str(value)[:40]}.")
            raise InputError(f"{place}`{name}` must {bounds}, got {str(value)[:40]}.")
