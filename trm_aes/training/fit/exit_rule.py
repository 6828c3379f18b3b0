"""When a trained scorer may stop recursing: the tolerance of its exit rule, chosen on validation essays."""

import numpy as np
import pandas as pd

from ...evaluation.agreement import mean_qwk
from ...model.score_scale import ScoreRange, denormalize_by_prompt
from ...model.supervision_trm import has_settled

TOLERANCES = (0.05, 0.03, 0.02, 0.01, 0.005, 0.003, 0.002, 0.001, 0.0005)
# In mean QWK.
MAX_QWK_LOST = 0.002


def choose_exit_tolerance(step_scores: np.ndarray, essays: pd.DataFrame, ranges: dict[str, ScoreRange]) -> dict:
    """
    The largest tolerance with which essays that leave early cost no more than 0.002 mean QWK of all steps.

    Args:
        step_scores: 0-1 scores of the validation essays after each supervision step, `(essays, steps)`.
        essays: their `prompt_id` and gold `score`.
        ranges: of the prompts.

    Returns:
        `tolerance` (None if even the smallest costs too much), `mean_steps` taken with it, and `mean_qwk` with it and
        `mean_qwk_of_all_steps`.
    """

    def agreement(scores: np.ndarray) -> float:
        predicted = denormalize_by_prompt(scores, essays["prompt_id"], ranges)
        return mean_qwk(essays["prompt_id"], essays["score"], predicted, ranges)

    num_steps = step_scores.shape[1]
    best = agreement(step_scores[:, -1])
    for tolerance in TOLERANCES:
        exits = exit_steps(step_scores, tolerance)
        reached = agreement(step_scores[np.arange(len(exits)), exits - 1])
        if reached >= best - MAX_QWK_LOST:
            return {
                "tolerance": tolerance,
                "mean_steps": float(exits.mean()),
                "mean_qwk": reached,
                "mean_qwk_of_all_steps": best,
            }
    return {"tolerance": None, "mean_steps": num_steps, "mean_qwk": best, "mean_qwk_of_all_steps": best}


def exit_steps(step_scores: np.ndarray, tolerance: float) -> np.ndarray:
    """Steps that each essay takes, from 1: up to the first that moves its score by no more than the tolerance."""
    rests = has_settled(step_scores[:, :-1], step_scores[:, 1:], tolerance)
    rests = np.concatenate([rests, np.ones((len(rests), 1), dtype=bool)], axis=1)
    return np.minimum(rests.argmax(axis=1) + 2, step_scores.shape[1])
