"""Your own scored essays: a CSV, TSV, JSON-lines or Parquet file or a workbook whose columns you name."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ...errors import InputError
from ...model.essay_tokens import stand_in_text
from ...model.score_scale import ScoreRange
from ...naming import listing
from ..formats import AS_FOUND, STANDARD_STREAM, TableReading, file_format
from ..prompts import PromptInfo
from ..schema import REQUIRED_COLUMNS, TOKEN_COLUMNS, EssayTable, as_it_stands, check_table, numbers_if_all, parse_score
from ..tables import file_checksum, read_rows

# Read as values, where they hold numbers.
RATER_NAMES = ("rater1", "rater2")


@dataclass(frozen=True)
class ColumnNames:
    """
    Columns of a file. `essay` and `score` must be there. Without `essay_id`, rows are numbered; without `prompt_id`,
    each distinct `prompt` text is a prompt, and without both there is one prompt.
    """

    essay: str = "essay"
    score: str = "score"
    essay_id: str = "essay_id"
    prompt_id: str = "prompt_id"
    prompt: str = "prompt"
    min_score: str = "min_score"
    max_score: str = "max_score"


def load_own_table(
    path: str | Path,
    columns: ColumnNames = ColumnNames(),
    reading: TableReading = AS_FOUND,
    prompt_infos: dict[str, PromptInfo] | None = None,
    score_ranges: dict[str | None, ScoreRange] | None = None,
    prompt_id: str | None = None,
    observe_ranges: bool = True,
) -> EssayTable:
    """
    Reads a file of scored essays.

    Args:
        path: the file; its name tells the format.
        columns: what its columns are called.
        reading: what the file does not say of itself.
        prompt_infos: texts and ranges by prompt id, for what the file itself lacks.
        score_ranges: score ranges by prompt id, and under `None` for every other prompt. They win over the file's and
            over `prompt_infos`.
        prompt_id: the prompt that all essays answer, whatever the file says.
        observe_ranges: whether the lowest and highest score make the range of a prompt where none is known. A few essays
            need not hold either.

    Raises:
        InputError: if the file, a column, a row or a range cannot be used; it says which.
    """
    if str(path) == STANDARD_STREAM or file_format(path) == "txt":
        raise InputError(f"{path}: scored essays need columns. Give a .csv, .tsv, .jsonl, .parquet or .xlsx file.")
    if prompt_id is not None and not prompt_id.strip():
        raise InputError("`prompt_id` is blank: a prompt needs an id.")
    source = str(path)
    raw = pd.DataFrame(list(read_rows(path, reading, [columns.essay, columns.score])), dtype=object)
    if raw.empty:
        raise InputError(f"{source} holds no rows.")
    raw.index += 1
    for field, name in (("essay", columns.essay), ("score", columns.score)):
        if name not in raw:
            raise InputError(
                f"{source} has no column {name!r}; it has {listing(raw.columns, name)} Name the right one with "
                f"`columns.{field}`."
            )
    scores = [parse_score(value, row, source, columns.score) for row, value in raw[columns.score].items()]
    prompt_ids, texts = _prompt_ids_and_texts(raw, columns, source, prompt_infos or {}, prompt_id)
    frame = pd.DataFrame(
        {
            "essay_id": _read_ids(raw, columns.essay_id, source),
            "prompt_id": prompt_ids,
            "prompt": texts,
            "essay": raw[columns.essay].where(raw[columns.essay].notna(), None),
            "score": scores,
        },
        index=raw.index,
    )
    _add_ranges(frame, raw, columns, source, prompt_infos or {}, score_ranges or {}, observe_ranges)
    used = {getattr(columns, name) for name in REQUIRED_COLUMNS}
    riding = {
        f"{name}_in_source" if name in REQUIRED_COLUMNS + TOKEN_COLUMNS else name: numbers_if_all(raw[name])
        if name in RATER_NAMES
        else as_it_stands(raw[name])
        for name in raw.columns
        if name not in used
    }
    frame = pd.concat([frame, pd.DataFrame(riding, index=frame.index)], axis=1)
    table = EssayTable(frame, source, file_checksum(path))
    check_table(table)
    return table


def _read_ids(raw: pd.DataFrame, column: str, source: str) -> Sequence[str]:
    if column not in raw:
        return [str(row) for row in raw.index]
    for row, value in raw[column].items():
        if isinstance(value, (list, dict)):
            raise InputError(f"{source}, row {row}, column {column!r}: a {type(value).__name__} is no id.")
        if pd.isna(value) or not str(value).strip():
            raise InputError(f"{source}, row {row}, column {column!r}: there is no id.")
    return [str(value) for value in raw[column]]


def _prompt_ids_and_texts(
    raw: pd.DataFrame,
    columns: ColumnNames,
    source: str,
    prompt_infos: dict[str, PromptInfo],
    only_prompt_id: str | None,
) -> tuple[Sequence[str], Sequence[str]]:
    """Prompt ids and texts, row by row."""
    own_texts = raw[columns.prompt].fillna("").astype(str).str.strip() if columns.prompt in raw else None
    if only_prompt_id is not None:
        prompt_ids: Sequence[str] = [only_prompt_id] * len(raw)
    elif columns.prompt_id in raw:
        prompt_ids = [prompt_id.strip() for prompt_id in _read_ids(raw, columns.prompt_id, source)]
    elif own_texts is not None:
        prompt_ids = [str(code + 1) for code in pd.factorize(own_texts)[0]]
    else:
        prompt_ids = ["1"] * len(raw)
    texts = []
    for position, prompt_id in enumerate(prompt_ids):
        text = prompt_infos.get(prompt_id, PromptInfo()).text
        own = own_texts.iloc[position] if own_texts is not None else ""
        texts.append(text or own or stand_in_text(prompt_id))
    by_prompt = pd.DataFrame({"id": prompt_ids, "text": texts}, index=raw.index).drop_duplicates()
    twice = by_prompt[by_prompt["id"].duplicated()]
    if len(twice):
        raise InputError(
            f"{source}, row {twice.index[0]}: prompt {twice['id'].iloc[0]!r} has another text than before. "
            "Different tasks need different prompt ids."
        )
    return prompt_ids, texts


def _add_ranges(
    frame: pd.DataFrame,
    raw: pd.DataFrame,
    columns: ColumnNames,
    source: str,
    prompt_infos: dict[str, PromptInfo],
    score_ranges: dict[str | None, ScoreRange],
    observe: bool,
):
    in_file = columns.min_score in raw and columns.max_score in raw
    frame["min_score"], frame["max_score"] = float("nan"), float("nan")
    unknown = {name for name in score_ranges if name is not None} - set(frame["prompt_id"])
    if unknown:
        raise InputError(f"`score_ranges`: {source} has no prompt {sorted(unknown)[0]!r}.")
    for group, essays in frame.groupby("prompt_id", sort=False):
        prompt_id = str(group)
        known = (
            score_ranges.get(prompt_id)
            or score_ranges.get(None)
            or prompt_infos.get(prompt_id, PromptInfo()).score_range
        )
        if known is None and not in_file and not observe:
            raise InputError(
                f"{source} does not say from where to where the scores of prompt {prompt_id!r} range, and so few essays "
                "need not hold the lowest and the highest: give `score_ranges`."
            )
        for name, column, observed in (
            ("min_score", columns.min_score, essays["score"].min()),
            ("max_score", columns.max_score, essays["score"].max()),
        ):
            values: float | list[float]
            if known is not None:
                values = float(getattr(known, name))
            elif in_file:
                values = [parse_score(raw.at[row, column], row, source, column) for row in essays.index]
            else:
                values = float(observed)
            frame.loc[essays.index, name] = values
