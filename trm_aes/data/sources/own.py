"""Your own scored essays: tables whose columns you name."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from ...errors import InputError
from ...model.configuration_trm import RESERVED_TRAITS
from ...model.essay_tokens import stand_in_text
from ...model.score_scale import ScoreRange
from ...naming import listing
from ..cells import check_essay_text, id_in_words, is_blank, is_missing, parse_score, parse_value
from ..columns import USUAL_COLUMNS, ColumnNames, TakenColumns
from ..formats import AS_FOUND, TableReading
from ..prompts import TABLE_OF_PROMPTS, KnownPrompts, PromptInfo, check_prompt_infos
from ..provenance import Provenance, ValueColumns
from ..rejection import RowCheck
from ..scales import SCALE_COLUMNS, scale_columns
from ..schema import (
    REQUIRED_COLUMNS,
    TOKEN_COLUMNS,
    EssayTable,
    as_it_stands,
    check_table,
)
from .own_scales import given_scales, scales_from_scores
from .rows import SourceRows, read_source
from .traits import TraitScores, join_traits, read_traits

# Of an essay whose score is the sum of their scores.
MOST_RATERS = 3


def load_own_table(
    path: str | Path,
    columns: ColumnNames = USUAL_COLUMNS,
    reading: TableReading = AS_FOUND,
    prompt_infos: dict[str, PromptInfo] | None = None,
    score_ranges: dict[str | None, ScoreRange] | None = None,
    prompt_id: str | None = None,
    observe_ranges: bool = True,
    check: RowCheck | None = None,
) -> EssayTable:
    """
    Reads a file of scored essays.

    Args:
        path: the file; its name tells the format.
        columns: what its columns are called.
        reading: what the file does not say of itself.
        prompt_infos, score_ranges, prompt_id, observe_ranges: as of [`KnownPrompts`].
        check: what becomes of rows that cannot be used; an error if not given.

    Raises:
        InputError: if the file, a column, a row or a range cannot be used; it says which.
    """
    known = KnownPrompts(prompt_infos or {}, score_ranges or {}, prompt_id, observe_ranges)
    return make_table(read_source(path, reading, check), columns, known, check or RowCheck())


def make_table(rows: SourceRows, columns: ColumnNames, known: KnownPrompts, check: RowCheck) -> EssayTable:
    """
    A table of essays of a source's rows.

    Args:
        rows: of the source.
        columns: what its columns are called.
        known: what is known of the prompts.
        check: what becomes of rows that cannot be used.

    Raises:
        InputError: if a column, a row or a range cannot be used, or a trait's name is taken; it says which.
    """
    if known.only_id is not None and not known.only_id.strip():
        raise InputError("`prompt_id` is blank: a prompt needs an id.")
    rows, columns = join_traits(rows, columns)
    taken = columns.resolve([str(name) for name in rows.frame.columns], rows.source)
    cells = _check_cells(rows, taken, check)
    if cells.empty:
        raise InputError(check.no_row_left(rows.source))
    raw = rows.frame.loc[cells.index]
    prompt_ids, own_texts = _prompts(raw, cells, taken, known)
    check_prompt_infos(known.infos, set(prompt_ids), rows.source)
    texts, text_from = _choose_texts(raw, prompt_ids, own_texts, known, rows.source)
    frame = cells[["essay_id"]].assign(prompt_id=prompt_ids, prompt=texts, essay=cells["essay"])
    scales, range_from = _scales(raw, prompt_ids, taken, known, rows.source, check)
    _refuse_unread(columns, taken, known, range_from, text_from)
    raw, frame = raw.loc[list(scales)], frame.loc[list(scales)]
    frame["score"], values, no_raters = _scores(raw, scales, taken, rows.source, check)
    frame = frame[frame["score"].notna()]
    traits = read_traits(rows, frame["prompt_id"].to_dict(), taken.traits, check)
    frame = frame[[row not in check.reasons for row in frame.index]]
    if frame.empty:
        raise InputError(check.no_row_left(rows.source))
    found = scales_from_scores(frame[[scales[row] is None for row in frame.index]], rows.source, known.observe)
    of_rows = [scales[row] or found[prompt_id] for row, prompt_id in frame["prompt_id"].items()]
    frame = frame.assign(**scale_columns(of_rows))
    values, beyond = _without_ids(values, {row: scales[row] for row in frame.index}, taken)
    _set_aside(frame, of_rows, raw, rows.source, check)
    frame = frame.assign(**_riding(raw.loc[frame.index], taken, {**values, **traits.scores}))
    frame = frame.drop(index=[row for row in check.reasons if row in frame.index])
    split_of = _split_of(rows, columns, taken)
    table = EssayTable(
        frame,
        rows.source,
        rows.checksum,
        rows.corpus,
        None if split_of is None else split_of.loc[frame.index],
        _value_columns(taken, values, traits),
        Provenance(
            _describe(replace(taken, raters=tuple(values)), known, columns),
            range_from,
            text_from,
            traits.ranges_from,
            (*rows.notes, *no_raters, *beyond, *_notes(taken, raw)),
        ),
        left_out_of(rows.frame, taken.essay_id, frame),
        check.num_unread,
        split_of is not None and split_of is rows.split_of,
    )
    check_table(table)
    return table


def left_out_of(raw: pd.DataFrame, id_column: str | None, kept: pd.DataFrame) -> frozenset[str]:
    """The ids in a source's column of which the essays that were kept have none; none where rows are numbered."""
    if id_column is None:
        return frozenset()
    return frozenset(map(id_in_words, raw[id_column].dropna())) - set(kept["essay_id"])


