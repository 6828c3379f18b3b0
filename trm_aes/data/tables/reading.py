"""Rows of a table, one at a time and in order, whatever its format."""

import contextlib
import io
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ...errors import InputError, brief
from ...naming import nearest_name
from ..formats import (
    AS_FOUND,
    BINARY_FORMATS,
    STANDARD_STREAM,
    STRICT,
    WORKBOOKS,
    TableReading,
    check_is_file,
    compression,
    file_format,
)
from .json_lines import json_rows
from .lines import UNDECODED, TextLines, UnreadRow
from .separated import DELIMITERS, SEPARATOR_LINE, check_columns, columns_of, is_consistent, separated_rows
from .unpacking import ZIP, called, is_zip_of_parts, opened, seekable
from .workbooks import workbook_rows

PARQUET, OLE = b"PAR1", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
USUAL_DELIMITERS = {"csv": ",", "tsv": "\t"}
MAX_NAME = 60
# Bytes of a column of a Parquet file that are read at once.
PARQUET_BUFFER = 2**20
# Decoded, that is: bytes which are not in the encoding are kept apart.
BEYOND_ASCII = re.compile("[^\x00-\x7f\udc80-\udcff]")


def read_rows(
    path: str | Path, reading: TableReading = AS_FOUND, expected: Collection[str] = ("essay",)
) -> Iterator[dict[str, Any]]:
    """
    Streams a table's rows, in memory that does not grow with their number (a workbook is held whole).

    Cells of CSV, TSV, text and workbooks are strings as they stand there; values of JSON lines and Parquet have the types
    that they have there. An empty line is no row. Plain text holds one essay a line, and gives rows with the one column
    `essay`. `-` is standard input, whose format its content tells: Parquet, a workbook, JSON lines if it starts with `{`,
    a table with a header if that has one of the columns that are expected, else plain text.

    Args:
        path: the file, plain or compressed (gzip, bzip2, xz, Zstandard, or the one table in a zip), or `-`.
        reading: what the file does not say of itself.
        expected: names of columns that the caller needs. They help to tell the delimiter, and a header from an essay.

    Raises:
        InputError: if the file cannot be read, its format or delimiter cannot be told, what `reading` says has no effect
            on it, or where a row is malformed; it names the row.
    """
    for row in read_or_unread_rows(path, reading, expected):
        if isinstance(row, UnreadRow):
            raise InputError(row.reason)
        yield row


def read_or_unread_rows(
    path: str | Path, reading: TableReading = AS_FOUND, expected: Collection[str] = ("essay",)
) -> Iterator[dict[str, Any] | UnreadRow]:
    """
    A table's rows as of [`read_rows`], and those of text that cannot be read where the rows around them can: lines that are no
    JSON, or have too many cells.

    Raises:
        InputError: as of [`read_rows`], but for such rows.
    """
    name = None if str(path) == STANDARD_STREAM else file_format(check_is_file(path))
    with opened(path) as binary:
        source = called(path)
        name = _checked_format(name, _binary_format(binary.peek(80)), source)
        if name in BINARY_FORMATS:
            _check_has_no_text(reading, name, source)
            yield from _binary_rows(path, binary, name, reading)
        else:
            yield from _text_rows(binary, name, source, reading, expected)


def first_line(path: str | Path) -> str:
    """
    The first line of a file of text, decompressed. It is decoded as Latin-1: what is not ASCII may come out wrong.

    Raises:
        InputError: if it cannot be read.
    """
    with opened(path) as binary:
        if _binary_format(binary.peek(80)):
            return ""
        return next(TextLines(binary, called(path), TableReading("latin-1")), "").removeprefix("\xef\xbb\xbf")


def read_ids(path: str | Path) -> list[str]:
    """
    The ids of a list of them: UTF-8, one a line. Spaces around an id and empty lines do not count.

    Raises:
        InputError: if it cannot be read.
    """
    with opened(path) as binary:
        return [line.strip() for line in TextLines(binary, called(path), AS_FOUND) if line.strip()]


