"""Rows of a table written as CSV, TSV, JSON lines, Parquet or .xlsx, in memory that does not grow with their number."""

import bz2
import contextlib
import csv
import datetime
import gzip
import io
import json
import lzma
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from ...errors import InputError, brief
from ...files import finite
from ..formats import compression, output_format

# Of Excel: https://support.microsoft.com/office/1672b34d-7043-467e-8e27-269d656771c3
MAX_CELL_CHARACTERS = 32_767
MAX_SHEET_ROWS = 1_048_576
# Whole numbers up to here are exact in a sheet, whose numbers are floating-point numbers.
MAX_SHEET_NUMBER = 2**53
# Cells that begin so may be taken for a formula (https://owasp.org/www-community/attacks/CSV_Injection).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
SPREADSHEETS = ("csv", "tsv", "xlsx")
CHUNK = 1024


def check_safe_for_spreadsheets(output: str | Path):
    """
    Checks that spreadsheets open a format.

    Raises:
        InputError: if they do not, so that nothing is to be made safe for them.
    """
    if output_format(output) not in SPREADSHEETS:
        raise InputError(f"`safe_for_spreadsheets` has no effect on {output}: it is for {', '.join(SPREADSHEETS)}.")


def write_rows(rows: Iterable[dict[str, Any]], path: Path, output: str | Path, safe_for_spreadsheets: bool = False):
    """
    Writes a table to a file. The same rows give the same bytes at any time.

    Args:
        rows: all with the first one's columns, but for JSON lines, whose rows may differ.
        path: the file to write.
        output: the name that the file is to have, which tells format and compression.
        safe_for_spreadsheets: whether a text that a spreadsheet could take for a formula gets an apostrophe before it.

    Raises:
        InputError: if the format cannot hold a value; it names the row.
    """
    name = output_format(output)
    written: Iterator[dict[str, Any]] = map(safe_row, rows) if safe_for_spreadsheets else iter(rows)
    if name == "parquet":
        _write_parquet(written, path, str(output))
    elif name == "xlsx":
        _write_workbook(written, path, str(output))
    else:
        with _text_file(path, output) as file:
            _write_text(written, file, name)


def write_rows_to_stream(rows: Iterable[dict[str, Any]], file: TextIO, safe_for_spreadsheets: bool = False):
    """Writes a table as CSV to a stream of text, such as standard output; what cannot be written to its end is an error."""
    if isinstance(file, io.TextIOWrapper):
        # Whatever the terminal's encoding is.
        file.reconfigure(encoding="utf-8", newline="")
    _write_text(map(safe_row, rows) if safe_for_spreadsheets else iter(rows), file, "csv")
    # Not when Python ends, when nobody can say any more that the disk is full.
    file.flush()


@contextlib.contextmanager
def _text_file(path: Path, output: str | Path) -> Iterator[TextIO]:
    """A text file in UTF-8, compressed as the output's name says."""
    with contextlib.ExitStack() as stack:
        binary = _compressed(stack.enter_context(open(path, "wb")), output, stack)
        yield stack.enter_context(io.TextIOWrapper(binary, encoding="utf-8", newline=""))


def _compressed(file: BinaryIO, output: str | Path, stack: contextlib.ExitStack) -> Any:
    """A binary file that compresses into another, without the time or that file's name in it."""
    kind = compression(output)
    if kind == "gzip":
        return stack.enter_context(gzip.GzipFile("", "wb", fileobj=file, mtime=0))
    if kind == "bz2":
        return stack.enter_context(bz2.open(file, "wb"))
    if kind == "xz":
        return stack.enter_context(lzma.open(file, "wb"))
    if kind == "zstd":
        import pyarrow as pa

        return stack.enter_context(pa.CompressedOutputStream(pa.PythonFile(file, "w"), "zstd"))
    if kind == "zip":
        archive = stack.enter_context(zipfile.ZipFile(file, "w"))
        member = zipfile.ZipInfo(Path(output).with_suffix("").name)
        member.compress_type = zipfile.ZIP_DEFLATED
        return stack.enter_context(archive.open(member, "w", force_zip64=True))
    return file


def _write_text(rows: Iterator[dict[str, Any]], file: TextIO, name: str):
    if name == "jsonl":
        for row in rows:
            file.write(_json(row) + "\n")
        return
    first = next(rows, None)
    if first is None:
        return
    delimiter = "\t" if name == "tsv" else ","
    plain = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    # A row of several lines has every cell in quotes: a lone CR needs them, and no part of it looks like a row.
    quoted = csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
    names = list(first)
    table: Iterator[list[Any]] = chain([names], ([row.get(name) for name in names] for row in chain([first], rows)))
    for values in table:
        cells = [as_text(value) for value in values]
        spans_lines = any("\n" in cell or "\r" in cell for cell in cells)
        (quoted if spans_lines else plain).writerow(cells)


def _write_workbook(rows: Iterator[dict[str, Any]], path: Path, output: str):
    import xlsxwriter

    with xlsxwriter.Workbook(str(path), {"constant_memory": True, "tmpdir": str(path.parent)}) as workbook:
        # Not when it was made: the same rows give the same bytes.
        workbook.set_properties({"created": datetime.datetime(2000, 1, 1)})
        sheet = workbook.add_worksheet("scores")
        names: list[str] = []
        for number, row in enumerate(rows, start=1):
            check_fits_sheet(row, number, output)
            if number == 1:
                names = list(row)
                for column, name in enumerate(names):
                    sheet.write_string(0, column, name)
            for column, name in enumerate(names):
                _write_cell(sheet, number, column, row.get(name))


