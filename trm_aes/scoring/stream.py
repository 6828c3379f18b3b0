"""Scores a stream of essays of any length: rows in, the same rows with their scores out, in order."""

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tqdm import tqdm

from ..data.formats import AS_FOUND, STANDARD_STREAM, TableReading, file_format, output_format
from ..data.rejection import RowCheck, check_can_reject, rejected_path
from ..data.tables import (
    check_safe_for_spreadsheets,
    write_rows,
    write_rows_to_stream,
)
from ..errors import InputError, InterruptedRun
from ..files import check_is_file_to_be, check_is_outside, new_file, owned
from ..model.advisories_trm import shown_advisories
from ..model.essay_tokens import EncodedEssay
from ..records import package_versions
from ..version import __version__
from .input_rows import (
    ADDED_COLUMNS,
    REFUSED,
    USUAL_COLUMNS,
    BadRows,
    CheckedRow,
    InputColumns,
    added_columns,
    check_rows,
    shown_types,
    trait_columns,
    writable,
)
from .parts import ScoringParts
from .review import NEEDS_REVIEW, ReviewRule
from .scorer import EssayScore, EssayScorer
from .source_file import SourceFile
from .unknown_prompts import PromptRule

# oneDNN, with which PyTorch multiplies on a CPU, keeps what it has compiled for 1,024 shapes of products; a stream of essays has
# so many, and they took 900 MB in bfloat16 (docs/lab/performance.md). It reads this when it is first used.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
# Essays that are sorted by length among themselves, and kept as one part; three such windows are in memory at once.
WINDOW = 1024


@dataclass(frozen=True)
class ScoringSummary:
    """
    How many essays were scored, how many of them were too long to be read to the end, how many rows were read, how many
    were not scored because their prompt is unknown, a sentence on rows that were set aside (None if there are none), and how
    many essays a person should read (None where that was not asked).
    """

    num_scored: int
    num_cut: int
    num_read: int
    num_unknown: int = 0
    rejected: str | None = None
    num_to_review: int | None = None


def score_file(
    scorer: EssayScorer,
    source: str,
    output: str,
    columns: InputColumns = USUAL_COLUMNS,
    prompt_id: str | None = None,
    reading: TableReading = AS_FOUND,
    overwrite: bool = False,
    bad_rows: BadRows = REFUSED,
    safe_for_spreadsheets: bool = False,
    review: ReviewRule | None = None,
) -> ScoringSummary:
    """
    Scores every essay of a table, in memory that does not grow with their number, but for rows that are set aside.

    The output has the input's rows and columns in the input's order, each cell as it stands there, and after them
    `predicted_score` (in the prompt's range), `rounded_score`, `confidence` (the halting head's, that the rounded score is
    right), `supervision_steps`, where the scorer has an error model `predicted_error` (points of the scale, or steps from label
    to label), `score_low` and `score_high` (ends of the set of scores that holds the human one with a probability of 0.9), which
    are empty otherwise, for each trait of the scorer its score and that rounded (`predicted_style` and `rounded_style`, say,
    empty where the prompt lacks it), and `advisories` (their names, joined by "; "). A file that is scored to a file is checked
    from end to end before its first essay is scored. Scores are kept in parts beside the output until that is whole: the same
    call goes on where an earlier one was interrupted.

    Args:
        scorer: what scores.
        source: CSV, TSV, JSON lines, Parquet, a workbook, text with an essay a line, or `-` for standard input.
        output: `.csv`, `.tsv` or `.jsonl`, compressed or not, `.parquet`, `.xlsx`, or `-` for CSV on standard output. It
            appears when it is whole.
        columns: what the input's columns are called.
        prompt_id: the prompt that all essays answer; a row that names another of the scorer's is one that cannot be scored.
        reading: what the input does not say of itself.
        overwrite: whether an existing output may be replaced.
        bad_rows: what becomes of rows that cannot be scored. Where unknown prompts are no error, a column
            `scored_as_prompt` before the scores says as whose prompt each essay was scored; it is empty, and so are the
            scores, for those that were skipped.
        safe_for_spreadsheets: whether text that a spreadsheet could take for a formula gets an apostrophe before it.
        review: tells which essays people should read, in a column `needs_review` (true or false).

    Raises:
        InputError: if a row cannot be scored, the input changes meanwhile, the output exists, or another run is writing it.
        InterruptedRun: on Ctrl-C.
    """
    if output != STANDARD_STREAM:
        output_format(output)
        check_is_file_to_be(output, overwrite)
        check_is_outside(source, output, "source")
        if safe_for_spreadsheets:
            check_safe_for_spreadsheets(output)
    if prompt_id is not None:
        scorer.prompt_of(prompt_id, None, "`prompt_id`")
    rule, check = PromptRule(scorer, bad_rows.unknown_prompt), RowCheck(bad_rows.skip)
    added = added_columns(scorer.trait_ranges, review)
    if bad_rows.skip:
        check_can_reject(output, overwrite, {"source": source})

    def checked_rows() -> Iterator[CheckedRow]:
        return check_rows(source, reading, columns, prompt_id, rule, check, added)

    if STANDARD_STREAM in (source, output):
        rows = writable(checked_rows(), output, safe_for_spreadsheets)
        with owned(output) if output != STANDARD_STREAM else contextlib.nullcontext():
            windows = enumerate(_windows(rows))
            encoded = (
                # Ctrl-C would wait for another thread that waits for input.
                _encoded_in_turn(scorer, windows, columns.usual("essay"))
                if source == STANDARD_STREAM
                else _encoded_ahead(scorer, windows, columns.usual("essay"))
            )
            streamed = _score_stream(scorer, encoded, output, overwrite, safe_for_spreadsheets, review, added)
            return _summary(streamed, check, output, overwrite, bad_rows, review, safe_for_spreadsheets)

    with owned(output):
        file = SourceFile(source)
        settings = {
            "version": __version__,
            "packages": package_versions(),
            "source_sha256": file.checksum,
            "format": file_format(source),
            "reading": vars(reading),
            "columns": vars(columns),
            "prompt_id": prompt_id,
            "bad_rows": {"unknown_prompt": bad_rows.unknown_prompt, "skip": bad_rows.skip},
            **scorer.checksums(),
            "dtype": str(scorer.model.dtype),
            "device": scorer.device.type,
            "batch_tokens": scorer.batch_tokens,
            "window": WINDOW,
        }
        parts = ScoringParts(output, settings)
        found = Counter(prompt_id for _, prompt_id in writable(checked_rows(), output, safe_for_spreadsheets))
        num_essays = found.total()
        if not num_essays:
            raise InputError(
                check.no_row_left(source) if check.reasons else f"{source} holds no essays that can be scored."
            )
        if output_format(output) == "parquet":
            _check_is_one_type(scorer, found, output)
        parts.prepare()
        try:
            _score_parts(scorer, checked_rows(), columns.usual("essay"), parts, num_essays, file)
        finally:
            if not len(parts):
                # Nothing to go on from.
                parts.remove()
        counts: Counter[str] = Counter()
        scored = _rows_with_parts(checked_rows(), parts, counts, file, review, added)
        try:
            _write_output(scored, output, overwrite, safe_for_spreadsheets)
        except InputError:
            # The same call would end here again.
            parts.remove()
            raise
        parts.remove()
        return _summary(counts, check, output, overwrite, bad_rows, review, safe_for_spreadsheets)