def release_lines(path: str | Path, reading: TableReading) -> Iterator[tuple[int, str]]:
    """
    The lines of a file in which each line is a row, header first, with their row numbers; the header's is 0.

    Where `reading` names no encoding, it is UTF-8, or Windows-1252 if most of what the file has beyond ASCII is not UTF-8.
    (The release has a few characters in UTF-8 amid thousands in Windows-1252.)

    Raises:
        InputError: as of [`read_rows`].
    """
    if reading.encoding is None and _is_windows_1252(path):
        reading = TableReading("windows-1252", reading.encoding_errors)
    with opened(path) as binary:
        lines = TextLines(binary, called(path), reading)
        lines.row = 0
        for line in lines:
            if line.strip():
                yield lines.row, line.rstrip("\r\n")
                lines.row += 1


def is_utf_8(path: str | Path) -> bool:
    """Whether a text has characters beyond ASCII, all of them in UTF-8: hardly a text in another encoding looks like that."""
    is_beyond_ascii = False
    with opened(path) as binary:
        text = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        try:
            while part := text.read(2**20):
                is_beyond_ascii = is_beyond_ascii or not part.isascii()
        except UnicodeDecodeError:
            return False
    return is_beyond_ascii


def _is_windows_1252(path: str | Path) -> bool:
    """Whether most of what a file has beyond ASCII is not UTF-8."""
    num_utf_8, num_others = 0, 0
    with opened(path) as binary:
        text = io.TextIOWrapper(binary, encoding="utf-8", errors="surrogateescape", newline="")
        while part := text.read(2**20):
            num_others += len(UNDECODED.findall(part))
            num_utf_8 += len(BEYOND_ASCII.findall(part))
    return num_others > num_utf_8


def _binary_format(head: bytes) -> str | None:
    """Which of the formats that are no text begins with these bytes, if any."""
    if head.startswith(PARQUET):
        return "parquet"
    if head.startswith(OLE):
        return "xls"
    if head.startswith(ZIP) and is_zip_of_parts(head):
        return "ods" if head[30:].startswith(b"mimetype") else "xlsx"
    return None


def _checked_format(named: str | None, found: str | None, source: str) -> str | None:
    """The format by name, or by content where there is no name, after both have been compared."""
    if named is None or named == found or (named in WORKBOOKS and found in WORKBOOKS):
        return found
    if found is not None:
        raise InputError(f"{source} is .{found} by its content. Name it so.")
    if named == "parquet":
        raise InputError(f"{source} is not a Parquet file that can be read.")
    if named in WORKBOOKS:
        raise InputError(f"{source} is not a workbook that can be read. Is it text? Name it .csv or .tsv.")
    return named


def _check_has_no_text(reading: TableReading, name: str, source: str):
    """Refuses what only a text has."""
    for parameter in ("encoding", "delimiter"):
        if getattr(reading, parameter) is not None:
            raise InputError(f"`{parameter}` has no effect on {source}, which is .{name}. Leave it out.")
    if reading.encoding_errors != STRICT:
        raise InputError(f"`encoding_errors` has no effect on {source}, which is .{name}. Leave it out.")
    if reading.sheet is not None and name not in WORKBOOKS:
        raise InputError(f"`sheet` has no effect on {source}, which is no workbook. Leave it out.")


def _binary_rows(
    path: str | Path, binary: io.BufferedReader, name: str, reading: TableReading
) -> Iterator[dict[str, Any]]:
    source = called(path)
    if name in WORKBOOKS:
        yield from workbook_rows(binary.read(), source, reading)
    elif str(path) != STANDARD_STREAM and compression(path) is None:
        yield from _parquet_rows(path, source)
    else:
        with seekable(binary) as file:
            yield from _parquet_rows(file, source)


def _text_rows(
    binary: io.BufferedReader, name: str | None, source: str, reading: TableReading, expected: Collection[str]
) -> Iterator[dict[str, Any] | UnreadRow]:
    if reading.sheet is not None:
        raise InputError(f"`sheet` has no effect on {source}, which is no workbook. Leave it out.")
    lines = TextLines(binary, source, reading)
    if name is None:
        name = "csv" if reading.delimiter else _format_of_text(lines, expected)
    elif name == "txt":
        _check_has_no_header(*lines.look_ahead(), expected, source)
    if reading.delimiter is not None and name not in USUAL_DELIMITERS:
        raise InputError(f"`delimiter` has no effect on {source}, which has no columns. Leave it out.")
    if name in USUAL_DELIMITERS:
        yield from separated_rows(lines, USUAL_DELIMITERS[name], reading, expected)
    elif name == "jsonl":
        yield from json_rows(lines, reading)
    else:
        for line in lines:
            if line.strip():
                yield {"essay": line.rstrip("\r\n")}
                lines.row += 1


