"""`trm-aes explain`: says what moved the scores of essays."""

import argparse
import sys
from collections.abc import Sequence

from ..data.formats import check_is_file, check_is_json_lines, file_format
from ..files import check_is_file_to_be, check_is_outside
from .input_options import INPUT_HELP, RENAMED, add_input_options, check_input_options
from .options import add_scorer_options, check_scorer_options, load_scorer, new_parser
from .parser import CommandParser
from .table_options import reading_of


def build_parser() -> CommandParser:
    """The parser of `trm-aes explain`: scorer, input and output."""
    parser = new_parser(
        "explain",
        "Say what moved the scores of essays: by how much each sentence does, left out, and what each word adds to the score of "
        "either head. It does not say what is wrong with an essay.",
    )
    add_scorer_options(parser)
    parser.add_argument("--input", required=True, help=INPUT_HELP)
    parser.add_argument(
        "--output",
        required=True,
        help=".jsonl (also .gz, .bz2, .xz, .zst or .zip): an object an essay, without its text",
    )
    add_input_options(parser)
    parser.add_argument(
        "--essay-id-column",
        metavar="NAME",
        help="column with the essays' ids (essay_id if not given; else rows are counted)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")
    return parser


def main(argv: Sequence[str] | None = None):
    """
    Runs `trm-aes explain` on the words of a command line; `None` reads the program's own.

    Raises:
        InputError: for input that cannot be used.
    """
    parser = build_parser()
    args = parser.parse_args(argv)
    with parser.flags_in_errors(RENAMED):
        _check_options(args)
        _explain(args)


def _check_options(args: argparse.Namespace):
    check_scorer_options(args)
    check_input_options(args)
    file_format(check_is_file(args.input))
    reading_of(args)
    check_is_json_lines(args.output)
    check_is_file_to_be(args.output, args.overwrite)
    check_is_outside(args.input, args.output, "input")


def _explain(args: argparse.Namespace):
    from ..scoring.explanations_file import explain_file
    from ..scoring.input_rows import InputColumns

    scorer = load_scorer(args)
    columns = InputColumns(args.essay_column, args.prompt_id_column, args.prompt_column)
    num_essays = explain_file(
        scorer, args.input, args.output, columns, args.prompt_id, reading_of(args), args.essay_id_column, args.overwrite
    )
    essays = "score of 1 essay" if num_essays == 1 else f"scores of {num_essays:,} essays"
    print(f"Explained the {essays} of {args.input} with {scorer.name}: {args.output}", file=sys.stderr)
