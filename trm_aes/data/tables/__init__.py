"""The one door for tables: rows in from every format, rows out to every format, each cell as it stands in its file."""

from .lines import UnreadRow
from .reading import first_line, read_ids, read_or_unread_rows, read_rows, release_lines
from .writing import (
    CHUNK,
    ParquetTypes,
    as_text,
    check_fits_sheet,
    check_safe_for_spreadsheets,
    safe_row,
    write_rows,
    write_rows_to_stream,
)

__all__ = [
    "CHUNK",
    "ParquetTypes",
    "UnreadRow",
    "as_text",
    "check_fits_sheet",
    "check_safe_for_spreadsheets",
    "first_line",
    "read_ids",
    "read_or_unread_rows",
    "read_rows",
    "release_lines",
    "safe_row",
    "write_rows",
    "write_rows_to_stream",
]
