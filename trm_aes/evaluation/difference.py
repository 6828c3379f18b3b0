"""How much better one of two scorers of the same essays is, and how much of that may be chance."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..model.score_scale import ScoreRange
from .bootstrap import DRAWS, kappas


@dataclass(frozen=True)
class Difference:
    """Mean QWK of one scorer less that of another, and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


def paired_scores(references: ArrayLike, first: ArrayLike, second: ArrayLike, score_range: ScoreRange) -> np.ndarray:
    """
    Gold scores `(essays,)` and those of two scorers, each `(essays,)` or, of several trainings, `(essays, trainings)`, rounded to
    scores of the prompt's scale: `(essays, 1 + 2 * trainings)`, gold scores first, then the first scorer's, then the second's.
    """
    return score_range.round(np.column_stack([references, first, second]))


def qwk_difference(groups: Iterable[np.ndarray], draws: int = DRAWS, seed: int = 0) -> Difference:
    """
    Mean over groups of the QWK of a first scorer less that of a second, with a percentile interval of the paired
    bootstrap (Efron and Tibshirani 1993, chapter 13): in each draw every group's essays are drawn with replacement, the
    same ones for both scorers and all of their trainings. What another training would change is not in the interval.

    Args:
        groups: what [`paired_scores`] gives, for each group of essays (a prompt, or a prompt of one fold).
        draws: of the bootstrap.
        seed: of the draws; the same scores always have the same interval.
    """
    rng = np.random.default_rng(seed)
    measured, drawn = [], []
    for scores in groups:
        # Essays of the same scores are alike, so how often each kind is drawn is all that matters.
        kinds, counts = np.unique(np.asarray(scores, dtype=float), axis=0, return_counts=True)
        samples = rng.multinomial(len(scores), counts / len(scores), size=draws)
        half = kinds.shape[1] // 2
        differences = [
            np.mean(
                [
                    kappas(kinds[:, 0], kinds[:, first], times) - kappas(kinds[:, 0], kinds[:, first + half], times)
                    for first in range(1, half + 1)
                ],
                axis=0,
            )
            for times in (counts[None], samples)
        ]
        measured.append(differences[0][0])
        drawn.append(differences[1])
    low, high = np.percentile(np.mean(drawn, axis=0), [2.5, 97.5])
    return Difference(float(np.mean(measured)), float(low), float(high))
