"""The rows of a source as they stand in it, before anything is read as a value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ...errors import InputError
from ...files import file_checksum
from ...naming import listing
from ..formats import AS_FOUND, STANDARD_STREAM, TableReading, file_format
from ..tables import read_rows


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
    """

    frame: pd.DataFrame
    source: str
    checksum: str
    numbered: Sequence[str]
    corpus: str | None = None
    split_of: pd.Series | None = None
    notes: tuple[str, ...] = ()


def read_source(path: str | Path, reading: TableReading = AS_FOUND) -> SourceRows:
    """
    The rows of a file, as they are.

    Raises:
        InputError: if it cannot be read, holds no columns, or no rows.
    """
    if str(path) == STANDARD_STREAM or file_format(path) == "txt":
        raise InputError(
            f"{path}: scored essays need columns. Give a .csv, .tsv, .jsonl, .parquet, .xlsx, .xls or .ods file."
        )
    frame = pd.DataFrame(list(read_rows(path, reading)), dtype=object)
    if frame.empty:
        raise InputError(f"{path} holds no rows.")
    frame.index += 1
    return SourceRows(frame, str(path), file_checksum(path), [str(row) for row in frame.index])


def read_split_sources(paths: Mapping[str, str | Path], reading: TableReading = AS_FOUND) -> SourceRows:
    """
    The rows of several files, one for each split, as one source.

    Args:
        paths: `split -> file`.
        reading: what the files do not say of themselves.

    Raises:
        InputError: as of [`read_source`], or if the files have different columns.
    """
    parts = {split: read_source(path, reading) for split, path in paths.items()}
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
