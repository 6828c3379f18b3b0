"""Rows of tables of Arrow, checked as `trm-aes score` checks them, by tasks of Ray that hold no scorer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ...data.rejection import REASON as REJECTED_FOR
from ...errors import InputError
from ..input_rows import InputColumns, check_columns, check_row
from ..unknown_prompts import PromptRule

if TYPE_CHECKING:
    import ray.data

# Columns that travel beside those of the input, and reach no output: the prompt as whose an essay is scored, why a row cannot
# be used, the number of its file and its own number there, and whether its essay was too long.
PREFIX = "trm_aes:"
PROMPT, REASON, FILE, ROW, WAS_CUT = (f"{PREFIX}{name}" for name in ("prompt", "reason", "file", "row", "was_cut"))


@dataclass(frozen=True)
class RowRules:
    """
    What the rows of a data set are checked by.

    Args:
        columns, prompt_id: as of [`score_dataset`].
        rule: what becomes of unknown prompts.
        added: columns that the scores are written to.
        files: names of the files that rows come from, where they have numbers of files.
    """

    columns: InputColumns
    prompt_id: str | None
    rule: PromptRule
    added: tuple[str, ...]
    files: tuple[str, ...] = ()

    def place(self, row: Mapping[str, Any]) -> str:
        """What messages call a row."""
        return f"{self.files[row[FILE]]}, row {row[ROW]}" if FILE in row else "a row of the data set"


def checked(dataset: "ray.data.Dataset", rules: RowRules) -> "ray.data.Dataset":
    """The rows, in their order, each with its `PROMPT`, and with a `REASON` where it cannot be used."""
    dataset.context.execution_options.preserve_order = True
    # What we say in a task, and not that a task has failed.
    dataset.context.raise_original_map_exception = True
    return mapped(dataset, partial(check_table, rules=rules))


def mapped(dataset: "ray.data.Dataset", task: Callable[[pa.Table], pa.Table]) -> "ray.data.Dataset":
    """What a task makes of each block of a data set, a table of Arrow."""
    return dataset.map_batches(task, batch_size=None, batch_format="pyarrow")


def check_table(table: pa.Table, rules: RowRules) -> pa.Table:
    """Rows with their `PROMPT` and `REASON`; rows that have a reason already keep it."""
    columns = rules.columns
    needed = [columns.usual(role) for role in ("essay", "prompt_id", "prompt")]
    known = [name for name in (*needed, FILE, ROW, REASON) if name in table.column_names]
    names = dict.fromkeys(name for name in table.column_names if not name.startswith(PREFIX))
    prompts, reasons = [], []
    for row in table.select(known).to_pylist():
        prompt, reason, where = None, row.get(REASON), rules.place(row)
        if reason is None:
            check_columns(names, where, columns, (*rules.rule.added(""), *rules.added))
            try:
                prompt = check_row(row, where, columns, rules.prompt_id, rules.rule)
            except InputError as error:
                reason = str(error)
        prompts.append(prompt)
        reasons.append(reason)
    if REASON in known:
        table = table.drop_columns([REASON])
    return table.append_column(PROMPT, pa.array(prompts, pa.string())).append_column(
        REASON, pa.array(reasons, pa.string())
    )


def is_usable(table: pa.Table) -> pa.ChunkedArray:
    """Which rows of a table that was checked can be used."""
    return pc.is_null(table[REASON])


def usable_table(table: pa.Table, skip: bool) -> pa.Table:
    """
    The rows of a table that was checked which can be used.

    Raises:
        InputError: if there are others, and they are not to be skipped.
    """
    found = table.filter(is_usable(table)).drop_columns([REASON])
    if not skip and found.num_rows < table.num_rows:
        raise InputError(next(reason for reason in table[REASON].to_pylist() if reason is not None))
    return found


def rejected_table(table: pa.Table) -> pa.Table:
    """The rows of a table that was checked which cannot be used, with a last column `reason`."""
    found = table.filter(pc.invert(is_usable(table)))
    return found.drop_columns([PROMPT, REASON]).append_column(REJECTED_FOR, found[REASON])
