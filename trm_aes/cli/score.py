"""`trm-aes score`: scores new essays."""

import argparse
import sys
from collections.abc import Sequence

from ..data.formats import STANDARD_STREAM, check_is_file, file_format, output_format
from ..files import check_is_free
from .options import add_scorer_options, check_scorer_options, load_scorer, new_parser
from .parser import CommandParser
from .table_options import add_reading_options, reading_of

# Fields of the library's `columns`, each an option of its own here.
RENAMED = {f"columns.{name}": f"{name}_column" for name in ("essay", "prompt_id", "prompt")}


def build_parser() -> CommandParser:
    """The parser of `trm-aes score`: scorer, input and output."""
    parser = new_parser(
        "score",
        "Score essays: adds predicted_score, rounded_score, confidence and supervision_steps to each row.",
    )
    add_scorer_options(parser)
    parser.add_argument(
        "--input",
        required=True,
        help=".csv, .tsv, .jsonl, .parquet, .xlsx, .xls or .ods with a column of essays, .txt with an essay a line, or - for "
        "standard input",
    )
    parser.add_argument(
        "--output",
        required=True,
        help=".csv, .tsv or .jsonl (each also .gz, .bz2, .xz, .zst or .zip), .parquet, .xlsx, or - for CSV on standard output",
    )
    parser.add_argument("--prompt-id", help="the prompt that all essays answer (else the input's prompt_id or prompt)")
    for name in ("essay", "prompt-id", "prompt"):
        parser.add_argument(f"--{name}-column", default=name.replace("-", "_"), help=f"column with the {name}")
    add_reading_options(parser)
    parser.add_argument(
        "--safe-for-spreadsheets",
        action="store_true",
        help="put an apostrophe before text that a spreadsheet could take for a formula",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")
    return parser


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
        _score(args)


def _check_options(args: argparse.Namespace):
    check_scorer_options(args)
    if args.input != STANDARD_STREAM:
        file_format(check_is_file(args.input))
    reading_of(args)
    if args.output != STANDARD_STREAM:
        output_format(args.output)
        check_is_free(args.output, args.overwrite)


def _score(args: argparse.Namespace):
    from accelerate import PartialState

    from ..devices import choose_device
    from ..scoring.stream import InputColumns, score_file

    # Several processes, where torchrun or accelerate started them, each with a device of its own.
    processes = PartialState(cpu=choose_device(args.device) == "cpu")
    scorer = load_scorer(args, processes.device if processes.num_processes > 1 else None)
    columns = InputColumns(args.essay_column, args.prompt_id_column, args.prompt_column)
    summary = score_file(
        scorer, args.input, args.output, columns, args.prompt_id, reading_of(args), args.overwrite, processes,
        args.safe_for_spreadsheets,
    )  # fmt: skip
    if not processes.is_main_process:
        return
    # Standard output may be the scores themselves.
    source = "standard input" if args.input == STANDARD_STREAM else args.input
    print(
        f"Read {summary.num_scored:,} rows of {source}, and scored as many essays with {scorer.name}.", file=sys.stderr
    )
    if summary.num_cut:
        print(f"{summary.num_cut} essays were too long; their ends were not read.", file=sys.stderr)
