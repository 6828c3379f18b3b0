"""How many human scores lie in the prediction sets, and how wide these are."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..model.configuration_trm import sort_prompt_ids
from ..model.score_scale import ScoreRange
from .bootstrap import Estimate
from .reliability import share_estimate

ALL_PROMPTS = "all prompts"


@dataclass(frozen=True, kw_only=True)
class SetCoverage:
    """
    Prediction sets of one prompt (or "all prompts") at one level: the share of human scores that lie in them, their mean
    width in steps of the scale and as a share of it (0-1).
    """

    prompt_id: str
    level: float
    n: int
    coverage: Estimate
    mean_steps: float
    mean_share: float


def set_coverage(
    prompt_ids: np.ndarray,
    gold: np.ndarray,
    sets: np.ndarray,
    score_ranges: Mapping[str, ScoreRange],
    level: float,
) -> list[SetCoverage]:
    """
    Coverage and width of prediction sets, over all prompts together and by prompt.

    Args:
        prompt_ids: of the essays, `(essays,)`.
        gold: human scores, `(essays,)`.
        sets: lowest and highest score of each essay's set, on the prompt's scale, `(essays, 2)`.
        score_ranges: of the prompts.
        level: the share of human scores that should lie in the sets (0-1).
    """
    ids = np.asarray(prompt_ids, dtype=object)
    # In steps above the lowest score.
    steps, lengths = np.zeros((len(gold), 3)), np.zeros(len(gold))
    for prompt_id in dict.fromkeys(ids):
        rows, score_range = ids == prompt_id, score_ranges[prompt_id]
        steps[rows] = score_range.steps(np.column_stack([gold, sets])[rows])
        lengths[rows] = score_range.num_steps
    found = [_coverage(ALL_PROMPTS, steps, lengths, level)]
    for prompt_id in sort_prompt_ids(ids.tolist()):
        found.append(_coverage(prompt_id, steps[ids == prompt_id], lengths[ids == prompt_id], level))
    return found


def _coverage(name: str, steps: np.ndarray, lengths: np.ndarray, level: float) -> SetCoverage:
    gold, low, high = steps.T
    widths = high - low
    return SetCoverage(
        prompt_id=name,
        level=level,
        n=len(gold),
        coverage=share_estimate(int(((low <= gold) & (gold <= high)).sum()), len(gold)),
        mean_steps=float(widths.mean()),
        mean_share=float((widths / lengths).mean()),
    )
