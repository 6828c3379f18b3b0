"""The rows of a source as they stand in it, before anything is read as a value."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ...errors import InputError
from ...files import file_checksum
from ...naming import listing
from ..formats import AS_FOUND, BINARY_FORMATS, STANDARD_STREAM, TableReading, file_format
from ..rejection import RowCheck
from ..tables import UnreadRow, read_or_unread_rows


@dataclass(frozen=True)
class JoinedColumns:
    """
    Columns that another table has given to a source's rows.

    Args:
        names: of the columns.
        source: what to call that table.
        row_of: `row of the source -> number of the other table's row`; rows without one are left out.
    """

    names: tuple[str, ...]
    source: str
    row_of: Mapping[Hashable, int]


@dataclass(frozen=True)
class SourceRows:
    """
    The rows of a source as they stand in it.

    Args:
        frame: one row a row, a column a column; the index has what messages call a row.
        source: what to call the source in messages.
        checksum: SHA-256 of its bytes.
        numbered: ids for essays that have none, in the order of the rows.
        corpus: name of a public corpus.
        split_of: `split` of each row, where the source has files or parts of its own for them.
        notes: sentences on what was left out before.
        joined: what columns came from another table.
    """

    frame: pd.DataFrame
    source: str
    checksum: str
    numbered: Sequence[str]
    corpus: str | None = None
    split_of: pd.Series | None = None
    notes: tuple[str, ...] = ()
    joined: JoinedColumns | None = None

    def place(self, row: Hashable, column: str) -> tuple[str, Hashable]:
        """The table in which a cell stands, and its row there, for messages."""
        if self.joined is not None and column in self.joined.names and row in self.joined.row_of:
            return self.joined.source, self.joined.row_of[row]
        return self.source, row


def read_source(path: str | Path, reading: TableReading = AS_FOUND, check: RowCheck | None = None) -> SourceRows:
    """
    The rows of a file, as they are.

    Args:
        path: the file.
        reading: what it does not say of itself.
        check: what becomes of rows that cannot be read; an error if not given.

    Raises:
        InputError: if it cannot be read, holds no columns, or no rows.
    """
    if str(path) == STANDARD_STREAM or file_format(path) == "txt":
        raise InputError(
            f"{path}: scored essays need columns. Give a .csv, .tsv, .jsonl, .parquet, .xlsx, .xls or .ods file."
        )
    frame = frame_of_rows(read_or_unread_rows(path, reading), str(path), check or RowCheck())
    return SourceRows(frame, str(path), file_checksum(path), [str(row) for row in frame.index])


def frame_of_rows(rows: Iterable[dict[str, Any] | UnreadRow], source: str, check: RowCheck) -> pd.DataFrame:
    """
    The rows of a table that can be read; the index has their numbers, from 1.

    Raises:
        InputError: if there are none.
    """
    numbered = dict(check.readable(rows, source))
    frame = pd.DataFrame(list(numbered.values()), index=pd.Index(numbered), dtype=object)
    if frame.empty:
        raise InputError(check.no_row_left(source) if check.reasons else f"{source} holds no rows.")
    return frame


def read_split_sources(
    paths: Mapping[str, str | Path], reading: TableReading = AS_FOUND, check: RowCheck | None = None
) -> SourceRows:
    """
    The rows of several files, one for each split, as one source.

    Args:
        paths: `split -> file`.
        reading, check: as of [`read_source`].

    Raises:
        InputError: as of [`read_source`], or if a file is given twice, or the files have different columns.
    """
    for path, count in Counter(Path(path).resolve() for path in paths.values()).items():
        if count > 1:
            raise InputError(f"{path} is given for several splits: each needs a file of its own.")
    # An encoding is for those that have one.
    has_text = any(file_format(path) not in BINARY_FORMATS for path in paths.values())
    parts = {
        split: read_source(
            path, reading.without_encoding() if has_text and file_format(path) in BINARY_FORMATS else reading, check
        )
        for split, path in paths.items()
    }
    return join_splits(parts, ", ".join(part.source for part in parts.values()))


def join_splits(parts: Mapping[str, SourceRows], source: str) -> SourceRows:
    """
    Sources of one split each as one.

    Raises:
        InputError: if they have different columns.
    """
    first = next(iter(parts.values()))
    for part in parts.values():
        for one, other in ((first, part), (part, first)):
            missing = [str(name) for name in one.frame.columns if name not in other.frame]
            if missing:
                raise InputError(
                    f"{one.source} has a column {missing[0]!r} that {other.source} lacks; it has "
                    f"{listing(other.frame.columns, missing[0])} Splits need the same columns."
                )
    frames = [part.frame.set_axis([f"{row} of {part.source}" for row in part.frame.index]) for part in parts.values()]
    split_of = [pd.Series(split, index=frame.index) for split, frame in zip(parts, frames, strict=True)]
    return SourceRows(
        pd.concat(frames),
        source,
        "+".join(part.checksum for part in parts.values()),
        [f"{split}-{number}" for split, part in parts.items() for number in part.numbered],
        first.corpus,
        pd.concat(split_of),
    )
