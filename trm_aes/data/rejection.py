"""What becomes of rows that cannot be used."""

import contextlib
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import check_is_file_to_be, check_is_outside, new_file
from .formats import STANDARD_STREAM
from .tables import UnreadRow, write_rows

FAIL, SKIP = CHOICES = ("fail", "skip")
REASON = "reason"
# In place of its cells, for a row that could not be split into them.
UNREAD = "unread_row"


class RowCheck:
    """
    Rows that cannot be used: the first is an error, or all of them are set aside, each with the reason.

    Args:
        skip: whether they are set aside.
    """

    def __init__(self, skip: bool = False):
        self.skip = skip
        self.reasons: dict[Hashable, str] = {}
        self.rows: dict[Hashable, Mapping[str, Any]] = {}
        # Of them those that could not be split into cells.
        self.num_unread = 0

    @contextlib.contextmanager
    def of(self, row: Hashable, cells: Mapping[str, Any]) -> Iterator[None]:
        """
        A block that raises [`InputError`] where a row cannot be used. Of several reasons the first is kept.

        Args:
            row: what the row is called.
            cells: `column -> value`, to be written beside the reason.
        """
        try:
            yield
        except InputError as error:
            if not self.skip:
                raise
            self.reject(row, cells, str(error))

    def readable(self, rows: Iterable[dict[str, Any] | UnreadRow], source: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """
        The rows of a table that can be read, each with its number, from 1.

        Args:
            rows: of the table.
            source: what to call it.

        Raises:
            InputError: for the first row that cannot be read, where such rows are not set aside.
        """
        for number, row in enumerate(rows, start=1):
            if not isinstance(row, UnreadRow):
                yield number, row
            elif self.skip:
                # Several files may have a row of this number.
                self.reject(f"{number} of {source}", {UNREAD: row.text}, row.reason)
                self.num_unread += 1
            else:
                raise InputError(row.reason)

    def reject(self, row: Hashable, cells: Mapping[str, Any], reason: str):
        """Sets a row aside."""
        if row not in self.reasons:
            self.reasons[row], self.rows[row] = reason, cells

    def no_row_left(self, source: str) -> str:
        """What is said where all rows of a source are set aside."""
        return f"{source}: no row can be used. The first: {next(iter(self.reasons.values()))}"

    def write(
        self,
        path: Path,
        overwrite: bool,
        in_words: Callable[[str], str] = str,
        safe_for_spreadsheets: bool = False,
    ) -> str | None:
        """
        Writes the rows that were set aside, which are in memory until then, as CSV, with a last column `reason`.

        Args:
            path: of the file, which appears whole; where there are no such rows, there is no file.
            overwrite: whether an existing file may be replaced, or removed where there are no such rows.
            in_words: makes of a reason what the file says.
            safe_for_spreadsheets: as of [`write_rows`].

        Returns:
            A sentence on how many they are and where; None if there are none. Where rows are not set aside, nothing is done.
        """
        if not self.skip:
            return None
        if not self.rows:
            if overwrite:
                path.unlink(missing_ok=True)
            return None
        columns = dict.fromkeys(name for cells in self.rows.values() for name in cells if name != REASON)
        rejected = (
            {**{name: cells.get(name) for name in columns}, REASON: in_words(self.reasons[row])}
            for row, cells in self.rows.items()
        )
        with new_file(path, overwrite) as temporary:
            write_rows(rejected, temporary, path, safe_for_spreadsheets)
        return f"{len(self.rows):,} rows cannot be used; they are in {path}, each with the reason."


def rejected_path(output: str | Path) -> Path:
    """Where the rows go that were set aside on the way to an output: `OUTPUT.rejected.csv`."""
    # `.` has no name.
    output = Path(os.path.abspath(output))
    return output.with_name(f"{output.name}.rejected.csv")


def check_can_reject(output: str | Path, overwrite: bool, inputs: Mapping[str, str | Path]):
    """
    Checks that rows may be set aside on the way to an output.

    Args:
        output, overwrite: of the run.
        inputs: `parameter -> path` of what it reads.

    Raises:
        InputError: if the output is standard output, which has no file beside it, there is such a file already, or it is one of
            the inputs (rows that an earlier run had set aside, mended).
    """
    if str(output) == STANDARD_STREAM:
        raise InputError("`on_error` skip needs an `output` that is a file: the rows are set aside beside it.")
    rejected = rejected_path(output)
    check_is_file_to_be(rejected, overwrite)
    for parameter, path in inputs.items():
        check_is_outside(path, rejected, parameter)
