"""How consistently people rate: each pair of raters on the essays that both have rated."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..data.scales import usual_step
from .bootstrap import correlations, deviations, kappas, means, vary


@dataclass(frozen=True)
class RaterPairSamples:
    """
    Two raters on the essays of one prompt that both have rated.

    Args:
        first, second: names of their columns.
        n: essays.
        both: whether both have rated an essay, for all essays of the prompt, `(essays,)`.
        measures: `qwk`, `exact`, `adjacent` (within one step of the ratings that occur), `pearson`, and `smd`, the mean of the
            second less that of the first in pooled standard deviations; each `(samples,)`, NaN where it is not defined.
    """

    first: str
    second: str
    n: int
    both: np.ndarray
    measures: dict[str, np.ndarray]


def rater_pairs(ratings: np.ndarray, names: Sequence[str], times: np.ndarray) -> Iterator[RaterPairSamples]:
    """
    All pairs of raters that have rated an essay in common.

    Args:
        ratings: `(essays, raters)`, NaN where a rater did not rate.
        names: of the raters.
        times: as of [`bootstrap`].
    """
    for one, other in combinations(range(len(names)), 2):
        both = np.isfinite(ratings[:, [one, other]]).all(axis=1)
        if both.any():
            measures = pair_measures(ratings[both, one], ratings[both, other], times[:, both])
            yield RaterPairSamples(names[one], names[other], int(both.sum()), both, measures)


def pair_measures(first: np.ndarray, second: np.ndarray, times: np.ndarray) -> dict[str, np.ndarray]:
    """What [`RaterPairSamples`] has of two raters' ratings, both `(essays,)` without gaps."""
    step = usual_step([*first, *second]) or 0.0
    difference = second - first
    pooled = np.sqrt((deviations(first, times) ** 2 + deviations(second, times) ** 2) / 2)
    either_varies = vary(first, times) | vary(second, times)
    with np.errstate(divide="ignore", invalid="ignore"):
        smd = np.where(pooled > 0, means(difference, times) / pooled, np.nan)
    return {
        "qwk": np.where(either_varies, kappas(first, second, times), np.nan),
        "exact": means((difference == 0).astype(float), times),
        "adjacent": means((np.abs(difference) <= step + 1e-9).astype(float), times),
        "pearson": correlations(first, second, times),
        "smd": smd,
    }