def check_fits_sheet(row: dict[str, Any], number: int, output: str | Path):
    """
    Checks that a sheet of a workbook can hold a row.

    Args:
        row: of the table.
        number: of the row, from 1.
        output: what to call the workbook.

    Raises:
        InputError: if there are too many rows, or a cell or a name is too long or holds what cannot be written.
    """
    if number >= MAX_SHEET_ROWS:
        raise InputError(f"{output}: a sheet holds {MAX_SHEET_ROWS - 1:,} rows below its header. Write .csv instead.")
    for name, value in row.items():
        for text in (name, as_text(value)):
            where = f"{output}, row {number}, column {name[:40]!r}"
            if len(text) > MAX_CELL_CHARACTERS:
                raise InputError(
                    f"{where}: {len(text):,} characters, and a cell of .xlsx holds {MAX_CELL_CHARACTERS:,}. Write .csv "
                    "instead."
                )
            if "\ufffe" in text or "\uffff" in text:
                raise InputError(f"{where}: U+FFFE and U+FFFF cannot be written in .xlsx. Write .csv instead.")


def _write_cell(sheet: Any, row: int, column: int, value: Any):
    if isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif isinstance(value, (int, float)) and _is_exact_in_sheet(value):
        sheet.write_number(row, column, value)
    elif value is not None:
        # Never a formula, a number or a link, whatever it looks like.
        sheet.write_string(row, column, as_text(value))


def _is_exact_in_sheet(number: int | float) -> bool:
    """Whether a number comes back from a sheet, which keeps 16 digits, as it was."""
    return abs(number) <= MAX_SHEET_NUMBER and float(f"{number:.16G}") == number


class ParquetTypes:
    """
    The types of a table's columns, told chunk by chunk.

    Args:
        output: what to call the table in messages.

    Attributes:
        schema: what holds all chunks that were added; None before the first.

    Raises:
        InputError: from `add`, if no one type holds a column's values.
    """

    def __init__(self, output: str | Path):
        self.schema: Any = None
        self._output, self._num_rows = output, 0

    def add(self, rows: list[dict[str, Any]]) -> Any:
        """The rows as a table of Arrow, with types of its own."""
        import pyarrow as pa

        names = self.schema.names if self.schema is not None else list(rows[0])
        table = _arrow_table(rows, names, self._num_rows, str(self._output))
        self._num_rows += len(rows)
        try:
            schemas = [table.schema] if self.schema is None else [self.schema, table.schema]
            self.schema = pa.unify_schemas(schemas, promote_options="permissive")
        except pa.ArrowException as error:
            raise InputError(_says_types_differ(str(self._output), "a column", brief(error))) from None
        return table


def _write_parquet(rows: Iterator[dict[str, Any]], path: Path, output: str):
    """
    Chunks are kept in a temporary file, each with its own types, until the types that hold all of them are known.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types, num_chunks = ParquetTypes(output), 0
    with tempfile.TemporaryFile(dir=path.parent) as chunks:
        while chunk := list(islice(rows, CHUNK)):
            table = types.add(chunk)
            num_chunks += 1
            with pa.ipc.new_stream(chunks, table.schema) as writer:
                writer.write_table(table)
        try:
            chunks.seek(0)
            with pq.ParquetWriter(path, types.schema) as parquet:
                for _ in range(num_chunks):
                    parquet.write_table(pa.ipc.open_stream(chunks).read_all().cast(types.schema))
        except pa.ArrowException as error:
            raise InputError(_says_types_differ(output, "a column", brief(error))) from None


def _arrow_table(rows: list[dict[str, Any]], names: list[str], num_before: int, output: str) -> Any:
    import pyarrow as pa

    arrays = []
    for name in names:
        try:
            arrays.append(pa.array([row.get(name) for row in rows]))
        except (pa.ArrowException, OverflowError) as error:
            where = f"{output}, rows {num_before + 1} to {num_before + len(rows)}: column {name!r}"
            raise InputError(_says_types_differ(where, "it", brief(error))) from None
    return pa.Table.from_arrays(arrays, names=names)


def _says_types_differ(where: str, what: str, reason: str) -> str:
    return f"{where}: {what} holds values of several types, and Parquet holds one ({reason}). Write .jsonl instead."


def as_text(value: Any) -> str:
    """A value as a cell: nothing for None, dates and times as ISO 8601, lists and dictionaries as JSON."""
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        return _json(value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _json(value: Any) -> str:
    """JSON that any parser reads: numbers that are not finite become null."""
    try:
        return json.dumps(value, ensure_ascii=False, default=as_text, allow_nan=False)
    except ValueError:
        return json.dumps(finite(value), ensure_ascii=False, default=as_text)


def safe_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row without anything that a spreadsheet could take for a formula: such text has an apostrophe before it."""
    return {_safe_cell(name): _safe_cell(value) for name, value in row.items()}


def _safe_cell(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(FORMULA_STARTS):
        return value
    try:
        float(value)
    except ValueError:
        return "'" + value
    return value
