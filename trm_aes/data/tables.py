"""Rows of CSV, TSV, JSON-lines, Parquet and plain-text files, one at a time and in order."""

import contextlib
import csv
import hashlib
import io
import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import fsspec

from ..errors import InputError, brief
from .formats import STANDARD_STREAM, check_is_file, file_format

# An essay of 100,000 words is far beyond the csv module's own limit of 131,072 characters a field.
csv.field_size_limit(2**31 - 1)


def file_checksum(path: str | Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_rows(path: str | Path, encoding: str = "utf-8") -> Iterator[dict[str, Any]]:
    """
    Streams a table's rows, in bounded memory. Values of CSV, TSV and text are strings; an empty line is no row.

    Plain text holds one essay a line, and gives rows with the one column `essay`. `-` is standard input: JSON lines if
    it starts with `{`, CSV if its first line names a column `essay`, else plain text.

    Raises:
        InputError: if the file cannot be read, or where a row is malformed: a quote that is never closed, a wrong
            number of fields, broken JSON, a wrong encoding, a NUL byte.
    """
    if path == STANDARD_STREAM:
        yield from _standard_input_rows(encoding)
        return
    path = check_is_file(path)
    name = file_format(path)
    if name == "parquet":
        yield from _parquet_rows(path)
        return
    with _explain_read_errors(path, encoding), fsspec.open(str(path), "rb", compression="infer") as binary:
        yield from _text_rows(
            io.TextIOWrapper(binary, encoding=_without_byte_order_mark(encoding), newline=""), name, str(path)
        )


def first_line(path: str | Path) -> str:
    """
    The first line of a file, decompressed where its name says that it is compressed. It is decoded as Latin-1: what is not
    ASCII may come out wrong.

    Raises:
        InputError: if it cannot be read.
    """
    path = check_is_file(path)
    with _explain_read_errors(path, "bytes"), fsspec.open(str(path), "rb", compression="infer") as binary:
        return binary.readline().decode("latin1")


def read_bytes(path: str | Path) -> bytes:
    """
    A whole file, decompressed where its name says that it is compressed.

    Raises:
        InputError: if it cannot be read.
    """
    path = check_is_file(path)
    with _explain_read_errors(path, "bytes"), fsspec.open(str(path), "rb", compression="infer") as binary:
        return binary.read()


def _standard_input_rows(encoding: str) -> Iterator[dict[str, Any]]:
    with _explain_read_errors(STANDARD_STREAM, encoding):
        text = io.TextIOWrapper(
            io.BufferedReader(cast(io.BufferedReader, sys.stdin.buffer)),
            encoding=_without_byte_order_mark(encoding),
            newline="",
        )
        first = text.readline()
        if not first.strip():
            raise InputError("Standard input is empty.")
        named_columns = next(csv.reader([first]), [])
        name = "jsonl" if first.lstrip().startswith("{") else "csv" if "essay" in named_columns else "txt"
        yield from _text_rows(itertools.chain([first], text), name, "standard input")


@contextlib.contextmanager
def _explain_read_errors(path: str | Path, encoding: str) -> Iterator[None]:
    """Turns whatever a library raises while a file is read into an error for people."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not {encoding}: byte 0x{error.object[error.start]:02x} cannot be read. "
            "Convert the file to UTF-8, or give its `encoding` (often windows-1252)."
        ) from None
    except LookupError:
        raise InputError(f"`encoding` {encoding}: no such encoding.") from None
    except InputError:
        raise
    except (OSError, EOFError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read: {brief(error)}.") from None


def _without_byte_order_mark(encoding: str) -> str:
    # A byte-order mark, which spreadsheets write, is no part of the first column's name.
    return "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding


def _text_rows(text: Iterable[str], name: str, source: str) -> Iterator[dict[str, Any]]:
    if name == "jsonl":
        yield from _json_rows(text, source)
    elif name == "txt":
        for line in text:
            if line.strip():
                yield {"essay": line.rstrip("\r\n")}
    else:
        yield from _separated_rows(text, "\t" if name == "tsv" else ",", source)


def _separated_rows(text: Iterable[str], delimiter: str, source: str) -> Iterator[dict[str, Any]]:
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        header = next(reader, None)
        if not header or not any(name.strip() for name in header):
            raise InputError(f"{source} has no header line with the names of its columns.")
        header = [name.strip() for name in header]
        twice = {name for name in header if header.count(name) > 1}
        if twice:
            raise InputError(f"{source} has several columns named {sorted(twice)[0]!r}.")
        for values in reader:
            if not values:
                continue
            if len(values) != len(header):
                raise InputError(
                    f"{source}, line {reader.line_num}: {len(values)} fields where the header has {len(header)}. "
                    "Is a quote or a separator inside an essay not quoted?"
                )
            yield dict(zip(header, values, strict=True))
    except csv.Error as error:
        problem = "a quote is opened and never closed" if "unexpected end of data" in str(error) else str(error)
        raise InputError(f"{source}, line {reader.line_num}: {problem}.") from None


def _json_rows(text: Iterable[str], source: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{source}, line {number}: not JSON ({error}). One object a line is needed.") from None
        if not isinstance(row, dict):
            raise InputError(f"{source}, line {number}: one JSON object a line is needed, not {type(row).__name__}.")
        yield row


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    # The command line checks file names before it imports anything that takes long.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a Parquet file that can be read: {brief(error)}.") from None
