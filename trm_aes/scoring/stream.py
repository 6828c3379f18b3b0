"""Scores a stream of essays of any length: rows in, the same rows with their scores out, in order."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from accelerate import PartialState
from tqdm import tqdm

from ..data.formats import AS_FOUND, STANDARD_STREAM, TableReading, output_format
from ..data.schema import check_essay_text
from ..data.tables import (
    check_fits_sheet,
    check_safe_for_spreadsheets,
    file_checksum,
    read_rows,
    write_rows,
    write_rows_to_stream,
)
from ..errors import InputError, InterruptedRun
from ..files import check_is_free, new_file
from ..model.essay_tokens import EncodedEssay
from ..naming import listing
from ..version import __version__
from .parts import ScoringParts
from .scorer import EssayScore, EssayScorer

# Essays that are sorted by length among themselves, and kept as one part; three such windows are in memory at once.
WINDOW = 1024
ADDED_COLUMNS = ("predicted_score", "rounded_score", "confidence", "supervision_steps")


# A row, and the id of the prompt that its essay answers.
CheckedRow = tuple[dict[str, Any], str]


@dataclass(frozen=True)
class InputColumns:
    """Which columns of the input hold what; `prompt_id` and `prompt` may be absent."""

    essay: str = "essay"
    prompt_id: str = "prompt_id"
    prompt: str = "prompt"


@dataclass(frozen=True)
class ScoringSummary:
    """How many essays were scored, and how many of them were too long to be read to the end."""

    num_scored: int
    num_cut: int


def score_file(
    scorer: EssayScorer,
    source: str,
    output: str,
    columns: InputColumns = InputColumns(),
    prompt_id: str | None = None,
    reading: TableReading = AS_FOUND,
    overwrite: bool = False,
    processes: PartialState | None = None,
    safe_for_spreadsheets: bool = False,
) -> ScoringSummary:
    """
    Scores every essay of a table, in memory that does not grow with their number.

    The output has the input's rows and columns in the input's order, each cell as it stands there, and after them
    `predicted_score` (in the prompt's range), `rounded_score`, `confidence` (the halting head's, that the rounded score is
    right) and `supervision_steps`. A file is checked from end to end before its first essay is scored. Scores are kept in parts
    beside the output until that is whole: the same call goes on where an earlier one was interrupted.

    Args:
        scorer: what scores.
        source: CSV, TSV, JSON lines, Parquet, a workbook, text with an essay a line, or `-` for standard input.
        output: `.csv`, `.tsv` or `.jsonl`, compressed or not, `.parquet`, `.xlsx`, or `-` for CSV on standard output. It
            appears when it is whole.
        columns: what the input's columns are called.
        prompt_id: the prompt that all essays answer, whatever the input says.
        reading: what the input does not say of itself.
        overwrite: whether an existing output may be replaced.
        processes: this process's place among several that were started together and share the work; their output must
            lie on a file system that all of them see.
        safe_for_spreadsheets: whether text that a spreadsheet could take for a formula gets an apostrophe before it.

    Raises:
        InputError: if a row cannot be scored, or the output exists.
        InterruptedRun: on Ctrl-C.
    """
    processes = processes or PartialState(cpu=True)
    if output != STANDARD_STREAM:
        output_format(output)
        check_is_free(output, overwrite)
        if safe_for_spreadsheets:
            check_safe_for_spreadsheets(output)
    if prompt_id is not None:
        scorer.prompt_of(prompt_id, None, "`prompt_id`")

    def checked_rows() -> Iterator[CheckedRow]:
        for number, row in enumerate(read_rows(source, reading, [columns.essay]), start=1):
            yield row, _check_row(row, number, source, columns, prompt_id, scorer)

    if STANDARD_STREAM in (source, output):
        if processes.num_processes > 1:
            raise InputError("Standard input and output cannot be shared by several processes. Use files.")
        rows = _writable(checked_rows(), output)
        return _score_stream(scorer, rows, columns.essay, output, overwrite, safe_for_spreadsheets)

    settings = {
        "version": __version__,
        "source_sha256": file_checksum(source),
        "weights_sha256": scorer.checksum(),
        "dtype": str(scorer.model.dtype),
        "reading": vars(reading),
        "columns": vars(columns),
        "prompt_id": prompt_id,
        "window": WINDOW,
    }
    parts = ScoringParts(output, settings)
    num_essays = None
    with processes.main_process_first():
        if processes.is_main_process:
            num_essays = sum(1 for _ in _writable(checked_rows(), output))
            if not num_essays:
                raise InputError(f"{source} holds no essays.")
            parts.prepare()
    _score_parts(scorer, checked_rows(), columns.essay, parts, processes, num_essays)
    processes.wait_for_everyone()
    counts: Counter[str] = Counter()
    if processes.is_main_process:
        _write_output(_rows_with_parts(checked_rows(), parts, counts), output, overwrite, safe_for_spreadsheets)
        parts.remove()
    return ScoringSummary(counts["scored"], counts["cut"])


def _check_row(
    row: dict, number: int, source: str, columns: InputColumns, prompt_id: str | None, scorer: EssayScorer
) -> str:
    """The id of the prompt that a row's essay answers, after everything about the row has been checked."""
    where = f"{source}, row {number}"
    if columns.essay not in row:
        raise InputError(
            f"{where}: no column {columns.essay!r}; there are {listing(row, columns.essay)} Name it with `columns.essay`."
        )
    taken = [name for name in ADDED_COLUMNS if name in row]
    if taken:
        raise InputError(f"{where}: the input has a column {taken[0]!r} of its own. Rename it: the scores go there.")
    check_essay_text(row[columns.essay], where)
    if prompt_id is not None:
        return prompt_id
    named, text = (_name_in_cell(row.get(column), where, column) for column in (columns.prompt_id, columns.prompt))
    return scorer.prompt_of(named, text, where)


