"""The one table of scored essays that everything downstream reads."""

import math
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import pyarrow as pa

from ..errors import InputError
from ..model.configuration_trm import sort_prompt_ids
from ..model.score_scale import ScoreRange
from .tables import as_text

REQUIRED_COLUMNS = ("essay_id", "prompt_id", "prompt", "essay", "score", "min_score", "max_score")
# Added by the builder; a source's own column of such a name is renamed. The first hold a list for each essay.
LIST_COLUMNS = ("input_ids", "token_type_ids", "text_features")
TOKEN_COLUMNS = (*LIST_COLUMNS, "prompt_tokens_cut", "essay_tokens_cut")
MAX_NAMED_ROWS = 5


@dataclass(frozen=True)
class EssayTable:
    """
    Scored essays of one source.

    Args:
        frame: one row an essay, in the source's order; the columns of `REQUIRED_COLUMNS` first (`essay_id`,
            `prompt_id`, `prompt` and `essay` are text, the scores numbers), then whatever rides along: raters' scores,
            traits, groups. The index counts the rows of the source from 1.
        source: what to call the source in messages and in the data set's card.
        checksum: SHA-256 of the source's bytes, or of its rows where it is no file.
        corpus: name of the public corpus that the essays come from, if it is known.
    """

    frame: pd.DataFrame
    source: str
    checksum: str
    corpus: str | None = None

    def select(self, prompt_ids: list[str]) -> "EssayTable":
        """The essays of some prompts."""
        return replace(self, frame=self.frame[self.frame["prompt_id"].isin(prompt_ids)])

    @property
    def prompt_ids(self) -> list[str]:
        """Ids of the prompts, numbers in numeric order before other names."""
        return sort_prompt_ids(self.frame["prompt_id"].unique())


def prompt_rows(frame: pd.DataFrame) -> dict[str, dict]:
    """`prompt_id -> {"prompt", "min_score", "max_score"}`, from the first essay of each prompt."""
    first = frame.drop_duplicates("prompt_id").set_index("prompt_id")
    return {
        prompt_id: first.loc[prompt_id, ["prompt", "min_score", "max_score"]].to_dict()
        for prompt_id in sort_prompt_ids(first.index)
    }


def score_ranges(frame: pd.DataFrame) -> dict[str, ScoreRange]:
    """`prompt_id -> ScoreRange` of a table of essays."""
    return {prompt_id: ScoreRange(row["min_score"], row["max_score"]) for prompt_id, row in prompt_rows(frame).items()}


def parse_score(value: Any, row: Hashable, source: str, column: str) -> float:
    """
    The score in a cell, as a number.

    Raises:
        InputError: if the value is missing, no number, or not finite.
    """
    where = f"{source}, row {row}, column {column!r}"
    if value is None or (isinstance(value, str) and not value.strip()):
        raise InputError(f"{where}: there is no score. Fill it in, or remove the row.")
    try:
        score = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{where}: {str(value)[:40]!r} is not a number.") from None
    if not math.isfinite(score):
        raise InputError(f"{where}: the score is {score}, not a finite number. Fill it in, or remove the row.")
    return score


def check_essay_text(essay: Any, where: str) -> str:
    """
    The essay, if it can be scored.

    Args:
        essay: of a row.
        where: names its place, for the error.

    Raises:
        InputError: if the essay is missing, blank, not text, or holds NUL bytes.
    """
    if essay is None or (isinstance(essay, str) and not essay.strip()):
        raise InputError(f"{where}: the essay is empty.")
    if not isinstance(essay, str):
        raise InputError(f"{where}: the essay is not text but {type(essay).__name__}.")
    if "\0" in essay:
        raise InputError(f"{where}: the essay holds NUL bytes: the file is damaged, or not in the encoding it claims.")
    return essay


def as_it_stands(column: pd.Series) -> pd.Series:
    """
    A column that rides along, each value as it stands in its source, None where there is none. Values of types that no
    one column of a data set can hold become text, as a CSV file would have it.
    """
    values = [
        None if value is pd.NaT or (isinstance(value, float) and math.isnan(value)) else value for value in column
    ]
    try:
        pa.array(values)
    except (pa.ArrowException, OverflowError):
        values = [None if value is None else as_text(value) for value in values]
    return pd.Series(values, index=column.index, dtype=object)


def numbers_if_all(column: pd.Series) -> pd.Series:
    """A column of ratings as numbers if every cell that is filled in holds one, else as it stands."""
    filled = column.where(column.notna() & (column.astype(str).str.strip() != ""))
    try:
        return pd.to_numeric(filled)
    except (TypeError, ValueError):
        return as_it_stands(column)


def check_table(table: EssayTable):
    """
    Checks what every later step relies on.

    Raises:
        InputError: if ids repeat, an essay is empty, or a score or a range makes no sense; it names the first rows.
    """
    frame, source = table.frame, table.source
    if frame.empty:
        raise InputError(f"{source} holds no essays.")
    repeated = frame[frame["essay_id"].duplicated(keep=False)]
    if len(repeated):
        essay_id = repeated["essay_id"].iloc[0]
        rows = repeated.index[repeated["essay_id"] == essay_id]
        raise InputError(
            f"{source}: essay_id {essay_id!r} is in rows {_first_rows(rows)}, and {len(repeated)} rows share their id "
            "with another. Ids must be unique."
        )
    for row, essay_id, essay in zip(frame.index, frame["essay_id"], frame["essay"], strict=True):
        check_essay_text(essay, f"{source}, row {row} (essay_id {essay_id})")
    for prompt_id, essays in frame.groupby("prompt_id", sort=False):
        _check_range(str(prompt_id), essays, source)


def _check_range(prompt_id: str, essays: pd.DataFrame, source: str):
    ranges = essays[["min_score", "max_score"]].drop_duplicates()
    if len(ranges) > 1:
        raise InputError(
            f"{source}: prompt {prompt_id!r} has {len(ranges)} score ranges (rows {_first_rows(ranges.index)}). "
            "A prompt has one range; give different prompts different ids."
        )
    low, high = ranges.iloc[0]
    if not low < high:
        raise InputError(
            f"{source}: the scores of prompt {prompt_id!r} range from {low:g} to {high:g}: nothing to learn. "
            "Give the true range with `score_ranges`."
        )
    if low != int(low) or high != int(high):
        raise InputError(
            f"{source}: the score range of prompt {prompt_id!r} is {low:g} to {high:g}; both must be whole numbers. "
            "Give it with `score_ranges` (half points: double all scores)."
        )
    outside = essays[(essays["score"] < low) | (essays["score"] > high)]
    if len(outside):
        raise InputError(
            f"{source}: {len(outside)} scores of prompt {prompt_id!r} lie outside {low:g} to {high:g}, "
            f"the first {outside['score'].iloc[0]:g} in row {outside.index[0]}."
        )


def _first_rows(rows: pd.Index) -> str:
    """The numbers of the first few rows."""
    names = ", ".join(str(row) for row in rows[:MAX_NAMED_ROWS])
    return names + (", …" if len(rows) > MAX_NAMED_ROWS else "")
