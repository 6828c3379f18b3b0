"""The one table of scored essays that everything downstream reads."""

from dataclasses import dataclass, replace

import pandas as pd
import pyarrow as pa

from ..errors import InputError
from ..model.configuration_trm import sort_prompt_ids
from ..model.score_scale import ScoreRange
from .cells import check_essay_text, is_missing
from .provenance import Provenance, ValueColumns
from .scales import SCALE_COLUMNS, scale_of_row
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
            `prompt_id`, `prompt` and `essay` are text, the scores numbers), with what else there is of `SCALE_COLUMNS`, then
            whatever rides along: raters' scores, traits, groups. The index counts the rows of the source from 1.
        source: what to call the source in messages and in the data set's card.
        checksum: SHA-256 of the source's bytes, or of its rows where it is no file.
        corpus: name of the public corpus that the essays come from, if it is known.
        split_of: the split that the source gives each essay, as the source writes it, with the index of `frame`; None
            where it gives none.
        values: columns that hold values beside the score.
        provenance: what was taken for what.
        left_out: ids of essays that the source has and the table lacks: their rows were set aside, or their prompts have none of
            the scores that are read.
        num_unread: rows beside them that could not be split into cells, so that their ids are not known.
        splits_are_parts: whether the splits are parts of the source (of a data set on the Hub, or a file each), and no column.
    """

    frame: pd.DataFrame
    source: str
    checksum: str
    corpus: str | None = None
    split_of: pd.Series | None = None
    values: ValueColumns = ValueColumns()
    provenance: Provenance = Provenance()
    left_out: frozenset[str] = frozenset()
    num_unread: int = 0
    splits_are_parts: bool = False

    def select(self, prompt_ids: list[str]) -> "EssayTable":
        """The essays of some prompts."""
        frame = self.frame[self.frame["prompt_id"].isin(prompt_ids)]
        split_of = None if self.split_of is None else self.split_of.loc[frame.index]
        return replace(self, frame=frame, split_of=split_of)

    @property
    def prompt_ids(self) -> list[str]:
        """Ids of the prompts, numbers in numeric order before other names."""
        return sort_prompt_ids(self.frame["prompt_id"].unique())


def prompt_rows(frame: pd.DataFrame) -> dict[str, dict]:
    """`prompt_id -> {"prompt", "min_score", "max_score", …}` (`SCALE_COLUMNS`), from the first essay of each prompt."""
    first = frame.drop_duplicates("prompt_id").set_index("prompt_id")
    columns = ["prompt", *(name for name in SCALE_COLUMNS if name in first)]
    return {prompt_id: first.loc[prompt_id, columns].to_dict() for prompt_id in sort_prompt_ids(first.index)}


def score_ranges(frame: pd.DataFrame) -> dict[str, ScoreRange]:
    """`prompt_id -> ScoreRange` of a table of essays."""
    return {prompt_id: scale_of_row(row) for prompt_id, row in prompt_rows(frame).items()}


def as_it_stands(column: pd.Series) -> pd.Series:
    """
    A column that rides along, each value as it stands in its source, None where there is none. Values of types that no
    one column of a data set can hold become text, as a CSV file would have it.
    """
    values = [None if is_missing(value) else value for value in column]
    try:
        pa.array(values)
    except (pa.ArrowException, OverflowError):
        values = [None if value is None else as_text(value) for value in values]
    return pd.Series(values, index=column.index, dtype=object)


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
        _check_scores(str(prompt_id), essays, source)


def _check_scores(prompt_id: str, essays: pd.DataFrame, source: str):
    ranges = essays[[name for name in SCALE_COLUMNS if name in essays]].drop_duplicates()
    if len(ranges) > 1:
        raise InputError(
            f"{source}: prompt {prompt_id!r} has {len(ranges)} score ranges (rows {_first_rows(ranges.index)}). "
            "A prompt has one range; give different prompts different ids."
        )
    low, high = ranges["min_score"].iloc[0], ranges["max_score"].iloc[0]
    if not low < high:
        raise InputError(
            f"{source}: the scores of prompt {prompt_id!r} range from {low:g} to {high:g}: nothing to learn. "
            "Give the true range with `score_ranges`."
        )
    try:
        scale = scale_of_row(ranges.iloc[0])
    except ValueError as error:
        raise InputError(f"{source}: prompt {prompt_id!r}: {error}. Give the true range with `score_ranges`.") from None
    scores = essays["score"]
    for wrong, where in (
        (scores[(scores < low) | (scores > high)], f"lie outside {low:g} to {high:g}"),
        (scores[~scale.holds(scores)], f"are not on the scale {scale}"),
    ):
        if len(wrong):
            raise InputError(
                f"{source}: {len(wrong)} scores of prompt {prompt_id!r} {where}, the first {wrong.iloc[0]:g} in row "
                f"{wrong.index[0]}. Mend them, or give the scale with `score_ranges`, as in 1:5:0.5."
            )


def _first_rows(rows: pd.Index) -> str:
    """The numbers of the first few rows."""
    names = ", ".join(str(row) for row in rows[:MAX_NAMED_ROWS])
    return names + (", …" if len(rows) > MAX_NAMED_ROWS else "")
