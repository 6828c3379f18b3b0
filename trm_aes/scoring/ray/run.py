"""A run of `trm-aes score --engine ray`: files of essays in, a folder of Parquet files out."""

import pickle
from collections import Counter
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from ...data.formats import AS_FOUND, TableReading
from ...data.rejection import UNREAD, RowCheck
from ...errors import InputError, brief
from ...records import package_versions
from ...version import __version__
from ..input_rows import REFUSED, USUAL_COLUMNS, BadRows, InputColumns
from ..review import ReviewRule
from ..scorer import EssayScorer
from ..stream import ScoringSummary
from .cluster import Workers, joined, ray, task_errors
from .dataset import FILE, PREFIX, REASON, ROW, RowRules, checked, is_usable, rules_of, score_checked
from .files import UNREAD_TEXT, SourceFiles, read_file, visible
from .output import ROWS_PER_FILE, ScoredFolder, check_parts, write_part, write_success


def score_files(
    scorer: EssayScorer,
    source: str,
    output: str,
    columns: InputColumns = USUAL_COLUMNS,
    prompt_id: str | None = None,
    reading: TableReading = AS_FOUND,
    overwrite: bool = False,
    bad_rows: BadRows = REFUSED,
    review: ReviewRule | None = None,
    workers: Workers | None = None,
    address: str | None = None,
) -> ScoringSummary:
    """
    Scores every essay of one or many tables on a cluster of Ray, in memory that does not grow with their number.

    Rows are read, checked and scored as by [`score_file`], and have the same columns with the same values. The output is a
    folder of Parquet files whose names sort as the rows do, with a file `_SUCCESS` that says that it is whole.

    Args:
        scorer: what scores, on the CPU; workers take it from there.
        source: a table as of [`score_file`], or a folder of tables, on disks that all nodes see or at an address such as
            `s3://bucket/essays`.
        output: a folder, on disks that all nodes see or at an address.
        columns, prompt_id, bad_rows, review: as of [`score_file`].
        reading: what the tables do not say of themselves.
        overwrite: whether an earlier output may be replaced, in a file system of this machine.
        workers: which workers score.
        address: `HOST:PORT` of the cluster's head; Ray is started on this machine if not given.

    Raises:
        InputError: if there is nothing to score, a row cannot be scored, a file changes meanwhile, the output exists, or
            nothing answers at the address.
    """
    workers = workers or Workers()
    folder = ScoredFolder(output, overwrite)
    folder.check(source, bad_rows.skip)
    files = SourceFiles.find(source)
    rules = rules_of(scorer, columns, prompt_id, bad_rows, review, files.names)
    with joined(address, workers), folder.opened() as (system, path), task_errors():
        survey = _survey(files, reading, rules, bad_rows.skip)
        rows = checked(_read(files, reading, rules, survey.schema), rules)
        scored = score_checked(rows, scorer, rules, bad_rows, review, workers)
        parts = scored.repartition(target_num_rows_per_block=ROWS_PER_FILE, strict=True).map_batches(
            write_part, batch_size=None, batch_format="pyarrow", fn_kwargs={"system": system, "folder": path}
        )
        counts = _written(parts, survey.num_usable)
        files.check_state()
        if counts["scored"] + counts["unknown"] != survey.num_usable:
            raise InputError(f"{source} changed while it was being scored: nothing was written. Run it again.")
        check_parts(counts["parts"], system, path, output)
        record = {"version": __version__, "packages": package_versions(), "counts": counts, **scorer.checksums()}
        write_success(system, path, record)
    rejected = folder.write_rejected(survey.check, bad_rows.in_words) if bad_rows.skip else None
    return ScoringSummary(
        counts["scored"],
        counts["cut"],
        survey.num_usable + len(survey.check.reasons),
        counts["unknown"],
        rejected,
        None if review is None else counts["to_review"],
    )


def _read(
    files: SourceFiles, reading: TableReading, rules: RowRules, schema: pa.Schema | None = None
) -> "ray.data.Dataset":
    """The rows of all files; a task reads a file."""
    numbers = [{FILE: number} for number in range(len(files.paths))]
    dataset = ray.data.from_items(numbers, override_num_blocks=len(numbers))
    dataset.context.enable_progress_bars = False
    dataset.context.print_on_execution_start = False
    settings = {"files": files, "reading": reading, "essay_column": rules.columns.usual("essay"), "schema": schema}
    return dataset.map_batches(read_file, batch_size=1, batch_format="pyarrow", fn_kwargs=settings)


@dataclass
class _Survey:
    """What is known of an input before the first essay is scored."""

    check: RowCheck
    num_usable: int = 0
    schemas: list[pa.Schema] = field(default_factory=list)

    @property
    def schema(self) -> pa.Schema:
        """The schema that holds all files."""
        return reduce(_unified, self.schemas)


def _survey(files: SourceFiles, reading: TableReading, rules: RowRules, skip: bool) -> _Survey:
    """Reads and checks every row."""
    found = _Survey(RowCheck(skip))
    surveyed = checked(_read(files, reading, rules), rules).map_batches(
        _survey_table, batch_size=None, batch_format="pyarrow"
    )
    for chunk in surveyed.iter_rows():
        for file, row, cells, reason in pickle.loads(chunk["rejected"]):
            if not skip:
                raise InputError(reason)
            found.check.reject((file, row), cells, reason)
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
    usable = is_usable(table)
    rejected = [(row[FILE], row[ROW], _cells(row), row[REASON]) for row in table.filter(pc.invert(usable)).to_pylist()]
    return pa.table(
        {
            "num_usable": [pc.sum(usable).as_py() or 0],
            "schema": [visible(table.schema).serialize().to_pybytes()],
            "rejected": [pickle.dumps(rejected)],
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


def _written(parts: "ray.data.Dataset", num_essays: int) -> dict[str, Any]:
    """Runs it all; how many essays were written, and the names of the files."""
    counts: Counter[str] = Counter()
    names = []
    with tqdm(total=num_essays, desc="Scoring", unit="essay", disable=None) as bar:
        for part in parts.iter_rows():
            names.append(part.pop("part"))
            counts.update(part)
            bar.update(part["scored"] + part["unknown"])
    return {**counts, "parts": names}
