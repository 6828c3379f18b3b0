"""How far a scorer knows what it does not know: confidence, prediction sets and review, measured on its predictions."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..model.confidence_trm import LEVELS
from ..model.score_scale import ScoreRange
from ..scoring.scorer import SET_COLUMNS
from .bootstrap import Estimate, draw_times_by_prompt
from .coverage import SetCoverage, set_coverage
from .reliability import ReliabilityBin, brier_score, expected_calibration_error, log_loss, reliability_bins
from .review import ReviewRoute, ReviewTarget, ScoredEssays, review_routes, review_targets


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """
    How far the scorer knows what it does not know.

    Args:
        reliability: of the confidence, bin by bin.
        ece, brier, log_loss: of the confidence that the rounded score is right.
        sets: coverage of the prediction sets.
        routes, targets: who reads what.
    """

    reliability: list[ReliabilityBin]
    ece: Estimate
    brier: Estimate
    log_loss: Estimate
    sets: list[SetCoverage]
    routes: list[ReviewRoute]
    targets: list[ReviewTarget]


def confidence_section(
    predictions: pd.DataFrame, score_ranges: Mapping[str, ScoreRange], seed: int = 0, review_by: str | None = None
) -> Confidence:
    """
    Everything that a report says of confidence.

    Args:
        predictions: at least one row: `prompt_id`, `score` and `predicted_score` (numbers) and `confidence`. Where the scorer has
            an error model also `predicted_error`, in points or steps from label to label, and the ends of the prediction sets
            as people write them (`SET_COLUMNS`); columns that are absent or empty are left out of the section.
        score_ranges: of the prompts.
        seed: of the draws of the intervals.
        review_by: what the scorer chooses by which essays people should read, as in its configuration; this route comes first.
    """
    prompt_ids = predictions["prompt_id"].to_numpy(dtype=object)
    gold, predicted, confidence = (
        predictions[name].to_numpy(dtype=float) for name in ("score", "predicted_score", "confidence")
    )
    essays = ScoredEssays.of_scores(prompt_ids, gold, predicted, score_ranges)
    times = draw_times_by_prompt(prompt_ids, seed)
    doubts = {"confidence": 1 - confidence}
    if _has(predictions, "predicted_error"):
        # In steps, which mean about the same whatever the scale.
        step = np.array([score_ranges[prompt_id].step for prompt_id in prompt_ids])
        errors = {"predicted error": predictions["predicted_error"].to_numpy(dtype=float) / step}
        doubts = doubts | errors if review_by == "confidence" else errors | doubts
    return Confidence(
        reliability=reliability_bins(confidence, essays.is_right),
        ece=expected_calibration_error(confidence, essays.is_right, times),
        brier=brier_score(confidence, essays.is_right, times),
        log_loss=log_loss(confidence, essays.is_right, times),
        sets=_sets(predictions, prompt_ids, gold, score_ranges),
        routes=review_routes(essays, doubts, times),
        targets=review_targets(essays, doubts),
    )


def _sets(
    predictions: pd.DataFrame, prompt_ids: np.ndarray, gold: np.ndarray, score_ranges: Mapping[str, ScoreRange]
) -> list[SetCoverage]:
    found: list[SetCoverage] = []
    for level, columns in zip(LEVELS, SET_COLUMNS, strict=True):
        if not _has(predictions, *columns):
            continue
        ends = [
            [score_ranges[prompt_id].parse(end) for end in essay]
            for prompt_id, essay in zip(prompt_ids, predictions[list(columns)].to_numpy(dtype=object), strict=True)
        ]
        found += set_coverage(prompt_ids, gold, np.array(ends), score_ranges, level)
    return found


def _has(predictions: pd.DataFrame, *columns: str) -> bool:
    return all(name in predictions and predictions[name].notna().all() for name in columns)
