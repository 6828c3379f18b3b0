"""A run of `trm-aes score --engine ray`: files of essays in, a folder of Parquet files out."""

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from ...data.formats import AS_FOUND, TableReading
from ...errors import InputError
from ...records import package_versions
from ...version import __version__
from ..input_rows import REFUSED, USUAL_COLUMNS, BadRows, InputColumns
from ..review import ReviewRule
from ..scorer import EssayScorer
from ..stream import WINDOW, ScoringSummary
from .cluster import Workers, joined, task_errors
from .dataset import rules_of, score_checked
from .files import SourceFiles, read_files
from .output import ScoredFolder, check_parts, write_part, write_success
from .rows import checked, mapped
from .survey import survey_rows

if TYPE_CHECKING:
    import ray.data

# Of an output's files.
ROWS_PER_FILE = 16 * WINDOW


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
    Scores every essay of one or many tables on a cluster of Ray, in memory that does not grow with their number, but for
    rows that are set aside.

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
        survey = survey_rows(files, reading, rules, bad_rows.skip)
        rows = checked(read_files(files, reading, rules.columns.usual("essay"), survey.schema), rules)
        scored = score_checked(rows, scorer, rules, bad_rows, review, workers)
        files_to_be = scored.repartition(target_num_rows_per_block=ROWS_PER_FILE, strict=True)
        counts = _written(mapped(files_to_be, partial(write_part, system=system, folder=path)), survey.num_usable)
        files.check_state()
        if counts["scored"] + counts["unknown"] != survey.num_usable:
            raise InputError(f"{source} changed while it was being scored: nothing was written. Run it again.")
        check_parts(counts["parts"], system, path, output)
        record = {"version": __version__, "packages": package_versions(), "counts": counts, **scorer.checksums()}
        write_success(system, path, record)
    rejected = folder.write_rejected(survey.check, bad_rows.in_words)
    return ScoringSummary(
        counts["scored"],
        counts["cut"],
        survey.num_usable + len(survey.check.reasons),
        counts["unknown"],
        rejected,
        None if review is None else counts["to_review"],
    )


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