def _check_is_one_type(scorer: EssayScorer, prompt_ids: Collection[str | None], output: str):
    """Refuses prompts of which some are scored by numbers and others by labels, where a column holds values of one type."""
    for ranges in (scorer.score_ranges, *scorer.trait_ranges.values()):
        shown = shown_types(scale for prompt_id, scale in ranges.items() if prompt_id in prompt_ids)
        if str in shown and len(shown) > 1:
            raise InputError(
                f"{output}: some of these prompts are scored by numbers and others by labels, and Parquet holds values of one "
                "type in a column. Write .jsonl instead."
            )


def _summary(
    counts: Counter,
    check: RowCheck,
    output: str,
    overwrite: bool,
    bad_rows: BadRows,
    review: ReviewRule | None,
    safe_for_spreadsheets: bool,
) -> ScoringSummary:
    rejected = check.write(rejected_path(output), overwrite, bad_rows.in_words, safe_for_spreadsheets)
    num_read = counts["scored"] + counts["unknown"] + len(check.reasons)
    num_to_review = None if review is None else counts["to review"]
    return ScoringSummary(counts["scored"], counts["cut"], num_read, counts["unknown"], rejected, num_to_review)


def _windows(rows: Iterable[CheckedRow]) -> Iterator[list[CheckedRow]]:
    rows = iter(rows)
    while window := list(islice(rows, WINDOW)):
        yield window


# The number of a window, from 0, its rows, and the tokens of those that are scored.
EncodedWindow = tuple[int, list[CheckedRow], list[EncodedEssay]]


def _encoded_in_turn(
    scorer: EssayScorer, windows: Iterable[tuple[int, list[CheckedRow]]], essay_column: str
) -> Iterator[EncodedWindow]:
    """Windows with their tokens."""
    for number, window in windows:
        to_score = [(row[essay_column], prompt_id) for row, prompt_id in window if prompt_id is not None]
        yield number, window, scorer.encode([essay for essay, _ in to_score], [prompt_id for _, prompt_id in to_score])


