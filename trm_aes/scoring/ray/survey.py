"""All rows of an input read and checked, before the first essay is scored."""

from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...data.formats import TableReading
from ...data.rejection import UNREAD, RowCheck
from ...errors import InputError, brief
from .files import UNREAD_TEXT, SourceFiles, read_files, visible
from .rows import FILE, PREFIX, REASON, ROW, RowRules, checked, is_usable, mapped


@dataclass
class Survey:
    """
    What is known of an input before the first essay is scored.

    Args:
        check: the rows that are set aside.
        num_usable: rows that can be used.
        schemas: of chunks, each once.
    """

    check: RowCheck
    num_usable: int = 0
    schemas: list[pa.Schema] = field(default_factory=list)

    @property
    def schema(self) -> pa.Schema:
        """The schema that holds all files."""
        return reduce(_unified, self.schemas)


def survey_rows(files: SourceFiles, reading: TableReading, rules: RowRules, skip: bool) -> Survey:
    """
    Reads and checks every row.

    Raises:
        InputError: for the first row that cannot be used where such rows are not skipped, if no row can be used, or no one type
            holds a column's values.
    """
    found = Survey(RowCheck(skip))
    rows = checked(read_files(files, reading, rules.columns.usual("essay")), rules)
    for chunk in mapped(rows, _survey_table).iter_rows():
        for row in pa.ipc.open_stream(chunk["rejected"]).read_all().to_pylist():
            if not skip:
                raise InputError(row[REASON])
            found.check.reject((row[FILE], row[ROW]), _cells(row), row[REASON])
        found.num_usable += chunk["num_usable"]
        schema = pa.ipc.read_schema(pa.py_buffer(chunk["schema"]))
        if schema not in found.schemas:
            found.schemas.append(schema)
    if not found.num_usable:
        name = files.names[0] if len(files.names) == 1 else f"None of {len(files.names)} files"
        raise InputError(
            found.check.no_row_left(name) if found.check.reasons else f"{name} holds no essays that can be scored."
        )
    return found


def _survey_table(table: pa.Table) -> pa.Table:
    """One row: of how many rows a chunk has that can be used, its types, and the rows that cannot be used."""
    usable, rejected = is_usable(table), pa.BufferOutputStream()
    with pa.ipc.new_stream(rejected, table.schema) as stream:
        stream.write_table(table.filter(pc.invert(usable)))
    return pa.table(
        {
            "num_usable": [pc.sum(usable).as_py() or 0],
            "schema": [visible(table.schema).serialize().to_pybytes()],
            "rejected": [rejected.getvalue().to_pybytes()],
        }
    )


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    """What is written of a row that is set aside."""
    if row[UNREAD_TEXT] is not None:
        return {UNREAD: row[UNREAD_TEXT]}
    return {name: value for name, value in row.items() if not name.startswith(PREFIX)}


def _unified(one: pa.Schema, other: pa.Schema) -> pa.Schema:
    try:
        return pa.unify_schemas([one, other], promote_options="permissive")
    except pa.ArrowException as error:
        raise InputError(
            f"A column holds values of several types, and Parquet holds one ({brief(error)}). Score without `engine` ray, to "
            ".jsonl."
        ) from None
