"""`trm-aes report`: all that is asked of a scorer before it is used, in one folder."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.folder import check_is_dataset
from ..data.formats import check_is_file
from ..errors import InputError
from ..files import check_is_folder_to_be, new_folder
from ..naming import listing
from ..records import REPORT
from .evaluate import DEFAULT_SPLIT, folder_in_model
from .options import (
    add_scorer_options,
    check_inputs_are_outside,
    check_scorer_options,
    load_scorer,
    new_parser,
)
from .own_file import names_in
from .parser import CommandParser
from .source import constant

if TYPE_CHECKING:
    import pandas as pd

    from ..data.dataset import EssayDataset
    from ..report.record import Report
    from ..scoring.scorer import EssayScorer


def build_parser() -> CommandParser:
    """The parser of `trm-aes report`: scorer, data set, what to compare, and output."""
    parser = new_parser(
        "report",
        "Report on a scorer: agreement with people by prompt, raters, fairness between groups, confidence, robustness, "
        "advisories, drift.",
    )
    add_scorer_options(parser)
    parser.add_argument("--data", required=True, help="data set that `trm-aes build` wrote")
    parser.add_argument("--split", default=DEFAULT_SPLIT, help="split of --data to report on")
    parser.add_argument(
        "--group-columns",
        metavar="NAMES",
        help="columns that tell groups of writers, between commas (default: those named when --data was built)",
    )
    parser.add_argument(
        "--least-n",
        type=int,
        default=constant("trm_aes.evaluation.fairness", "LEAST_N"),
        help="essays that a group needs to be measured",
    )
    parser.add_argument(
        "--reference",
        metavar="FILE",
        help="report.json or evaluation.json of an earlier administration to compare with",
    )
    parser.add_argument(
        "--attacks",
        metavar="NAMES",
        default="all",
        help="attacks on essays of the split: all, none, or names between commas (docs/guides/report.md lists them)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the samples that intervals come from, and of the attacks"
    )
    parser.add_argument("--output-dir", help="where the report goes (default: a folder in MODEL, by the split)")
    parser.add_argument("--overwrite", action="store_true", help="replace a report in the output folder")
    return parser


def main(argv: Sequence[str] | None = None):
    """
    Runs `trm-aes report` on the words of a command line; `None` reads the program's own.

    Raises:
        InputError: for input that cannot be used.
    """
    parser = build_parser()
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(words)
    with parser.flags_in_errors():
        _check_options(args)
        output_dir = check_is_folder_to_be(args.output_dir or str(_folder(args, "report")), args.overwrite, REPORT)
        check_inputs_are_outside(args, output_dir, ("model", "data", "reference"))
        _report(args, output_dir, ["trm-aes", "report", *words])


def _check_options(args: argparse.Namespace):
    if args.output_dir is None and not Path(args.model).is_dir():
        raise InputError("`output_dir` is needed where `model` is not a folder.")
    check_scorer_options(args)
    check_is_dataset(args.data)
    if args.group_columns is not None:
        names_in(args.group_columns, "group_columns")
    if args.reference is not None:
        check_is_file(args.reference)
    _attacks(args)


def _attacks(args: argparse.Namespace) -> tuple[str, ...]:
    """Names of the attacks that are to be run."""
    if args.attacks == "none":
        return ()
    # Brings the model's part of the text features.
    from ..attacks.registry import ATTACK_NAMES, find_attacks

    if args.attacks == "all":
        return tuple(ATTACK_NAMES)
    return tuple(attack.name for attack in find_attacks(names_in(args.attacks, "attacks")))


def _folder(args: argparse.Namespace, what: str) -> Path:
    return folder_in_model(what, Path(args.model), Path(args.data), args.split)


def _report(args: argparse.Namespace, output_dir: Path, command: list[str]):
    from ..data.dataset import load_essay_dataset
    from ..report.build import ReportChoices, build_report
    from ..report.drift import Reference
    from ..report.essays import check_group_columns
    from ..report.files import write_report

    columns = None if args.group_columns is None else names_in(args.group_columns, "group_columns")
    reference = None if args.reference is None else Reference(args.reference)
    data = load_essay_dataset(args.data)
    # Before anything is scored.
    data.split(args.split)
    check_group_columns(data, args.split, columns)
    scorer = load_scorer(args)
    _check_prompts(args, scorer, data)
    predictions = _predictions(args, scorer, data)
    choices = ReportChoices(columns, args.least_n, reference, _attacks(args), args.seed, command)
    report = build_report(scorer, data, args.split, predictions, choices)
    with new_folder(output_dir, args.overwrite, REPORT) as folder:
        write_report(report, folder)
    _print(report)
    print(f"Wrote {output_dir}")


def _check_prompts(args: argparse.Namespace, scorer: "EssayScorer", data: "EssayDataset"):
    unknown = sorted(set(data.split(args.split)["prompt_id"]) - set(scorer.score_ranges))
    if unknown:
        raise InputError(
            f"{args.data}, split {args.split}: prompt {unknown[0]} is not one that {args.model} scores, and a report takes no "
            f"others: it scores {listing(scorer.score_ranges, unknown[0])}"
        )


def _predictions(args: argparse.Namespace, scorer: "EssayScorer", data: "EssayDataset") -> "pd.DataFrame":
    """Those of the evaluation beside the scorer, where it is still that of this scorer and these essays; else new ones."""
    from ..evaluation.evaluate import compare_with_ridge, evaluate_scorer
    from ..evaluation.written import read_predictions

    if Path(args.model).is_dir():
        folder = _folder(args, "evaluation")
        try:
            predictions = read_predictions(folder, scorer, data, args.split)
        except InputError as error:
            print(f"The essays are scored now: {error}")
        else:
            print(f"The scores are those of {folder}.")
            return predictions
    return compare_with_ridge(evaluate_scorer(scorer, data, args.split), data, args.split).predictions


def _print(report: "Report"):
    levels = [flag.level for flag in report.flags]
    print(*report.sentences, sep="\n")
    print(f"Flags: {', '.join(f'{levels.count(level)} {level}' for level in ('red', 'amber', 'green'))}.")