def _riding(raw: pd.DataFrame, taken: TakenColumns, values: Mapping[str, pd.Series]) -> dict[str, pd.Series]:
    """Columns beside those of the schema: values as numbers, all others as they are."""
    used = {name for role, name in taken.single.items() if role != "split"}
    return {
        _kept_name(str(name)): values[name] if name in values else as_it_stands(raw[name])
        for name in raw.columns
        if name not in used
    }


def _split_of(rows: SourceRows, columns: ColumnNames, taken: TakenColumns) -> pd.Series | None:
    """The splits that the source gives: in a column that is named, in parts of its own, or in a column of the usual name."""
    if rows.split_of is not None and columns.split is None:
        return rows.split_of
    return None if taken.split is None else rows.frame[taken.split]


def _check_cells(rows: SourceRows, taken: TakenColumns, check: RowCheck) -> pd.DataFrame:
    """`essay_id` and `essay` of the rows in which both can be used, and `prompt_id` where there is one."""
    cells: dict[Hashable, tuple] = {}
    for number, row, raw in zip(rows.numbered, rows.frame.index, rows.frame.to_dict("records"), strict=True):
        with check.of(row, raw):
            essay_id = number if taken.essay_id is None else _read_id(raw[taken.essay_id], row, rows, taken.essay_id)
            prompt_id = (
                None if taken.prompt_id is None else _read_id(raw[taken.prompt_id], row, rows, taken.prompt_id).strip()
            )
            essay = None if is_missing(raw[taken.essay]) else raw[taken.essay]
            essay = check_essay_text(essay, f"{rows.source}, row {row} (essay_id {essay_id})")
            cells[row] = (essay_id, prompt_id, essay)
    return pd.DataFrame.from_dict(cells, orient="index", columns=["essay_id", "prompt_id", "essay"])


def _read_id(value: Any, row: Hashable, rows: SourceRows, column: str) -> str:
    if isinstance(value, (list, dict)):
        raise InputError(
            f"{rows.source}, row {row}, column {column!r}: a {type(value).__name__} is no id. Give text or a number."
        )
    if is_blank(value):
        raise InputError(f"{rows.source}, row {row}, column {column!r}: there is no id.")
    return id_in_words(value)


def _prompts(
    raw: pd.DataFrame, cells: pd.DataFrame, taken: TakenColumns, known: KnownPrompts
) -> tuple[Sequence[str], Sequence[str]]:
    """Prompt ids, and the texts that the source itself gives, row by row."""
    own_texts = [""] * len(raw)
    if taken.prompt is not None:
        own_texts = ["" if is_missing(value) else id_in_words(value).strip() for value in raw[taken.prompt]]
    if known.only_id is not None:
        if taken.prompt_id is not None:
            _check_is_one_prompt(cells["prompt_id"], taken.prompt_id, known.only_id)
        return [known.only_id] * len(raw), own_texts
    if taken.prompt_id is not None:
        return list(cells["prompt_id"]), own_texts
    return [str(code + 1) for code in pd.factorize(pd.Series(own_texts, dtype=object))[0]], own_texts


