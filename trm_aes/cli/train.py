"""`trm-aes train`: trains a scorer on a data set."""

from collections.abc import Sequence

from ..presets import load_recipe
from ..training.recipe import parse_arguments
from ..training.run import train_scorer


def main(argv: Sequence[str] | None = None):
    """
    Raises:
        TRMError: for input that cannot be used, a loss that is not finite, and interruptions.
    """
    run, model_overrides, args = parse_arguments(argv)
    record = train_scorer(run, load_recipe(run.recipe), model_overrides, args)
    if args.process_index == 0:
        metrics = record["validation_metrics"]
        print(f"Validation mean QWK {metrics['eval_mean_qwk']:.3f} (seed {args.seed}, {record['seconds']:.0f} s).")
        print(f"The scorer is in {args.output_dir}")
