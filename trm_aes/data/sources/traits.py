"""Scores of traits: joined to essays from a table of their own, put on their scales, prompt by prompt."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from ...errors import InputError
from ...model.configuration_trm import sort_prompt_ids
from ...model.score_scale import ScoreRange, as_number
from ...naming import listing
from ..cells import id_in_words, is_blank, is_missing, parse_value
from ..columns import ColumnNames
from ..rejection import RowCheck
from ..scales import MAX_STEPS, usual_step
from ..tables import read_rows
from ..trait_scales import TraitScales
from .rows import JoinedColumns, SourceRows


@dataclass(frozen=True)
class TraitScores:
    """
    Scores of traits of a source's essays.

    Args:
        scores: `trait -> score of each row`, NaN where it has none.
        ranges: `trait -> prompt_id -> scale`, for the prompts that have scores of the trait.
        ranges_from: `trait -> prompt_id -> where its scale comes from`, in words for people.
    """

    scores: dict[str, pd.Series]
    ranges: dict[str, dict[str, ScoreRange]]
    ranges_from: dict[str, dict[str, str]]


# ---- From a table of their own


def join_traits(rows: SourceRows, columns: ColumnNames) -> tuple[SourceRows, ColumnNames]:
    """
    Gives essays their rows of the table of traits, by id. Both stay as they are where no such table is named.

    Args:
        rows: of the source.
        columns: what is in which column; `traits` names columns of the table and of the source. If it names none, all
            columns of numbers that the table has and the source lacks are traits.

    Raises:
        InputError: if either has no column of ids, an id stands twice in the table or none matches, or there is no trait.
    """
    table = columns.trait_table
    if table is None:
        return rows, columns
    id_column = columns.essay_id or "essay_id"
    if id_column not in rows.frame:
        raise InputError(
            f"{rows.source} has no column {id_column!r}, by which {table.path} would be joined. Name the column of ids with "
            "`columns.essay_id`."
        )
    own = {str(name) for name in rows.frame.columns}
    ids = rows.frame[id_column].map(lambda value: "" if is_missing(value) else id_in_words(value).strip())
    by_id = _rows_by_id(table.path, read_rows(table.path, table.reading, [id_column]), id_column)
    cells = pd.DataFrame.from_dict(by_id, orient="index", dtype=object)
    names, others = _chosen(cells, columns, own, table.path)
    matched = ids[ids.isin(cells.index)]
    if matched.empty:
        raise InputError(
            f"{table.path}: none of its ids is one of {rows.source}. The first are {cells.index[0]!r} and {ids.iloc[0]!r}."
        )
    joined = cells.loc[matched, names].set_axis(matched.index).reindex(rows.frame.index)
    notes = [f"Traits of {table.path}: {len(matched):,} essays have a row there."]
    if len(cells) > matched.nunique():
        notes.append(f"{len(cells) - matched.nunique():,} rows of it match no essay.")
    if len(matched) < len(ids):
        notes.append(f"{len(ids) - len(matched):,} essays have no row there, and no scores of traits.")
    if others:
        notes.append(f"Not read of it: {listing(others, '')}")
    number_of = {essay_id: number for number, essay_id in enumerate(by_id, start=1)}
    row_of = {row: number_of[essay_id] for row, essay_id in matched.items()}
    rows = replace(
        rows,
        frame=rows.frame.assign(**{name: joined[name] for name in names}),
        notes=(*rows.notes, " ".join(notes)),
        joined=JoinedColumns(tuple(names), table.path, row_of),
    )
    return rows, columns if columns.traits else replace(columns, traits={name: {} for name in names})


def _rows_by_id(path: str, rows: Iterable[dict[str, Any]], id_column: str) -> dict[str, dict[str, Any]]:
    """`id -> cells` of a table's rows, in their order."""
    found: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(rows, start=1):
        if id_column not in row:
            raise InputError(f"{path} has no column {id_column!r}; it has {listing(row, id_column)}")
        essay_id = "" if is_missing(row[id_column]) else id_in_words(row[id_column]).strip()
        if not essay_id:
            raise InputError(f"{path}, row {number}, column {id_column!r}: there is no id.")
        if essay_id in found:
            first = list(found).index(essay_id) + 1
            raise InputError(
                f"{path}, row {number}: {id_column} {essay_id!r} is that of row {first}, too. Ids must be unique."
            )
        found[essay_id] = {name: cell for name, cell in row.items() if name != id_column}
    if not found:
        raise InputError(f"{path} holds no rows.")
    return found


