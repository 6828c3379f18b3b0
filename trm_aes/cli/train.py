"""`trm-aes train`: trains a scorer on a data set."""

from collections.abc import Sequence

from ..training.recipe import parse_arguments
from ..training.run import train_scorer


def main(argv: Sequence[str] | None = None):
    """
    Raises:
        TRMError: for input that cannot be used, a loss that is not finite, and interruptions.
    """
    plan = parse_arguments(argv)
    record = train_scorer(plan)
    if plan.training.process_index == 0:
        print(f"Validation mean QWK {record.validation_qwk:.3f} (seed {record.seed}, {record.seconds:.0f} s).")
        print(f"The scorer is in {plan.training.output_dir}")
