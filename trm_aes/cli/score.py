"""`trm-aes score`: scores new essays."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.formats import (
    STANDARD_STREAM,
    check_is_file,
    check_is_parquet_folder,
    file_format,
    is_local,
    output_format,
)
from ..data.rejection import SKIP, check_can_reject
from ..errors import InputError
from ..files import check_is_file_to_be, check_is_free, check_is_outside
from .input_options import INPUT_HELP, RENAMED, add_input_options, check_input_options
from .options import (
    add_on_error_option,
    add_scorer_options,
    add_unknown_prompt_option,
    check_scorer_options,
    load_scorer,
    new_parser,
    refuse_idle,
)
from .parser import CommandParser
from .runner import as_output
from .table_options import reading_of

if TYPE_CHECKING:
    from ..scoring.review import ReviewRule
    from ..scoring.scorer import EssayScorer
    from ..scoring.stream import BadRows, InputColumns, ScoringSummary

# What scores: this process, or the workers of a cluster.
LOCAL, RAY = "local", "ray"
RAY_OPTIONS = ("ray_address", "ray_workers", "ray_cpus")


def build_parser() -> CommandParser:
    """The parser of `trm-aes score`: scorer, input and output."""
    parser = new_parser(
        "score",
        "Score essays: adds predicted_score, rounded_score, confidence, supervision_steps, predicted_error, score_low, "
        "score_high, two columns for each trait that the scorer scores (predicted_style, rounded_style) and advisories to each "
        "row.",
    )
    add_scorer_options(parser)
    _add_engine_options(parser)
    parser.add_argument(
        "--input",
        required=True,
        help=f"{INPUT_HELP}, or - for standard input",
    )
    parser.add_argument(
        "--output",
        required=True,
        help=".csv, .tsv or .jsonl (each also .gz, .bz2, .xz, .zst or .zip), .parquet, .xlsx, or - for CSV on standard output",
    )
    add_input_options(parser)
    parser.add_argument(
        "--safe-for-spreadsheets",
        action="store_true",
        help="put an apostrophe before text that a spreadsheet could take for a formula",
    )
    parser.add_argument(
        "--review-share",
        type=float,
        metavar="SHARE",
        help="add a column needs_review: true for essays as doubtful as the least sure share (0-1) of the validation essays; of "
        "yours that is about as many",
    )
    parser.add_argument(
        "--release-agreement",
        type=float,
        metavar="RATE",
        help="add a column needs_review: false for as many essays as possible while this share (0-1) of the validation essays "
        "released had exactly the human score",
    )
    add_unknown_prompt_option(parser)
    add_on_error_option(parser, "OUTPUT")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")
    return parser


def _add_engine_options(parser: CommandParser):
    """The options that say which processes score, on which machines."""
    parser.add_argument(
        "--engine",
        choices=(LOCAL, RAY),
        default=LOCAL,
        help="ray: workers of a Ray cluster share the essays; --input may be a folder or an address (s3://bucket/essays), --output "
        "is a folder of Parquet files",
    )
    parser.add_argument(
        "--ray-address", metavar="HOST:PORT", help="head of the cluster (Ray is started on this machine if not given)"
    )
    parser.add_argument("--ray-workers", type=int, metavar="NUMBER", help="as many as fit if not given")
    parser.add_argument("--ray-cpus", type=int, metavar="NUMBER", help="cores of each worker (1 if not given)")


def main(argv: Sequence[str] | None = None):
    """
    Runs `trm-aes score` on the words of a command line; `None` reads the program's own.

    Raises:
        InputError: for input that cannot be used.
        InterruptedRun: on Ctrl-C.
    """
    parser = build_parser()
    args = parser.parse_args(argv)
    with parser.flags_in_errors(RENAMED):
        _check_options(args)
        _score(args, parser)


def _check_options(args: argparse.Namespace):
    check_scorer_options(args)
    check_input_options(args)
    if args.review_share is not None and args.release_agreement is not None:
        raise InputError("Give `review_share` or `release_agreement`, one of them: each sets the threshold of review.")
    reading_of(args)
    if os.environ.get("WORLD_SIZE", "").strip() not in ("", "0", "1"):
        raise InputError(
            "scoring runs as one process, and a launcher (torchrun, accelerate) has started several. Start it without one; "
            "`engine` ray shares the essays among GPUs and machines."
        )
    if args.engine == RAY:
        _check_files_for_ray(args)
    else:
        _check_files(args)


def _check_files(args: argparse.Namespace):
    refuse_idle(args, RAY_OPTIONS, "without `engine` ray")
    if args.input != STANDARD_STREAM:
        file_format(check_is_file(args.input))
    if args.output == STANDARD_STREAM:
        if sys.__stdout__ is None:
            raise InputError("`output` -: standard output is closed. Give a file.")
    else:
        output_format(args.output)
        check_is_file_to_be(args.output, args.overwrite)
        check_is_outside(args.input, args.output, "input")
    if args.on_error == SKIP:
        check_can_reject(args.output, args.overwrite, {"input": args.input})


def _check_files_for_ray(args: argparse.Namespace):
    refuse_idle(args, ("safe_for_spreadsheets",), "with `engine` ray, which writes Parquet")
    for name in ("input", "output"):
        if getattr(args, name) == STANDARD_STREAM:
            raise InputError(f"`{name}` -: with `engine` ray, give a file or a folder.")
    if args.device == "mps":
        raise InputError("`device` mps: workers of Ray compute on cpu or cuda.")
    if is_local(args.input) and not Path(args.input).exists():
        raise InputError(f"{args.input} does not exist.")
    check_is_parquet_folder(args.output)
    if is_local(args.output):
        check_is_free(args.output, args.overwrite)


def _score(args: argparse.Namespace, parser: CommandParser):
    if args.engine == RAY:
        # Where Ray is absent, this says so before anything that takes long.
        from ..scoring.ray import cluster  # noqa: F401

    from ..scoring.stream import BadRows, InputColumns
    from ..scoring.unknown_prompts import ERROR

    columns = InputColumns(args.essay_column, args.prompt_id_column, args.prompt_column)
    bad_rows = BadRows(
        args.unknown_prompt or ERROR, args.on_error == SKIP, lambda reason: parser.with_flags(reason, RENAMED)
    )
    score = _score_with_ray if args.engine == RAY else _score_here
    _report(args, *score(args, columns, bad_rows))


def _score_here(
    args: argparse.Namespace, columns: "InputColumns", bad_rows: "BadRows"
) -> "tuple[EssayScorer, ScoringSummary]":
    from ..scoring.stream import score_file

    scorer = load_scorer(args)
    with as_output():
        summary = score_file(
            scorer, args.input, args.output, columns, args.prompt_id, reading_of(args), args.overwrite, bad_rows,
            args.safe_for_spreadsheets, _review(args, scorer),
        )  # fmt: skip
    return scorer, summary


def _score_with_ray(
    args: argparse.Namespace, columns: "InputColumns", bad_rows: "BadRows"
) -> "tuple[EssayScorer, ScoringSummary]":
    from ..scoring.ray import Workers, score_files

    # The workers take it from there to their devices.
    scorer = load_scorer(args, "cpu")
    summary = score_files(
        scorer, args.input, args.output, columns, args.prompt_id, reading_of(args), args.overwrite, bad_rows,
        _review(args, scorer), Workers(args.ray_workers, args.ray_cpus or 1, args.device), args.ray_address,
    )  # fmt: skip
    return scorer, summary


def _review(args: argparse.Namespace, scorer: "EssayScorer") -> "ReviewRule | None":
    from ..scoring.review import ReviewRule

    if args.review_share is not None:
        return ReviewRule.of_share(scorer, args.review_share)
    if args.release_agreement is not None:
        return ReviewRule.of_agreement(scorer, args.release_agreement)
    return None


def _report(args: argparse.Namespace, scorer: "EssayScorer", summary: "ScoringSummary"):
    """Says what was done."""
    # Standard output may be the scores themselves.
    source = "standard input" if args.input == STANDARD_STREAM else args.input
    at = "" if scorer.commit is None else f" at commit {scorer.commit}"
    print(
        f"Read {summary.num_read:,} rows of {source}. Scored {summary.num_scored:,} essays with {scorer.name}{at}.",
        file=sys.stderr,
    )
    if summary.num_to_review is not None:
        print(f"{summary.num_to_review:,} of them need review.", file=sys.stderr)
    if summary.num_unknown:
        print(
            f"{summary.num_unknown} essays answer prompts that the model does not know; they have no score.",
            file=sys.stderr,
        )
    if summary.rejected is not None:
        print(summary.rejected, file=sys.stderr)
    if summary.num_cut == 1:
        print("1 essay was too long; its end was not read.", file=sys.stderr)
    elif summary.num_cut:
        print(f"{summary.num_cut:,} essays were too long; their ends were not read.", file=sys.stderr)