def _chosen(cells: pd.DataFrame, columns: ColumnNames, own: set[str], path: str) -> tuple[list[str], list[str]]:
    """The table's columns that are traits, and those that are not read, but for those that the source has, too."""
    there = [str(name) for name in cells.columns]
    if not columns.traits:
        new = [name for name in there if name not in own]
        names = [name for name in new if _holds_numbers(cells[name])]
        if not names:
            raise InputError(f"{path} has no column of numbers that the source lacks; it has {listing(there, '')}")
        return names, [name for name in new if name not in names]
    for name in columns.traits:
        if name in there and name in own:
            raise InputError(f"Column {name!r} stands in the source and in {path}: which is the trait? Rename one.")
        if name not in there and name not in own:
            raise InputError(
                f"{path} has no column {name!r}; it has {listing(there, name)} Name the right one with `columns.traits`."
            )
    return [name for name in there if name in columns.traits], []


def _holds_numbers(cells: pd.Series) -> bool:
    given = [value for value in cells if not is_blank(value)]
    try:
        return bool(given) and all(as_number(value) is not None for value in given)
    except ValueError:
        return False


# ---- On their scales


def read_traits(
    rows: SourceRows,
    prompt_ids: Mapping[Hashable, str],
    traits: Mapping[str, TraitScales],
    check: RowCheck,
) -> TraitScores:
    """
    Reads the scores of traits. A blank cell is none: the essay has no such score. A prompt has a trait if one of its essays
    has a score of it; where no scale is given, it is read off the prompt's scores (see [`usual_step`]).

    Args:
        rows: of the source.
        prompt_ids: `row -> prompt`, of the rows that are used.
        traits: columns, and the scales that are given.
        check: what becomes of rows that cannot be used.

    Raises:
        InputError: if a score is no number or not on its scale, or a scale is of a prompt that there is not, or cannot be
            read off the scores.
    """
    for name, scales in traits.items():
        _check_prompts(name, scales, set(prompt_ids.values()), rows.source)
    found: dict[str, dict[Hashable, float]] = {name: {} for name in traits}
    used = rows.frame.loc[list(prompt_ids)]
    for row, cells in zip(used.index, used.to_dict("records"), strict=True):
        with check.of(row, cells):
            for name, scales in traits.items():
                scale = scales.get(prompt_ids[row]) or scales.get(None)
                source, number = rows.place(row, name)
                found[name][row] = parse_value(cells[name], number, source, name, scale)
    scores = {name: pd.Series(values, index=used.index, dtype=float) for name, values in found.items()}
    prompts = pd.Series(prompt_ids)[[row for row in prompt_ids if row not in check.reasons]]
    ranges: dict[str, dict[str, ScoreRange]] = {}
    ranges_from: dict[str, dict[str, str]] = {}
    for name, scales in traits.items():
        of_trait = scores[name].loc[prompts.index].dropna()
        by_prompt = dict(list(of_trait.groupby(prompts[of_trait.index])))
        given = {prompt_id: scales.get(prompt_id) or scales.get(None) for prompt_id in sort_prompt_ids(by_prompt)}
        ranges_from[name] = {prompt_id: "given" if scale else "scores seen" for prompt_id, scale in given.items()}
        ranges[name] = {
            prompt_id: scale or _scale_of(by_prompt[prompt_id], rows, name, prompt_id)
            for prompt_id, scale in given.items()
        }
    return TraitScores(scores, ranges, ranges_from)


def _check_prompts(trait: str, scales: TraitScales, there: set[str], source: str):
    for prompt_id in scales:
        if prompt_id is not None and prompt_id not in there:
            listed = listing(sort_prompt_ids(there), prompt_id)
            raise InputError(
                f"`columns.traits`: trait {trait!r} has a scale for prompt {prompt_id!r}, which {source} lacks; it has {listed}"
            )


def _scale_of(scores: pd.Series, rows: SourceRows, trait: str, prompt_id: str) -> ScoreRange:
    """The scale of a prompt's scores of a trait: from the lowest to the highest, by the largest usual step."""
    what, low, high = f"the scores of trait {trait!r} of prompt {prompt_id!r}", scores.min(), scores.max()
    way_on = f"give their scale with `columns.traits`, as in {trait}={prompt_id}=1:6."
    if low == high:
        raise InputError(f"{rows.source}: {what} are all {low:g}, which tells no scale: {way_on}")
    step = usual_step(list(scores))
    # Far from the others, or on no scale with them, a score is likelier mistyped than they.
    odd = (scores - scores.median()).abs().idxmax()
    if step is None:
        odd = next(row for row in scores.index if usual_step([scores[row]]) is None)
    source, number = rows.place(odd, trait)
    where = f"{source}, row {number}, column {trait!r}: with {scores[odd]:g}"
    if step is None:
        raise InputError(f"{where}, {what} are on no usual scale. Round them, or {way_on}")
    try:
        scale = ScoreRange(float(low), float(high), step)
    except ValueError as error:
        raise InputError(f"{where}, {what} have no scale: {error}. Mend it, or {way_on}") from None
    if scale.num_steps > MAX_STEPS:
        raise InputError(
            f"{where}, {what} have a scale of {scale.num_steps:,} steps, {scale}. If it is right, {way_on}"
        )
    return scale
