"""`trm-aes train`: trains a scorer on a data set."""

import argparse
from collections.abc import Sequence

from ..data.folder import check_is_dataset
from ..presets import load_hardware, load_recipe
from ..training.folder import check_is_named, check_may_train
from .source import constant
from .train_options import build_parser

AUTO_HARDWARE = constant("trm_aes.training.arguments", "AUTO_HARDWARE")


def main(argv: Sequence[str] | None = None):
    """
    Runs `trm-aes train` on the words of a command line; `None` reads the program's own.

    Raises:
        TRMError: for input that cannot be used, a loss that is not finite, and interruptions.
    """
    parser = build_parser()
    chosen = parser.parse_args(argv)
    with parser.flags_in_errors():
        _check_options(chosen)
        _train(argv)


def _check_options(chosen: argparse.Namespace):
    load_recipe(chosen.recipe)
    if chosen.hardware != AUTO_HARDWARE:
        load_hardware(chosen.hardware)
    check_is_dataset(chosen.data)
    check_is_named(chosen.output_dir)
    if chosen.resume_from_checkpoint is None:
        check_may_train(chosen.output_dir, chosen.overwrite)


def _train(argv: Sequence[str] | None):
    from ..training.recipe import parse_arguments
    from ..training.run import train_scorer

    plan = parse_arguments(argv)
    record = train_scorer(plan)
    if plan.training.process_index == 0:
        print(f"Validation mean QWK {record.validation_qwk:.3f} (seed {record.seed}, {record.seconds:.0f} s).")
        print(f"The scorer is in {plan.training.output_dir}")
