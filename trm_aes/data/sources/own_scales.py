"""On which scale each essay of a table of one's own was scored: as somebody says, or as its prompt's scores look."""

from collections.abc import Hashable, Mapping, Sequence

import pandas as pd

from ...errors import InputError
from ...model.configuration_trm import sort_prompt_ids
from ...model.score_scale import ScoreRange
from ...naming import listing
from ..cells import parse_score_range
from ..prompts import PromptInfo
from ..rejection import RowCheck
from ..scales import MAX_STEPS, usual_step


def given_scales(
    raw: pd.DataFrame,
    prompt_ids: Sequence[str],
    columns: Sequence[str],
    source: str,
    prompt_infos: Mapping[str, PromptInfo],
    score_ranges: Mapping[str | None, ScoreRange],
    check: RowCheck,
) -> dict[Hashable, ScoreRange | None]:
    """
    The scale that is given for each row: by the user, by the table of prompts, or by columns of the file, in this order;
    None where nothing gives one. Rows that are set aside have none.

    Args:
        raw: the file's rows as they came, with the index by which errors name them.
        prompt_ids: the rows' prompts.
        columns: names of the file's columns of the lowest score, the highest and the step.
        source: what to call the file.
        prompt_infos, score_ranges: as of [`load_own_table`].
        check: what becomes of rows whose columns give no scale.

    Raises:
        InputError: for a scale of a prompt that the file lacks, one that is none, and one of more than 1,000 steps that the
            user did not give.
    """
    unknown = sorted({name for name in score_ranges if name is not None} - set(prompt_ids))
    if unknown:
        there = listing(sort_prompt_ids(set(prompt_ids)), unknown[0])
        raise InputError(f"`score_ranges`: {source} has no prompt {unknown[0]!r}; it has {there}")
    of_user = {prompt_id: score_ranges.get(prompt_id) or score_ranges.get(None) for prompt_id in set(prompt_ids)}
    scales: dict[Hashable, ScoreRange | None] = {}
    for (row, cells), prompt_id in zip(raw.to_dict("index").items(), prompt_ids, strict=True):
        scale = of_user[prompt_id] or prompt_infos.get(prompt_id, PromptInfo()).score_range
        with check.of(row, cells):
            if scale is None:
                scale = parse_score_range(cells, row, source, columns)
            if of_user[prompt_id] is None:
                _check_width(scale, f"{source}, row {row}", prompt_id)
            scales[row] = scale
    return scales


def scales_from_scores(essays: pd.DataFrame, source: str, may_observe: bool) -> dict[str, ScoreRange]:
    """
    The scales of prompts for which none is given: from the lowest to the highest score, by the largest usual step of which
    all scores are multiples (see [`usual_step`]).

    Args:
        essays: `prompt_id` and `score` of these prompts' essays, with the index by which errors name them.
        source: what to call the file.
        may_observe: whether these essays are enough to go by.

    Raises:
        InputError: if they are not, or have one score, scores on no usual scale, or scores more than 1,000 steps apart.
    """
    found = {}
    for group, scores in essays.groupby("prompt_id", sort=False)["score"]:
        prompt_id, low, high = str(group), scores.min(), scores.max()
        if not may_observe:
            raise InputError(
                f"{source} does not say from where to where the scores of prompt {prompt_id!r} range, and so few essays "
                "need not hold the lowest and the highest: give `score_ranges`."
            )
        if low == high:
            raise InputError(
                f"{source}: the scores of prompt {prompt_id!r} range from {low:g} to {high:g}: nothing to learn. Give the "
                "true range with `score_ranges`."
            )
        step = usual_step(scores)
        if step is None:
            odd = next(row for row in scores.index if usual_step(scores[[row]]) is None)
            raise InputError(
                f"{source}, row {odd}: {scores[odd]:g} is on no usual scale. Round the scores of prompt {prompt_id!r}, and "
                "give their scale with `score_ranges`, as in 1:5:0.5."
            )
        # Far from the others, it is likelier mistyped than they.
        farthest = (scores - scores.median()).abs().idxmax()
        where = f"{source}, row {farthest}: with the score {scores[farthest]:g}"
        try:
            found[prompt_id] = ScoreRange(float(low), float(high), step)
        except ValueError as error:
            raise InputError(f"{where}, prompt {prompt_id!r} has no scale: {error}.") from None
        _check_width(found[prompt_id], where, prompt_id)
    return found


def _check_width(scale: ScoreRange | None, where: str, prompt_id: str):
    if scale is not None and scale.num_steps > MAX_STEPS:
        option = ":".join(f"{value:.12g}" for value in (scale.min_score, scale.max_score, scale.step))
        raise InputError(
            f"{where}, prompt {prompt_id!r} has a scale of {scale.num_steps:,} steps, {scale}. If no score is mistyped, say "
            f"so with `score_ranges` {option}."
        )