def _name_in_cell(value: Any, where: str, column: str) -> str | None:
    """A prompt's id or text; None for a blank cell, which names no prompt."""
    if isinstance(value, (list, dict)):
        raise InputError(
            f"{where}, column {column!r}: a {type(value).__name__} names no prompt. Give text or a number."
        )
    return None if value is None else str(value).strip() or None


def _writable(rows: Iterable[CheckedRow], output: str) -> Iterator[CheckedRow]:
    """The rows as they come, as long as the output's format can hold them."""
    written_as = "csv" if output == STANDARD_STREAM else output_format(output)
    first = None
    for number, (row, prompt_id) in enumerate(rows, start=1):
        first = first or row
        strange = [name for name in row if name not in first]
        if strange and written_as != "jsonl":
            raise InputError(
                f"Row {number} has a field {strange[0]!r} that the first row lacks, and {output} needs the same columns "
                "throughout. Write .jsonl instead."
            )
        if written_as == "xlsx":
            check_fits_sheet(row, number, output)
        yield row, prompt_id


def _windows(rows: Iterable[CheckedRow]) -> Iterator[list[CheckedRow]]:
    rows = iter(rows)
    while window := list(islice(rows, WINDOW)):
        yield window


def _encoded_ahead(
    scorer: EssayScorer, windows: Iterator[tuple[int, list[CheckedRow]]], essay_column: str
) -> Iterator[tuple[int, list[CheckedRow], list[EncodedEssay]]]:
    """Windows with their tokens; the next is read and tokenized while the last is being scored."""

    def read_next():
        number, window = next(windows, (None, []))
        essays, prompt_ids = [row[essay_column] for row, _ in window], [prompt_id for _, prompt_id in window]
        return number, window, scorer.encode(essays, prompt_ids)

    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = reader.submit(read_next)
        while True:
            number, window, encoded = coming.result()
            if not window:
                return
            coming = reader.submit(read_next)
            yield number, window, encoded


def _score_parts(
    scorer: EssayScorer,
    rows: Iterable[CheckedRow],
    essay_column: str,
    parts: ScoringParts,
    processes: PartialState,
    num_essays: int | None,
):
    """
    Scores this process's share of the windows: every `num_processes`-th, but for those that an earlier run has finished.
    """

    def windows() -> Iterator[tuple[int, list[CheckedRow]]]:
        for number, window in enumerate(_windows(rows)):
            if number % processes.num_processes == processes.process_index and number not in parts:
                yield number, window

    num_done = len(parts) * WINDOW
    if num_essays is not None:
        num_done = min(num_done, num_essays)
    # The first process's bar speaks for all: the others go on at its pace.
    is_shown = None if processes.is_main_process else True
    try:
        with tqdm(total=num_essays, initial=num_done, desc="Scoring", unit="essay", disable=is_shown) as bar:
            for number, window, encoded in _encoded_ahead(scorer, windows(), essay_column):
                parts.save(number, scorer.score_encoded(encoded, [prompt_id for _, prompt_id in window]))
                num_done += len(window)
                bar.update(len(window) * processes.num_processes)
    except KeyboardInterrupt:
        raise InterruptedRun(
            f"interrupted after {num_done} essays. The same command goes on from there; nothing else has changed."
        ) from None


def _rows_with_parts(rows: Iterable[CheckedRow], parts: ScoringParts, counts: Counter) -> Iterator[dict]:
    for number, window in enumerate(_windows(rows)):
        yield from _with_scores(window, parts.load(number), counts)


def _score_stream(
    scorer: EssayScorer,
    rows: Iterable[CheckedRow],
    essay_column: str,
    output: str,
    overwrite: bool,
    safe_for_spreadsheets: bool,
) -> ScoringSummary:
    """From standard input or to standard output: nothing is kept, so nothing can be taken up again."""
    counts: Counter[str] = Counter()

    def scored() -> Iterator[dict]:
        with tqdm(desc="Scoring", unit="essay", disable=None) as bar:
            for _, window, encoded in _encoded_ahead(scorer, enumerate(_windows(rows)), essay_column):
                yield from _with_scores(window, scorer.score_encoded(encoded, [name for _, name in window]), counts)
                bar.update(len(window))
        if not counts["scored"]:
            raise InputError("The input holds no essays.")

    _write_output(scored(), output, overwrite, safe_for_spreadsheets)
    return ScoringSummary(counts["scored"], counts["cut"])


def _with_scores(window: list[CheckedRow], scores: list[EssayScore], counts: Counter) -> Iterator[dict]:
    for (row, _), score in zip(window, scores, strict=True):
        counts["scored"] += 1
        counts["cut"] += score.was_cut
        yield {**row, **_added(score)}


def _added(result: EssayScore) -> dict[str, Any]:
    values = (round(result.score, 6), result.rounded_score, round(result.confidence, 6), result.supervision_steps)
    return dict(zip(ADDED_COLUMNS, values, strict=True))


def _write_output(rows: Iterator[dict[str, Any]], output: str, overwrite: bool, safe_for_spreadsheets: bool):
    """To a file, which appears when it is whole, or as CSV to standard output."""
    if output == STANDARD_STREAM:
        write_rows_to_stream(rows, sys.stdout, safe_for_spreadsheets)
        return
    with new_file(output, overwrite) as temporary:
        write_rows(rows, temporary, output, safe_for_spreadsheets)