def _check_is_one_prompt(names: "pd.Series[str]", column: str, only_id: str):
    """A table may call its prompt otherwise, but essays of several are not essays of one."""
    several = list(names.unique())
    if len(several) > 1:
        raise InputError(
            f"`prompt_id` {only_id} says that all essays answer one prompt, and the column {column!r} has {len(several)}: "
            f"{listing(several, only_id)} Leave `prompt_id` out, or give essays of one prompt."
        )


def _choose_texts(
    raw: pd.DataFrame, prompt_ids: Sequence[str], own_texts: Sequence[str], known: KnownPrompts, source: str
) -> tuple[list[str], dict[str, str]]:
    """The prompt's text row by row, and where each prompt's comes from."""
    texts, text_from = [], {}
    for prompt_id, own in zip(prompt_ids, own_texts, strict=True):
        of_table = known.infos.get(prompt_id, PromptInfo()).text
        texts.append(of_table or own or stand_in_text(prompt_id))
        text_from[prompt_id] = known.infos_from if of_table else "column" if own else "none"
    by_prompt = pd.DataFrame({"id": prompt_ids, "text": texts}, index=raw.index).drop_duplicates()
    twice = by_prompt[by_prompt["id"].duplicated()]
    if len(twice):
        raise InputError(
            f"{source}, row {twice.index[0]}: prompt {twice['id'].iloc[0]!r} has another text than before. "
            "Different tasks need different prompt ids."
        )
    return texts, text_from


def _scales(
    raw: pd.DataFrame,
    prompt_ids: Sequence[str],
    taken: TakenColumns,
    known: KnownPrompts,
    source: str,
    check: RowCheck,
) -> tuple[dict[Hashable, ScoreRange | None], dict[str, str]]:
    """
    The scale that is given for each row that is not set aside, None where none is; and where each prompt's comes from.
    """
    names = (taken.min_score or "min_score", taken.max_score or "max_score", taken.score_step or "score_step")
    scales = given_scales(raw, prompt_ids, names, source, known.infos, known.ranges, check)
    range_from = {}
    for prompt_id, row in zip(prompt_ids, raw.index, strict=True):
        if prompt_id in known.ranges or None in known.ranges:
            range_from[prompt_id] = "given"
        elif known.infos.get(prompt_id, PromptInfo()).score_range is not None:
            range_from[prompt_id] = known.infos_from
        elif row in scales:
            range_from[prompt_id] = "scores seen" if scales[row] is None else "columns"
    return scales, range_from


def _refuse_unread(
    columns: ColumnNames,
    taken: TakenColumns,
    known: KnownPrompts,
    range_from: dict[str, str],
    text_from: dict[str, str],
):
    """Refuses columns of scales and texts that were named, and of which none is read since something else gives them all."""
    for role in ("min_score", "max_score", "score_step"):
        name = getattr(columns, role)
        givers = {"given": "`score_ranges`", TABLE_OF_PROMPTS: "`prompts`", "ASAP": "ASAP"}
        if name is not None and range_from and set(range_from.values()) <= set(givers):
            giver = " and ".join(givers[found] for found in sorted(set(range_from.values())))
            raise InputError(f"`columns.{role}` {name} has no effect: the scale of each prompt comes from {giver}.")
    tells_prompts = taken.prompt_id is None and known.only_id is None
    if columns.prompt is not None and not tells_prompts and set(text_from.values()) == {TABLE_OF_PROMPTS}:
        raise InputError(f"`columns.prompt` {columns.prompt} has no effect: `prompts` gives the text of each prompt.")


def _scores(
    raw: pd.DataFrame,
    scales: Mapping[Hashable, ScoreRange | None],
    taken: TakenColumns,
    source: str,
    check: RowCheck,
) -> tuple[pd.Series, dict[str, pd.Series], list[str]]:
    """
    The scores as numbers, NaN in rows that are set aside, and the columns of raters' scores. Columns of the usual names of
    raters that hold something else are not among them: they stay as they are, and a note on each says why.
    """
    notes: list[str] = []
    scores = pd.Series(float("nan"), index=raw.index)
    values = {name: pd.Series(float("nan"), index=raw.index) for name in taken.raters}
    for row, cells in raw.to_dict("index").items():
        with check.of(row, cells):
            # Whether numbers are on their scales, `check_table` tells of all together.
            labels = scales[row] if getattr(scales[row], "labels", ()) else None
            score = parse_score(cells[taken.score], row, source, taken.score, labels)
            for name in list(values):
                try:
                    values[name][row] = parse_value(cells[name], row, source, name, labels)
                except InputError as error:
                    if name not in taken.optional:
                        raise
                    del values[name]
                    notes.append(f"Column {name!r} is taken for no rater's: {error}")
            scores[row] = score
    return scores, values, notes