def _encoded_ahead(
    scorer: EssayScorer, windows: Iterable[tuple[int, list[CheckedRow]]], essay_column: str
) -> Iterator[EncodedWindow]:
    """Windows with their tokens; the next is read and tokenized while the last is being scored."""
    encoded = _encoded_in_turn(scorer, windows, essay_column)
    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = reader.submit(next, encoded, None)
        while (window := coming.result()) is not None:
            coming = reader.submit(next, encoded, None)
            yield window


def _score_parts(
    scorer: EssayScorer,
    rows: Iterable[CheckedRow],
    essay_column: str,
    parts: ScoringParts,
    num_essays: int,
    file: SourceFile,
):
    """Scores the windows, but for those that an earlier run has finished."""

    def windows() -> Iterator[tuple[int, list[CheckedRow]]]:
        for number, window in enumerate(_windows(rows)):
            if number not in parts:
                yield number, window

    num_done = min(len(parts) * WINDOW, num_essays)
    try:
        with tqdm(total=num_essays, initial=num_done, desc="Scoring", unit="essay", disable=None) as bar:
            for number, window, encoded in _encoded_ahead(scorer, windows(), essay_column):
                scores = scorer.score_encoded(encoded, _prompt_ids(window))
                # What was read of another file must not be kept as a part of this one.
                file.check_state()
                parts.save(number, scores)
                num_done += len(window)
                bar.update(len(window))
    except KeyboardInterrupt:
        raise InterruptedRun(
            f"interrupted after {num_done} essays. The same command goes on from there; nothing else has changed."
        ) from None


def _rows_with_parts(
    rows: Iterable[CheckedRow],
    parts: ScoringParts,
    counts: Counter,
    file: SourceFile,
    review: ReviewRule | None,
    added: Sequence[str],
) -> Iterator[dict]:
    for number, window in enumerate(_windows(rows)):
        yield from with_scores(window, parts.load(number, len(_prompt_ids(window))), counts, review, added)
    file.check_content()


def _score_stream(
    scorer: EssayScorer,
    windows: Iterable[EncodedWindow],
    output: str,
    overwrite: bool,
    safe_for_spreadsheets: bool,
    review: ReviewRule | None,
    added: Sequence[str],
) -> Counter:
    """From standard input or to standard output: nothing is kept, so nothing can be taken up again."""
    counts: Counter[str] = Counter()

    def scored() -> Iterator[dict]:
        with tqdm(desc="Scoring", unit="essay", disable=None) as bar:
            for _, window, encoded in windows:
                scores = scorer.score_encoded(encoded, _prompt_ids(window))
                yield from with_scores(window, scores, counts, review, added)
                bar.update(len(window))
        if not counts:
            raise InputError("The input holds no essays that can be scored.")

    _write_output(scored(), output, overwrite, safe_for_spreadsheets)
    return counts


def _prompt_ids(window: list[CheckedRow]) -> list[str]:
    """The prompts of the essays of a window that are scored."""
    return [prompt_id for _, prompt_id in window if prompt_id is not None]


def with_scores(
    window: list[CheckedRow],
    scores: list[EssayScore],
    counts: Counter,
    review: ReviewRule | None,
    added: Sequence[str],
) -> Iterator[dict]:
    """The rows of a window with the columns that are `added`, empty where there is nothing to say."""
    coming = iter(scores)
    for row, prompt_id in window:
        if prompt_id is None:
            counts["unknown"] += 1
            yield {**row, **dict.fromkeys(added)}
            continue
        score = next(coming)
        counts["scored"] += 1
        counts["cut"] += score.was_cut
        values = _values(score)
        if review is not None:
            values[NEEDS_REVIEW] = review.needs_review(score, prompt_id)
            counts["to review"] += values[NEEDS_REVIEW]
        yield {**row, **{name: values.get(name) for name in added}}


def _values(result: EssayScore) -> dict[str, Any]:
    """What is written of a score, by the names of the columns."""
    error = None if result.predicted_error is None else round(result.predicted_error, 6)
    values = (
        round(result.score, 6), result.rounded_score, round(result.confidence, 6), result.supervision_steps, error,
        result.score_low, result.score_high, shown_advisories(result.advisories),
    )  # fmt: skip
    found: dict[str, Any] = dict(zip(ADDED_COLUMNS, values, strict=True))
    for trait, score in result.traits.items():
        found |= dict(zip(trait_columns(trait), (round(score.score, 6), score.rounded_score), strict=True))
    return found


def _write_output(rows: Iterator[dict[str, Any]], output: str, overwrite: bool, safe_for_spreadsheets: bool):
    """To a file, which appears when it is whole, or as CSV to standard output."""
    if output == STANDARD_STREAM:
        write_rows_to_stream(rows, sys.stdout, safe_for_spreadsheets)
        return
    with new_file(output, overwrite) as temporary:
        write_rows(rows, temporary, output, safe_for_spreadsheets)
