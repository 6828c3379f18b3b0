"""Tables of visitors: what is in one, and the same with scores, byte for byte as `trm-aes score` writes it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ..data.formats import OUTPUT_FORMATS, WORKBOOKS, TableReading, file_format, name_without_format
from ..data.rejection import REASON, rejected_path
from ..data.tables import UnreadRow, read_or_unread_rows, read_rows
from ..errors import InputError
from ..model.outputs_trm import TRMEssayScoringOutput
from ..scoring.input_rows import BadRows, InputColumns
from ..scoring.scorer import EssayScorer
from ..scoring.stream import score_file
from .limits import MAX_DOWNLOAD, MAX_ROWS, MAX_TABLE_LETTERS, MEGABYTE, check_length
from .uploads import Upload, without_folder

# Rows that are shown, before scoring and after it; reasons of rows that were left out.
SHOWN_ROWS, SHOWN_REASONS = 8, 20
ESSAY, PROMPT_ID, PROMPT = "essay", "prompt_id", "prompt"


@dataclass(frozen=True)
class TableLook:
    """
    What a table holds.

    Args:
        columns: their names.
        rows: the first of its rows.
        num_rows: how many there are.
    """

    columns: list[str]
    rows: list[dict[str, Any]]
    num_rows: int


@dataclass(frozen=True)
class ScoredTable:
    """
    A table with its scores.

    Args:
        name: of the file.
        content: its bytes.
        rows: the first of its rows.
        num_scored, num_cut: how many essays have a score, and how many of them were too long to be read to the end.
        rejected: why rows were left out, of the first few of them.
        num_rejected: how many were left out.
    """

    name: str
    content: bytes
    rows: list[dict[str, Any]]
    num_scored: int
    num_cut: int
    rejected: list[str]
    num_rejected: int


class WatchedScorer(EssayScorer):
    """
    A scorer that tells of each batch.

    Args:
        scorer: what scores.
        watch: called with the number of essays after each batch.
    """

    def __init__(self, scorer: EssayScorer, watch: Callable[[int], object]):
        super().__init__(scorer.model, scorer.tokenizer, scorer.name, scorer.device, scorer.batch_tokens, scorer.commit)
        self._watch = watch

    def outputs(self, rows: Sequence[dict], **options: Any) -> Iterator[tuple[list[int], TRMEssayScoringOutput]]:
        """Outputs of batches, as those of [`EssayScorer`]."""
        for indices, outputs in super().outputs(rows, **options):
            yield indices, outputs
            self._watch(len(indices))


def look(upload: Upload, reading: TableReading) -> TableLook:
    """
    Reads a table from end to end.

    Raises:
        InputError: if it cannot be read, holds no rows, or more than this page takes.
    """
    with upload.as_file() as path:
        columns: dict[str, None] = {}
        rows: list[dict[str, Any]] = []
        num_rows = num_letters = 0
        for row in islice(read_or_unread_rows(path, reading), MAX_ROWS + 1):
            num_rows += 1
            if isinstance(row, UnreadRow):
                continue
            for value in row.values():
                if isinstance(value, str):
                    check_length(value)
                    num_letters += len(value)
            if num_letters > MAX_TABLE_LETTERS:
                raise InputError(
                    f"{upload.name} has more than {MAX_TABLE_LETTERS:,} letters, which is as many as this page takes. For more, "
                    "use the command trm-aes score."
                )
            columns |= dict.fromkeys(row)
            if len(rows) < SHOWN_ROWS:
                rows.append(row)
    if num_rows > MAX_ROWS:
        raise InputError(
            f"{upload.name} has more than {MAX_ROWS:,} rows, which is as many as this page takes. For more, use the command "
            "trm-aes score."
        )
    if not rows:
        raise InputError(f"{upload.name} holds no rows that can be read.")
    return TableLook(list(columns), rows, num_rows)


def score_table(
    scorer: EssayScorer,
    upload: Upload,
    reading: TableReading,
    columns: InputColumns,
    prompt_id: str | None,
    skips_bad_rows: bool,
    in_words: Callable[[InputError], str],
) -> ScoredTable:
    """
    Scores a table as `trm-aes score` does, in a private folder.

    Args:
        scorer: what scores.
        upload, reading: the table, and what it does not say of itself.
        columns: which of its columns hold what.
        prompt_id: the prompt that all essays answer; None where the columns say it.
        skips_bad_rows: whether rows that cannot be scored are left out; the first is an error otherwise.
        in_words: says for a visitor what was wrong with a row.

    Raises:
        InputError: if the table cannot be scored, or is too large to be given back.
    """
    with upload.as_file() as path:
        output = path.with_name(_scored_name(path))

        def reason_in_words(reason: str) -> str:
            return without_folder(in_words(InputError(reason)), path)

        bad_rows = BadRows(skip=skips_bad_rows, in_words=reason_in_words)
        summary = score_file(scorer, str(path), str(output), columns, prompt_id, reading, bad_rows=bad_rows)
        size = output.stat().st_size
        if size > MAX_DOWNLOAD:
            raise InputError(
                f"The scored table has {size / MEGABYTE:,.0f} MB, and this page gives back at most "
                f"{MAX_DOWNLOAD // MEGABYTE}. Use the command trm-aes score."
            )
        rejected = _reasons(rejected_path(output))
        rows = list(islice(read_rows(output), SHOWN_ROWS))
        return ScoredTable(
            output.name,
            output.read_bytes(),
            rows,
            summary.num_scored,
            summary.num_cut,
            rejected[:SHOWN_REASONS],
            len(rejected),
        )


def _scored_name(path: Path) -> str:
    """The output's name: in the format of the input, or in the nearest that is written."""
    found = file_format(path)
    if found not in OUTPUT_FORMATS:
        found = "xlsx" if found in WORKBOOKS else "csv"
    return f"{name_without_format(path)}-scored.{found}"


def _reasons(path: Path) -> list[str]:
    return [str(row[REASON]) for row in read_rows(path, expected=[REASON])] if path.exists() else []