def _without_ids(
    values: dict[str, pd.Series], scales: Mapping[Hashable, ScoreRange | None], taken: TakenColumns
) -> tuple[dict[str, pd.Series], list[str]]:
    """
    The columns of raters' scores that can be such, and notes on the others. Where the score is the mean of the raters' they are
    on its scale, and where it is their sum each is at most that, and at least the lowest sum by their number. A column of a usual
    name with others holds something else (numbers of raters, say); one that was named is kept. Only scales that were given tell:
    raters may well go beyond the scores that occur.
    """
    kept, notes = {}, []
    for name, scores in values.items():
        beyond = [
            (row, scores[row], scale)
            for row, scale in scales.items()
            if scale is not None
            and not scale.labels
            and not pd.isna(scores[row])
            and not min(scale.min_score, scale.min_score / MOST_RATERS) <= scores[row] <= scale.max_score
        ]
        if beyond:
            row, score, scale = beyond[0]
            found = f"row {row} has {score:g}, and the essay's score is on the scale {scale}"
            notes.append(
                f"Column {name!r} is taken for no rater's: {found}. If it is one's, name it with `columns.raters`."
                if name in taken.optional
                else f"Column {name!r} of raters goes beyond the scale: {found}. Is it mistyped?"
            )
        if not beyond or name not in taken.optional:
            kept[name] = scores
    return kept, notes


def _set_aside(frame: pd.DataFrame, scales: Sequence[ScoreRange], raw: pd.DataFrame, source: str, check: RowCheck):
    """Rows that contradict others or their prompt's scale, where such rows are set aside; else [`check_table`] finds them."""
    if not check.skip:
        return
    repeated = frame["essay_id"].duplicated()
    for row, scale in zip(frame.index, scales, strict=True):
        score = frame.at[row, "score"]
        if repeated[row]:
            problem = f"essay_id {frame.at[row, 'essay_id']!r} is that of an earlier row"
        elif not scale.holds(score):
            problem = f"the score {score:g} is not on the scale {scale}"
        else:
            continue
        check.reject(row, raw.loc[row].to_dict(), f"{source}, row {row}: {problem}.")


def _value_columns(taken: TakenColumns, values: Mapping[str, pd.Series], traits: TraitScores) -> ValueColumns:
    raters = tuple(_kept_name(name) for name in taken.raters if name in values)
    for name in traits.ranges:
        if name != _kept_name(name) or name in RESERVED_TRAITS:
            raise InputError(
                f"`columns.traits`: a trait cannot be called {name!r}, a name of our own. Rename the column."
            )
    return ValueColumns(raters, traits.ranges, tuple(_kept_name(name) for name in taken.groups))


def _kept_name(name: str) -> str:
    return f"{name}_in_source" if name in REQUIRED_COLUMNS + SCALE_COLUMNS + TOKEN_COLUMNS else name


def _describe(taken: TakenColumns, known: KnownPrompts, columns: ColumnNames) -> dict[str, str]:
    """What was read, and where it was taken from."""
    absent = {"essay_id": "rows are numbered", "prompt_id": "each text of a prompt is a prompt"}
    if known.only_id is not None:
        absent["prompt_id"] = f"all essays answer prompt {known.only_id!r}"
    elif columns.no_prompts or taken.prompt is None:
        absent["prompt_id"] = "all essays are one task"
    told: dict[str, str] = {}
    for role, name in taken.single.items():
        if role == "split":
            continue
        is_read = name is not None and not (role == "prompt_id" and known.only_id is not None)
        if is_read or role in absent:
            told[role] = f"column {name!r}" if is_read else absent[role]
    for role, names in (("raters", taken.raters), ("traits", taken.traits), ("groups", taken.groups)):
        if names:
            told[role] = f"columns {', '.join(map(repr, names))}"
    return told


def _notes(taken: TakenColumns, raw: pd.DataFrame) -> list[str]:
    others = [str(name) for name in raw.columns if name not in taken.named]
    return [f"Columns that ride along: {listing(others, '')}"] if others else []
