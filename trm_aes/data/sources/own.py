"""Your own scored essays: a CSV, TSV, JSON-lines or Parquet file whose columns you name."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ...errors import InputError
from ...model.essay_tokens import stand_in_text
from ...model.score_scale import ScoreRange
from ..prompts import PromptInfo
from ..scales import SCALE_COLUMNS, scale_columns
from ..schema import REQUIRED_COLUMNS, TOKEN_COLUMNS, EssayTable, check_table, parse_score
from ..tables import STANDARD_STREAM, file_checksum, file_format, read_rows
from .own_scales import given_scales, scales_from_scores


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
    score_step: str = "score_step"


def load_own_table(
    path: str | Path,
    columns: ColumnNames = ColumnNames(),
    encoding: str = "utf-8",
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
        encoding: of CSV, TSV and JSON lines.
        prompt_infos: texts and ranges by prompt id, for what the file itself lacks.
        score_ranges: scales by prompt id, and under `None` for every other prompt. They win over the file's and over
            `prompt_infos`; they alone may have labels, and more than 1,000 steps.
        prompt_id: the prompt that all essays answer, whatever the file says.
        observe_ranges: whether the lowest and highest score, and the largest usual step on which all lie, make the scale of
            a prompt where none is known. A few essays need not hold either.

    Raises:
        InputError: if the file, a column, a row or a range cannot be used; it says which.
    """
    if str(path) == STANDARD_STREAM or file_format(path) == "txt":
        raise InputError(f"{path}: scored essays need columns. Give a .csv, .tsv, .jsonl or .parquet file.")
    if prompt_id is not None and not prompt_id.strip():
        raise InputError("`prompt_id` is blank: a prompt needs an id.")
    source = str(path)
    raw = pd.DataFrame(list(read_rows(path, encoding)), dtype=object)
    if raw.empty:
        raise InputError(f"{source} holds no rows.")
    raw.index += 1
    for field, name in (("essay", columns.essay), ("score", columns.score)):
        if name not in raw:
            raise InputError(
                f"{source} has no column {name!r}; it has {', '.join(map(str, raw.columns))}. Name the right one with "
                f"`columns.{field}`."
            )
    prompt_ids, texts = _prompt_ids_and_texts(raw, columns, source, prompt_infos or {}, prompt_id)
    names = (columns.min_score, columns.max_score, columns.score_step)
    scales = given_scales(raw, prompt_ids, names, source, prompt_infos or {}, score_ranges or {})
    scores = [
        # Whether numbers are on their scales, `check_table` tells of all together.
        parse_score(value, row, source, columns.score, scale if scale is not None and scale.labels else None)
        for (row, value), scale in zip(raw[columns.score].items(), scales, strict=True)
    ]
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
    found = scales_from_scores(frame[[scale is None for scale in scales]], source, observe_ranges)
    frame = frame.assign(
        **scale_columns([scale or found[name] for scale, name in zip(scales, prompt_ids, strict=True)])
    )
    used = set(vars(columns).values())
    for name in raw.columns:
        if name not in used:
            kept = f"{name}_in_source" if name in REQUIRED_COLUMNS + SCALE_COLUMNS + TOKEN_COLUMNS else name
            frame[kept] = _as_numbers(raw[name])
    table = EssayTable(frame, source, file_checksum(path), read_off=tuple(found))
    check_table(table)
    return table


def _read_ids(raw: pd.DataFrame, column: str, source: str) -> Sequence[str]:
    if column not in raw:
        return [str(row) for row in raw.index]
    for row, value in raw[column].items():
        if pd.isna(value) or not str(value).strip():
            raise InputError(f"{source}, row {row}, column {column!r}: there is no id.")
    return [str(value).strip() for value in raw[column]]


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
        prompt_ids = _read_ids(raw, columns.prompt_id, source)
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


def _as_numbers(values: pd.Series) -> pd.Series:
    """The column as numbers if every cell that is filled in holds one, else as text."""
    filled = values.where(values.notna() & (values.astype(str).str.strip() != ""))
    try:
        return pd.to_numeric(filled)
    except (TypeError, ValueError):
        return values.where(values.notna(), "").astype(str)
