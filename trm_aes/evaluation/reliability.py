"""Whether a confidence is what it says it is: a probability of being right."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binomtest

from .bootstrap import Estimate, estimate, means

NUM_BINS = 10


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Essays whose confidence lies in one bin: how many, their mean confidence, and the share that was scored right."""

    n: int
    mean_confidence: float
    share_right: Estimate


def reliability_bins(confidence: np.ndarray, is_right: np.ndarray) -> list[ReliabilityBin]:
    """
    The reliability curve: essays in ten bins of about as many essays each, the least confident first (fewer bins where there
    are fewer essays), with the share that was right.

    Args:
        confidence: 0-1, `(essays,)`.
        is_right: whether the score is the human one, `(essays,)`.
    """
    return [
        ReliabilityBin(
            n=len(places),
            mean_confidence=float(confidence[places].mean()),
            share_right=share_estimate(int(is_right[places].sum()), len(places)),
        )
        for places in _bins(confidence)
    ]


def expected_calibration_error(confidence: np.ndarray, is_right: np.ndarray, times: np.ndarray) -> Estimate:
    """
    Mean distance between confidence and share of right scores over the bins of [`reliability_bins`], each weighted by its
    essays (Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017).

    Args:
        confidence, is_right: `(essays,)`.
        times: how often each sample of the bootstrap has each essay.
    """
    distances = [np.abs(times[:, places] @ (confidence - is_right)[places]) for places in _bins(confidence)]
    errors = np.sum(distances, axis=0) / times.sum(axis=1)
    found = estimate(errors)
    if found.value is None or found.low is None:
        return found
    # A mean of distances is larger in samples of the essays than in the essays themselves.
    return replace(found, low=min(found.low, found.value))


def brier_score(confidence: np.ndarray, is_right: np.ndarray, times: np.ndarray) -> Estimate:
    """Mean squared distance between confidence and outcome (Brier 1950); arguments as of [`expected_calibration_error`]."""
    return estimate(means((confidence - is_right) ** 2, times))


def log_loss(confidence: np.ndarray, is_right: np.ndarray, times: np.ndarray) -> Estimate:
    """Mean negative log likelihood of the outcomes, in nats; arguments as of [`expected_calibration_error`]."""
    # As scikit-learn has it: no outcome is impossible.
    smallest = np.finfo(float).eps
    likelihood = np.clip(np.where(is_right, confidence, 1 - confidence), smallest, 1 - smallest)
    return estimate(means(-np.log(likelihood), times))


def sampled_share(samples: np.ndarray, n: int) -> Estimate:
    """
    A share of `n` essays, at least one, with the percentile interval of its samples, `(1 + draws,)`. Where it is 0 or 1 it is
    so in every sample, though of other essays it might not be: there it has Wilson's interval.
    """
    return share_estimate(round(samples[0] * n), n) if n > 1 and samples[0] in (0, 1) else estimate(samples)


def share_estimate(count: int, n: int) -> Estimate:
    """A share with Wilson's 95 % interval, which holds for few essays and shares near 1, too."""
    interval = binomtest(count, n).proportion_ci(method="wilson")
    return Estimate(value=count / n, low=float(interval.low), high=float(interval.high))


def _bins(confidence: np.ndarray) -> list[np.ndarray]:
    """Places of the essays of each bin."""
    order = np.argsort(confidence, kind="stable")
    return [places for places in np.array_split(order, NUM_BINS) if len(places)]
