"""
Figures with their intervals, by the bootstrap: the essays of a prompt are drawn with replacement many times, and each figure
is worked out for all samples at once.

`times`, which the functions here take, says how often a sample has an essay: `(samples, essays)`. The first sample is the
essays themselves, each once, so a figure and its interval come of one formula. Where a figure is not defined in a sample it
is NaN there, and goes no further than [`estimate`].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..model.configuration_trm import sort_prompt_ids

DRAWS = 1000
# An interval takes that many of the samples in which its figure is defined.
LEAST_DEFINED = 0.9
# Far less than one essay that is a step off adds.
LOST_IN_FLOATS = 1e-13


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """
    A figure with the ends of its 95 % interval.

    Args:
        value: None where it is not defined.
        low, high: None where there is no interval.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


def draw_times(num_essays: int, seed: int | list[int] = 0, draws: int = DRAWS) -> np.ndarray:
    """
    How often each sample has each essay, `(1 + draws, essays)`; the first sample is the essays themselves.

    Args:
        num_essays: at least one.
        seed: of the draws.
        draws: samples that are drawn.
    """
    equal = np.full(num_essays, 1 / num_essays)
    drawn = np.random.default_rng(seed).multinomial(num_essays, equal, size=draws)
    return np.vstack([np.ones((1, num_essays)), drawn])


def draw_times_by_prompt(prompt_ids: Sequence[str] | np.ndarray, seed: int = 0) -> np.ndarray:
    """
    As [`draw_times`], the essays of several prompts, `(essays,)`, each drawn among those of its own. Where no prompt has two
    essays nothing is drawn, for one essay is the same however often it is drawn: `(1, essays)`.
    """
    ids = np.asarray(prompt_ids, dtype=object)
    order = sort_prompt_ids(ids.tolist())
    times = np.ones((1 + (DRAWS if len(order) < len(ids) else 0), len(ids)))
    for place, prompt_id in enumerate(order):
        rows = ids == prompt_id
        times[:, rows] = draw_times(int(rows.sum()), [seed, place], len(times) - 1)
    return times


def estimate(samples: np.ndarray) -> Estimate:
    """
    A figure and its 95 % percentile interval (Efron and Tibshirani 1993, chapter 13).

    Args:
        samples: `(1 + draws,)`, the first of the essays themselves. There is no interval where the figure is defined in
            fewer than nine tenths of the others, or there are no others.
    """
    value, drawn = float(samples[0]), samples[1:]
    defined = drawn[np.isfinite(drawn)]
    if not np.isfinite(value):
        return Estimate(value=None)
    if not len(defined) or len(defined) < LEAST_DEFINED * len(drawn):
        return Estimate(value=value)
    low, high = np.percentile(defined, [2.5, 97.5])
    return Estimate(value=value, low=float(low), high=float(high))


def means(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Means of `values`, `(essays,)`, in each sample; NaN in a sample without any of the essays."""
    return _divided(times @ values, times.sum(axis=1))


def deviations(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Standard deviations (ddof 1) in each sample; 0 where the values do not vary, NaN in a sample of fewer than two essays."""
    size = times.sum(axis=1)
    return np.sqrt(_divided(_variances(values, times) * size, size - 1))


def correlations(first: np.ndarray, second: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Pearson's r in each sample; NaN where either side does not vary."""
    one, other = first - first.mean(), second - second.mean()
    covariance = means(one * other, times) - means(one, times) * means(other, times)
    return _divided(covariance, np.sqrt(_variances(first, times) * _variances(second, times)))


def standardized_differences(references: np.ndarray, predictions: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Means of predictions less means of references, in standard deviations of the references; NaN where those do not vary."""
    return _divided(means(predictions - references, times), deviations(references, times))


def kappas(gold: np.ndarray, predicted: np.ndarray, times: np.ndarray) -> np.ndarray:
    """
    QWK in each sample, whether or not scores are rounded; 1 where both sides give one and the same score throughout.

    The sums over the confusion matrix are moments of the scores: the observed one is the mean of `(g - p)^2`, the one
    expected by chance `mean(g^2) + mean(p^2) - 2 mean(g) mean(p)`.
    """
    size = times.sum(axis=1)
    observed = size * (times @ (gold - predicted) ** 2)
    squares = size * (times @ (gold**2 + predicted**2))
    expected = squares - 2 * (times @ gold) * (times @ predicted)
    # Where nothing is expected (but what floats lose), both sides give one and the same score throughout: full agreement.
    return 1 - observed / np.where(expected <= LOST_IN_FLOATS * squares, 1, expected)


def vary(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """In which samples the values differ, `(samples,)` of bool."""
    return _variances(values, times) > 0


def _variances(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Variances (ddof 0), exactly 0 where floats alone make a difference."""
    centered = values - values.mean() if len(values) else values
    squares = means(centered**2, times)
    variances = squares - means(centered, times) ** 2
    return np.where(variances <= LOST_IN_FLOATS * (squares + np.max(np.abs(values), initial=0) ** 2), 0.0, variances)


def _divided(numbers: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Quotients, NaN where the divisor is not above 0."""
    return np.where(by > 0, numbers / np.where(by > 0, by, 1), np.nan)
