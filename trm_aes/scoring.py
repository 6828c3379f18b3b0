"""Scores a stream of essays of any length: rows in, the same rows with their scores out, in order."""

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, TextIO

from tqdm import tqdm

from .data.schema import check_essay_text
from .data.tables import STDIN, file_format, read_rows
from .errors import InputError
from .outputs import check_is_free, new_file
from .scorer import EssayScore, EssayScorer

# Essays in memory at once, sorted by length among themselves.
WINDOW = 1024
OUTPUT_FORMATS = ("csv", "tsv", "jsonl")
ADDED_COLUMNS = ("predicted_score", "rounded_score", "probability", "supervision_steps")


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
    encoding: str = "utf-8",
    overwrite: bool = False,
) -> ScoringSummary:
    """
    Scores every essay of a table, in memory that does not grow with their number.

    The output has the input's rows and columns in the input's order, and after them `predicted_score` (in the prompt's
    range), `rounded_score`, `probability` (the halting head's, that the rounded score is right) and
    `supervision_steps`. A file is read twice: all of it is checked before the first essay is scored.

    Args:
        scorer: what scores.
        source: CSV, TSV, JSON lines, Parquet, text with an essay a line, or `-` for standard input.
        output: `.csv`, `.tsv` or `.jsonl`, or `-` for CSV on standard output. It appears when it is whole.
        columns: what the input's columns are called.
        prompt_id: the prompt that all essays answer, whatever the input says.
        encoding: of the input.
        overwrite: whether an existing output may be replaced.

    Raises:
        InputError: if a row cannot be scored, or the output exists.
    """
    if output != STDIN:
        output_format = file_format(output)
        if output_format not in OUTPUT_FORMATS:
            raise InputError(f"{output}: unknown format. Scores are written as {', '.join(OUTPUT_FORMATS)}.")
        check_is_free(output, overwrite)
    if prompt_id is not None:
        scorer.prompt_of(prompt_id, None, "--prompt-id")

    def checked_rows() -> Iterator[tuple[dict, str]]:
        for number, row in enumerate(read_rows(source, encoding), start=1):
            yield row, _check_row(row, number, source, columns, prompt_id, scorer)

    num_essays = None
    if source != STDIN:
        num_essays = sum(1 for _ in checked_rows())
        if not num_essays:
            raise InputError(f"{source} holds no essays.")
    counts: Counter[str] = Counter()
    rows = _scored_rows(scorer, checked_rows(), columns.essay, num_essays, counts)
    if output == STDIN:
        _write(rows, sys.stdout, "csv")
    else:
        with new_file(output, overwrite) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
            _write(rows, file, output_format)
    return ScoringSummary(counts["scored"], counts["cut"])


def _check_row(
    row: dict, number: int, source: str, columns: InputColumns, prompt_id: str | None, scorer: EssayScorer
) -> str:
    """The id of the prompt that a row's essay answers, after everything about the row has been checked."""
    where = f"{source}, row {number}"
    if columns.essay not in row:
        raise InputError(
            f"{where}: no column {columns.essay!r}; there are {', '.join(map(str, row))}. Name it with --essay-column."
        )
    taken = [name for name in ADDED_COLUMNS if name in row]
    if taken:
        raise InputError(f"{where}: the input has a column {taken[0]!r} of its own. Rename it: the scores go there.")
    check_essay_text(row[columns.essay], where)
    if prompt_id is not None:
        return prompt_id
    named, text = row.get(columns.prompt_id), row.get(columns.prompt)
    return scorer.prompt_of(
        None if named is None else str(named).strip(), None if text is None else str(text).strip(), where
    )


def _scored_rows(
    scorer: EssayScorer, rows: Iterable[tuple[dict, str]], essay_column: str, total: int | None, counts: Counter
) -> Iterator[dict]:
    with tqdm(total=total, desc="Scoring", unit="essay", disable=None) as bar:
        rows = iter(rows)
        while window := list(islice(rows, WINDOW)):
            results = scorer.score([row[essay_column] for row, _ in window], [prompt_id for _, prompt_id in window])
            for (row, _), result in zip(window, results, strict=True):
                counts["scored"] += 1
                counts["cut"] += result.was_cut
                yield {**row, **_added(result)}
            bar.update(len(window))


def _added(result: EssayScore) -> dict[str, Any]:
    values = (round(result.score, 6), result.rounded_score, round(result.probability, 6), result.supervision_steps)
    return dict(zip(ADDED_COLUMNS, values, strict=True))


def _write(rows: Iterator[dict], file: TextIO, output_format: str):
    if output_format == "jsonl":
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
        return
    writer = None
    for number, row in enumerate(rows, start=1):
        if writer is None:
            delimiter = "\t" if output_format == "tsv" else ","
            writer = csv.DictWriter(file, list(row), delimiter=delimiter, lineterminator="\n")
            writer.writeheader()
        strange = [name for name in row if name not in writer.fieldnames]
        if strange:
            raise InputError(
                f"Row {number} has a field {strange[0]!r} that the first row lacks, and {output_format} needs the same "
                "columns throughout. Write .jsonl instead."
            )
        writer.writerow({name: _as_cell(value) for name, value in row.items()})


def _as_cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
