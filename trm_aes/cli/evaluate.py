"""`trm-aes evaluate`: measures a scorer on a split of a data set."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..data.folder import check_is_dataset
from ..errors import InputError
from ..files import check_is_free, new_folder
from .options import add_scorer_options, check_scorer_options, load_scorer, new_parser
from .parser import CommandParser

PREDICTIONS_NAME = "predictions.csv"


def build_parser() -> CommandParser:
    """The parser of `trm-aes evaluate`: scorer, data set and output."""
    parser = new_parser(
        "evaluate", "Measure a scorer's agreement with human scores, by prompt, beside ridge regression."
    )
    add_scorer_options(parser)
    parser.add_argument(
        "--data",
        required=True,
        help="data set that `trm-aes build` wrote; its training essays train the ridge regression, whatever trained the model",
    )
    parser.add_argument("--split", default="test", help="split to evaluate on")
    parser.add_argument("--output-dir", help="where the metrics and predictions go (default: MODEL/evaluation-SPLIT)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output folder")
    return parser


def main(argv: Sequence[str] | None = None):
    """
    Runs `trm-aes evaluate` on the words of a command line; `None` reads the program's own.

    Raises:
        InputError: for input that cannot be used.
    """
    parser = build_parser()
    args = parser.parse_args(argv)
    with parser.flags_in_errors():
        _evaluate(args, _checked_output_dir(args))


def _checked_output_dir(args: argparse.Namespace) -> Path:
    """Where the results go, after the other options have been checked, too."""
    if args.output_dir is None and not Path(args.model).is_dir():
        raise InputError("`output_dir` is needed where `model` is not a folder.")
    check_scorer_options(args)
    check_is_dataset(args.data)
    return check_is_free(args.output_dir or Path(args.model) / f"evaluation-{args.split}", args.overwrite)


def _evaluate(args: argparse.Namespace, output_dir: Path):
    from ..data.dataset import load_essay_dataset
    from ..data.tables import write_rows
    from ..evaluation.evaluate import compare_with_ridge, evaluate_scorer, evaluation_record, evaluation_table

    data = load_essay_dataset(args.data)
    scorer = load_scorer(args)
    evaluation = compare_with_ridge(evaluate_scorer(scorer, data, args.split), data, args.split)
    with new_folder(output_dir, args.overwrite) as folder:
        # An empty cell where there is no value.
        predictions = evaluation.predictions.astype(object).where(evaluation.predictions.notna(), None)
        write_rows(predictions.to_dict("records"), folder / PREDICTIONS_NAME, PREDICTIONS_NAME)
        evaluation_record(evaluation, scorer, data, args.split).write(folder)
    print(evaluation_table(evaluation))
    print(f"Wrote {output_dir}")
