"""Options that say what stands in which column of a file of scored essays, and what the file itself does not tell."""

import argparse
from typing import TYPE_CHECKING

from ..data.formats import AS_FOUND, BINARY_FORMATS, TableReading, check_is_file, file_format
from .table_options import add_reading_options, reading_of

if TYPE_CHECKING:
    from ..data.prompts import PromptInfo
    from ..data.schema import EssayTable

# Columns of a file of one's own, and with underscores the fields of the library's `ColumnNames`.
COLUMNS = ("essay", "score", "essay-id", "prompt-id", "prompt", "min-score", "max-score")
# Parameters of the library that have another name here.
RENAMED = {
    "score_ranges": "score_range",
    **{f"columns.{name}": f"{name}_column" for name in (column.replace("-", "_") for column in COLUMNS)},
}


def add_own_file_options(parser: argparse.ArgumentParser, range_unknown: str):
    """The options that [`load_own_file`] reads; `range_unknown` says what becomes of a prompt whose range nothing gives."""
    own = parser.add_argument_group("your own file")
    for name in COLUMNS:
        own.add_argument(f"--{name}-column", default=name.replace("-", "_"), help=f"column with the {name}")
    own.add_argument(
        "--score-range",
        action="append",
        default=[],
        metavar="[PROMPT=]LOWEST:HIGHEST",
        help=f"score range, of one prompt or of all; may be repeated; {range_unknown}",
    )
    add_reading_options(own)
    parser.add_argument("--prompts", metavar="FILE", help="table of prompts: prompt_id, prompt, min_score, max_score")


def check_own_file_options(args: argparse.Namespace):
    """
    Checks what can be told of the options that [`load_own_file`] reads before the library is there, the file aside.

    Raises:
        InputError: if the table of prompts is missing or of an unknown format, a score range is no range, or an encoding or
            a delimiter is none.
    """
    from ..data.choices import parse_score_ranges

    reading_of(args)
    if args.prompts is not None:
        file_format(check_is_file(args.prompts))
    parse_score_ranges(args.score_range)


def read_prompts(args: argparse.Namespace) -> "dict[str, PromptInfo]":
    """
    The table of prompts that the options name; empty where they name none.

    Raises:
        InputError: if it cannot be used.
    """
    from ..data.prompts import read_prompt_infos

    if not args.prompts:
        return {}
    # Its delimiter and its sheet are its own; so is the encoding of a format that has one.
    is_text = file_format(args.prompts) not in BINARY_FORMATS
    reading = TableReading(args.encoding, args.encoding_errors) if is_text else AS_FOUND
    return read_prompt_infos(args.prompts, reading)


def load_own_file(
    args: argparse.Namespace, path: str, prompt_id: str | None = None, observe_ranges: bool = True
) -> "EssayTable":
    """
    The scored essays of a file, read as the options say.

    Args:
        args: the options.
        path: the file.
        prompt_id, observe_ranges: as of [`load_own_table`].

    Raises:
        InputError: if the file, a column, a row or a range cannot be used.
    """
    from ..data.choices import parse_score_ranges
    from ..data.sources.own import ColumnNames, load_own_table

    columns = ColumnNames(**{name: getattr(args, f"{name}_column") for name in ColumnNames.__dataclass_fields__})
    ranges = parse_score_ranges(args.score_range)
    return load_own_table(path, columns, reading_of(args), read_prompts(args), ranges, prompt_id, observe_ranges)
