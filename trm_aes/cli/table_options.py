"""Options that say how a table is to be read, of every command that reads one."""

import argparse

from ..data.formats import ENCODING_ERRORS, STRICT, TableReading

# Those that every text has, and those of one table alone.
TEXT_OPTIONS = ("encoding", "encoding_errors")
LAYOUT_OPTIONS = ("delimiter", "sheet")


def add_reading_options(parser: argparse._ActionsContainer):
    """The options that [`reading_of`] reads."""
    parser.add_argument("--encoding", help="of CSV, TSV, JSON lines and text; UTF-8 if not given")
    parser.add_argument(
        "--encoding-errors",
        choices=ENCODING_ERRORS,
        help=f"refuse bytes that are not in the encoding, or replace them by U+FFFD ({STRICT} if not given)",
    )
    parser.add_argument(
        "--delimiter", metavar="CHARACTER", help="between cells, or 'tab'; found from the content if not given"
    )
    parser.add_argument("--sheet", metavar="NAME", help="of a workbook; needed where several hold rows")


def reading_of(args: argparse.Namespace) -> TableReading:
    """
    How the options have a table read.

    Raises:
        InputError: if an encoding or a delimiter is none.
    """
    return TableReading(args.encoding, args.encoding_errors or STRICT, args.delimiter, args.sheet)
