"""Calibration on validation essays: of score scales, prompt by prompt, and of the probability of being right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit, logit

# Fewer essays say too little about the spread.
MIN_ESSAYS = 30
# Fewer validation essays say less about the spread than the training essays do, each predicted without itself: QWK of ridge
# regression 0.757 against 0.766 with 38 of them beside 300 (docs/lab/experiments.md).
MIN_VALIDATION_ESSAYS = 100


@dataclass(frozen=True)
class Calibration:
    """`score -> intercept + slope * score`."""

    slope: float
    intercept: float

    def apply(self, scores: np.ndarray) -> np.ndarray:
        """Scores on this line, in the shape they came in; they are not clipped."""
        return self.intercept + self.slope * np.asarray(scores, dtype=float)


def match_spread(predictions: np.ndarray, references: np.ndarray) -> Calibration | None:
    """
    The line that gives one prompt's predictions the mean and standard deviation of its gold scores; None where either
    side does not vary.
    """
    if predictions.std() == 0 or references.std() == 0:
        return None
    slope = float(references.std() / predictions.std())
    return Calibration(slope, float(references.mean() - slope * predictions.mean()))


def fit_calibrations(
    prompt_ids: Sequence[str], predictions: ArrayLike, references: ArrayLike, min_essays: int = MIN_ESSAYS
) -> dict[str, Calibration]:
    """
    The line for each prompt that gives its predictions the mean and standard deviation of its gold scores, see
    [`match_spread`].

    Predictions that minimize the squared error spread r times as far as the gold scores, r being their correlation, and
    kappa punishes that: with the spread matched, QWK rises from 2r^2 / (1 + r^2) to r.

    Args:
        prompt_ids, predictions, references: of essays that took no part in training, on any one scale.
        min_essays: prompts of fewer are left out.

    Returns:
        `prompt_id -> line`; prompts whose scores or predictions do not vary are left out, too.
    """
    ids = np.asarray(prompt_ids)
    all_predicted, all_gold = np.asarray(predictions, dtype=float), np.asarray(references, dtype=float)
    lines = {}
    for prompt_id in dict.fromkeys(ids.tolist()):
        predicted, gold = all_predicted[ids == prompt_id], all_gold[ids == prompt_id]
        line = match_spread(predicted, gold) if len(gold) >= min_essays else None
        if line is not None:
            lines[prompt_id] = line
    return lines


def apply_calibrations(
    calibrations: dict[str, Calibration], prompt_ids: Sequence[str], predictions: ArrayLike
) -> np.ndarray:
    """Predictions on their prompts' lines; those of a prompt without one stay as they are."""
    calibrated = np.array(predictions, dtype=float)
    ids = np.asarray(prompt_ids)
    for prompt_id, line in calibrations.items():
        rows = ids == prompt_id
        calibrated[rows] = line.apply(calibrated[rows])
    return calibrated


def fit_shift(probabilities: ArrayLike, outcomes: ArrayLike) -> float:
    """
    The number to add to the logits of `probabilities` (0-1) so that their mean is the share of true `outcomes`.

    Shares of 0 and 1, which no finite shift gives, count as half an essay from there.
    """
    logits = logit(np.clip(np.asarray(probabilities, dtype=float), 1e-6, 1 - 1e-6))
    half = 0.5 / len(logits)
    share = float(np.clip(np.mean(np.asarray(outcomes)), half, 1 - half))
    return float(brentq(lambda shift: expit(logits + shift).mean() - share, -40, 40))
