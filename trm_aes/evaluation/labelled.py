"""Scored essays in a table, made ready to measure a scorer on, without a data set on disk."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
from datasets import Dataset, DatasetDict

from ..checkpoints import vocabulary_checksum
from ..data.columns import ColumnNames, TakenColumns
from ..data.dataset import EssayDataset
from ..data.prompts import KnownPrompts, PromptInfo
from ..data.rejection import RowCheck
from ..data.scales import SCALE_COLUMNS
from ..data.schema import prompt_rows
from ..data.sources.own import make_table
from ..data.sources.rows import SourceRows
from ..data.tokenizing import TokenLimits, tokenized_frame
from ..data.trait_scales import TraitScales
from ..errors import InputError
from ..model.essay_tokens import known_prompt_texts
from ..model.score_scale import ScoreRange
from ..model.text_features_trm import FEATURE_NAMES
from ..scoring.input_rows import name_in_cell
from ..scoring.scorer import EssayScorer
from ..scoring.unknown_prompts import PromptRule

# What the one split is called.
SPLIT = "input"


def labelled_essays(
    rows: SourceRows,
    columns: ColumnNames,
    scorer: EssayScorer,
    rule: PromptRule,
    prompt_id: str | None = None,
    score_ranges: Mapping[str | None, ScoreRange] | None = None,
    options: Mapping[str, Any] | None = None,
) -> EssayDataset:
    """
    A data set in memory with the one split [`SPLIT`].

    Args:
        rows: of the table.
        columns: what its columns are called.
        scorer: what is to be measured.
        rule: tells prompts, and what becomes of those that the scorer does not know.
        prompt_id: the prompt that all essays answer; else each row tells it by its id or its text, and where neither is
            there all answer the scorer's only prompt.
        score_ranges: of prompts that the scorer does not know, whose ranges neither the scorer nor the table gives.
        options: for the record.

    Raises:
        InputError: if a column, a row or a range cannot be used, or no essay answers a prompt that the scorer knows. A column
            called like one of the scorer's traits must hold its scores.
    """
    if prompt_id is not None:
        scorer.prompt_of(prompt_id, None, "`prompt_id`")
    taken = columns.resolve([str(name) for name in rows.frame.columns], rows.source)
    ids = _prompt_ids(rows, taken, scorer, rule, prompt_id)
    is_scored = [found is not None for found in ids]
    if not any(is_scored):
        raise InputError(f"{rows.source}: no essay answers a prompt that {scorer.name} knows.")
    # Under a name of its own: the table may hold another column of ids.
    column = taken.prompt_id or "prompt_id"
    frame = rows.frame[is_scored].assign(**{column: [found for found in ids if found is not None]})
    numbered = [number for number, kept in zip(rows.numbered, is_scored, strict=True) if kept]
    gives_ranges = (taken.min_score is not None and taken.max_score is not None) or any(
        name is not None for name in (columns.min_score, columns.max_score, columns.score_step)
    )
    known = _known_prompts(scorer, set(frame[column]), gives_ranges, score_ranges or {})
    frame, traits = _traits(scorer, frame, column)
    table = make_table(
        replace(rows, frame=frame, numbered=numbered),
        replace(columns, prompt_id=column, traits=traits),
        known,
        RowCheck(),
    )
    config = scorer.model.config
    longest = min(scorer.tokenizer.model_max_length, config.max_position_embeddings)
    tokenized = tokenized_frame(
        table.frame,
        scorer.tokenizer,
        TokenLimits(longest, config.max_prompt_tokens),
        "Tokenizing",
        config.skip_repetition,
    )
    card = {
        "source": table.source,
        "source_sha256": table.checksum,
        "options": dict(options or {}),
        "values": asdict(table.values),
        "prompts": {
            name: {"text": prompt["prompt"], **{column: prompt[column] for column in SCALE_COLUMNS}}
            for name, prompt in prompt_rows(table.frame).items()
        },
        "tokenizer": {"name": scorer.name, "vocabulary_sha256": vocabulary_checksum(scorer.tokenizer)},
        "text_features": list(FEATURE_NAMES),
        "skip_repetition": config.skip_repetition,
    }
    splits = DatasetDict({SPLIT: Dataset.from_pandas(tokenized, preserve_index=False)})
    return EssayDataset(splits, card, Path(rows.source))


def _traits(
    scorer: EssayScorer, frame: pd.DataFrame, prompt_column: str
) -> tuple[pd.DataFrame, dict[str, TraitScales]]:
    """
    The scorer's traits that the table has columns of, with the scorer's scales, and the table without what it says of traits
    in prompts that lack them.
    """
    traits: dict[str, TraitScales] = {}
    there = set(frame[prompt_column])
    for trait, ranges in scorer.trait_ranges.items():
        if trait in frame:
            has_trait = frame[prompt_column].isin(list(ranges))
            frame = frame.assign(**{trait: frame[trait].where(has_trait, None)})
            traits[trait] = {prompt: scale for prompt, scale in ranges.items() if prompt in there}
    return frame, traits


def _prompt_ids(
    rows: SourceRows, taken: TakenColumns, scorer: EssayScorer, rule: PromptRule, prompt_id: str | None
) -> list[str | None]:
    """
    What each row's prompt is called: as the row names it, else as the scorer calls it; None for rows that are left out.
    """
    found: list[str | None] = []
    for row, cells in zip(rows.frame.index, rows.frame.to_dict("records"), strict=True):
        where = f"{rows.source}, row {row}"
        named, text = (
            None if column is None else name_in_cell(cells[column], where, column)
            for column in (taken.prompt_id, taken.prompt)
        )
        if prompt_id is not None:
            rule.check_is_no_other(named, text, prompt_id, where)
            found.append(prompt_id)
            continue
        scored_as = rule.prompt_of(named, text, where)
        # A known id beside another prompt's text does not say what the essay answers.
        is_contradicted = named in scorer.score_ranges and named != scored_as
        found.append(scored_as if scored_as is None or named is None or is_contradicted else named)
    return found


def _known_prompts(
    scorer: EssayScorer, in_use: set[str], gives_ranges: bool, score_ranges: Mapping[str | None, ScoreRange]
) -> KnownPrompts:
    """Texts and ranges are the scorer's; a table that gives ranges must give the same, which the evaluation checks."""
    infos = {
        name: PromptInfo(text, None if gives_ranges else scorer.score_ranges[name])
        for name, text in known_prompt_texts(scorer.model.config).items()
        if name in in_use
    }
    return KnownPrompts(infos, score_ranges, observe=False, infos_from="the model")
