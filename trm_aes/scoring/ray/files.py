"""Tables of any file system as a data set of Ray: their rows, each with its place, as `trm-aes score` reads them."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
from pyarrow import fs

from ...data.formats import TableReading, file_format, is_local
from ...data.tables import CHUNK, ParquetTypes, UnreadRow, read_or_unread_rows
from ...errors import InputError, explained
from ..input_rows import check_is_like_first
from .cluster import ray
from .rows import FILE, PREFIX, REASON, ROW

# Text of a row that could not be split into cells.
UNREAD_TEXT = f"{PREFIX}unread"


def file_system_of(path: str) -> tuple[fs.FileSystem, str]:
    """
    The file system that a path or an address (`s3://`, `gs://`, and whatever fsspec knows) leads into, and the path there.

    Raises:
        InputError: if no file system goes by that name.
    """
    if is_local(path):
        return fs.LocalFileSystem(), str(Path(path).absolute())
    with explained(f"{path} cannot be reached", "Is its address right, and the package for its file system installed?"):
        with contextlib.suppress(pa.ArrowInvalid):
            return fs.FileSystem.from_uri(path)
        found, inner = fsspec.core.url_to_fs(path)
        return fs.PyFileSystem(fs.FSSpecHandler(found)), inner


@dataclass(frozen=True)
class SourceFiles:
    """
    The files of an input, in the order of their names.

    Args:
        system: where they lie.
        paths: there.
        names: what messages call them.
        states: size and time of the last change of each.
    """

    system: fs.FileSystem
    paths: tuple[str, ...]
    names: tuple[str, ...]
    states: tuple[tuple[Any, ...], ...]

    @classmethod
    def find(cls, source: str) -> "SourceFiles":
        """
        A file, or the tables in a folder; names that begin with a dot or an underscore do not count.

        Raises:
            InputError: if there is nothing to read, a file that is no table, or folders beside the tables.
        """
        system, path = file_system_of(source)
        with explained(f"{source} cannot be read", "Is its address right, and may you read it?"):
            info = system.get_file_info(path)
            if info.type == fs.FileType.NotFound:
                raise InputError(f"{source} does not exist.")
            found = [info] if info.is_file else system.get_file_info(fs.FileSelector(path))
        is_folder = not info.is_file
        counted = [file for file in found if not (is_folder and file.base_name.startswith((".", "_")))]
        files = sorted((file for file in counted if file.is_file), key=lambda file: file.path)
        inner = sorted(file.base_name for file in counted if not file.is_file)
        if files and inner:
            raise InputError(
                f"{source} holds tables and the folder {inner[0]} as well, which would not be read: give a folder of tables alone."
            )
        names = tuple(f"{source.rstrip('/')}/{file.base_name}" if is_folder else source for file in files)
        if not files:
            raise InputError(f"{source} holds no files.")
        for name in names:
            file_format(name)
        return cls(system, tuple(file.path for file in files), names, tuple(map(_state, files)))

    def check_state(self):
        """
        Checks that the files look as they did when they were found.

        Raises:
            InputError: if one does not.
        """
        for name, info, state in zip(self.names, self.system.get_file_info(list(self.paths)), self.states, strict=True):
            if _state(info) != state:
                raise InputError(f"{name} changed while it was being scored: nothing was written. Run it again.")

    @contextlib.contextmanager
    def on_disk(self, number: int) -> Iterator[str]:
        """The path of a file on this machine, where a file of another system is copied for as long as the block lasts."""
        path, name = self.paths[number], self.names[number]
        if isinstance(self.system, fs.LocalFileSystem):
            yield path
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / Path(path).name
            with (
                explained(f"{name} cannot be read"),
                self.system.open_input_stream(path, compression=None) as remote,
                open(copy, "wb") as file,
            ):
                shutil.copyfileobj(remote, file)
            yield str(copy)


def _state(info: fs.FileInfo) -> tuple[Any, ...]:
    return info.type, info.size, info.mtime_ns


def read_files(
    files: SourceFiles, reading: TableReading, essay_column: str, schema: pa.Schema | None = None
) -> "ray.data.Dataset":
    """The rows of all files, each file read by a task; see [`read_file`]."""
    numbers = [{FILE: number} for number in range(len(files.paths))]
    dataset = ray.data.from_items(numbers, override_num_blocks=len(numbers))
    dataset.context.enable_progress_bars = False
    dataset.context.print_on_execution_start = False
    read = partial(read_file, files=files, reading=reading, essay_column=essay_column, schema=schema)
    return dataset.map_batches(read, batch_size=1, batch_format="pyarrow")


def read_file(
    numbers: pa.Table, files: SourceFiles, reading: TableReading, essay_column: str, schema: pa.Schema | None = None
) -> Iterator[pa.Table]:
    """
    The rows of a file in chunks, each row with its `FILE`, its `ROW` there from 1, and a `REASON` where it cannot be read.

    Args:
        numbers: one row, the number of the file.
        files: all files.
        reading: what they do not say of themselves.
        essay_column: column with the essays.
        schema: of the columns; each chunk has types of its own if not given.

    Raises:
        InputError: if the file cannot be read.
    """
    [number] = numbers[FILE].to_pylist()
    name = files.names[number]
    with files.on_disk(number) as path:
        try:
            read = read_or_unread_rows(path, reading, [essay_column])
            # People know the file by its name, and not by that of its copy on this disk.
            named = (
                replace(row, reason=row.reason.replace(path, name)) if isinstance(row, UnreadRow) else row
                for row in read
            )
            for start, rows, columns in _chunks(named, name):
                yield _with_places(rows, columns if schema is None else conformed(columns, schema), number, start)
        except InputError as error:
            raise InputError(str(error).replace(path, name)) from None


def conformed(table: pa.Table | None, schema: pa.Schema) -> pa.Table:
    """A table with the columns and types of a schema; what it lacks is null."""
    if table is None:
        return schema.empty_table()
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def visible(schema: pa.Schema) -> pa.Schema:
    """A schema without the columns that travel beside those of the input."""
    return pa.schema([field for field in schema if not field.name.startswith(PREFIX)])


Row = dict[str, Any] | UnreadRow


def _chunks(rows: Iterator[Row], name: str) -> Iterator[tuple[int, list[Row], pa.Table | None]]:
    """
    Rows, the number of the first of them, and their columns: None before the first row that could be read, whose columns are
    those of all.
    """
    start, first, types = 1, None, ParquetTypes(name)
    while chunk := list(islice(rows, CHUNK)):
        for number, row in enumerate(chunk, start=start):
            if not isinstance(row, UnreadRow):
                first = first or row
                check_is_like_first(row, first, f"{name}, row {number}", "Parquet")
        columns = None
        if first is not None:
            columns = types.add([dict.fromkeys(first) if isinstance(row, UnreadRow) else row for row in chunk])
        yield start, chunk, columns
        start += len(chunk)


def _with_places(rows: list[Row], columns: pa.Table | None, number: int, start: int) -> pa.Table:
    unread = [row if isinstance(row, UnreadRow) else None for row in rows]
    places = {
        FILE: pa.array([number] * len(rows), pa.int64()),
        ROW: pa.array(range(start, start + len(rows)), pa.int64()),
        REASON: pa.array([row and row.reason for row in unread], pa.string()),
        UNREAD_TEXT: pa.array([row and row.text for row in unread], pa.string()),
    }
    if columns is not None:
        # None of these rows may have been read.
        places |= {
            field.name: columns[field.name] if len(columns) else pa.nulls(len(rows), field.type)
            for field in columns.schema
        }
    return pa.table(places)