def _format_of_text(lines: TextLines, expected: Collection[str]) -> str:
    """What a text is by its content: `jsonl`, `csv` or `txt`."""
    sample, is_all = lines.look_ahead()
    filled = [line for line in sample if line.strip()]
    if not filled:
        raise InputError(f"{lines.source.capitalize()} is empty.")
    if filled[0].lstrip("\ufeff \t").startswith(("{", "[{")):
        return "jsonl"
    if SEPARATOR_LINE.fullmatch(filled[0]):
        return "csv"
    headers = {delimiter: columns_of(filled, delimiter) for delimiter in DELIMITERS}
    if any(set(expected) & set(names) for names in headers.values()):
        return "csv"
    _check_is_no_table(filled, expected, lines.source)
    # The one by which there are most columns first.
    for delimiter, names in sorted(headers.items(), key=lambda header: -len(header[1])):
        if _may_be_header(names) and (
            len(names) == 1 < len(filled[-1].split())
            or len(names) > 1 < len(filled)
            and is_consistent(sample, delimiter, is_all)
        ):
            raise InputError(_takes_for_table(lines.source, names, expected))
    return "txt"


def _check_is_no_table(sample: list[str], expected: Collection[str], source: str):
    """Refuses to score a header as an essay: a first line with a name in it that is nearly, or is, an expected one."""
    for delimiter in DELIMITERS:
        names = columns_of(sample, delimiter)
        words = [name for name in names if len(name.split()) == 1]
        if any(nearest_name(name, words) is not None for name in expected):
            raise InputError(_takes_for_table(source, names, expected))


def _check_has_no_header(sample: list[str], is_all: bool, expected: Collection[str], source: str):
    """
    Refuses to score the header of a table that is called .txt as an essay: a first line with a cell that is an expected name, or
    is like one where the lines below have as many cells. Prose may begin with such a word.
    """
    plain = {re.sub(r"[\W_]", "", name).casefold() for name in expected}
    for delimiter in DELIMITERS:
        cells = columns_of(sample, delimiter)
        is_table = len(cells) > 1 and _may_be_header(cells) and is_consistent(sample, delimiter, is_all)
        for cell in cells:
            is_word = len(cell.split()) == 1
            is_near = is_table and is_word and any(nearest_name(name, [cell]) is not None for name in expected)
            if is_near or re.sub(r"[\W_]", "", cell).casefold() in plain:
                raise InputError(
                    f"{source} begins like a table with a column {cell!r}. If it is one, name it .csv or .tsv; if it is text with "
                    "an essay a line, begin with another essay."
                )


def _takes_for_table(source: str, names: list[str], expected: Collection[str]) -> str:
    wanted = next(iter(expected), "essay")
    near = nearest_name(wanted, names)
    if near == wanted:
        return f"{source} has a header with the column {wanted!r}, so it is a table. Name it .csv or .tsv."
    meant = f" Did you mean {near!r}?" if near is not None else ""
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return (
        f"{source} begins like a table with the columns {shown}, and none is called {wanted!r}.{meant} Name the right one "
        f"with `columns.{wanted}`. If it is text with an essay a line, save it as .txt."
    )


def _may_be_header(names: list[str]) -> bool:
    """Whether cells may name columns: they are short, and no sentences; a lone one is one word."""
    most_words = 1 if len(names) == 1 else 4
    return all(
        name == name.strip()
        and 0 < len(name) <= MAX_NAME
        and name[-1] not in ".,;:!?\"'"
        and len(name.split()) <= most_words
        for name in names
    )


def _parquet_rows(file: Any, source: str) -> Iterator[dict[str, Any]]:
    # The command line checks file names before it imports anything that takes long.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # PyArrow would else hold a whole file, or of each column as much as lies in one row group, which may be all of it.
        with contextlib.closing(pq.ParquetFile(file, pre_buffer=False, buffer_size=PARQUET_BUFFER)) as parquet:
            check_columns(parquet.schema_arrow.names, source)
            for batch in parquet.iter_batches(batch_size=1024):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, OverflowError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{source} is not a Parquet file that can be read: {brief(error)}.") from None
