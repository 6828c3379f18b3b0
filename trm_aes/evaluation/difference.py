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
    """Gold scores and those of two scorers, `(essays, 3)`, each rounded to a score of the prompt's scale."""
    return score_range.round(np.column_stack([references, first, second]))


def qwk_difference(groups: Iterable[np.ndarray], draws: int = DRAWS, seed: int = 0) -> Difference:
    """
    Mean over groups of the QWK of a first scorer less that of a second, with a percentile interval of the paired
    bootstrap (Efron and Tibshirani 1993, chapter 13): in each draw every group's essays are drawn with replacement, the
    same ones for both scorers.

    Args:
        groups: scores `(essays, 3)` of [`paired_scores`] for each group (a prompt, or a prompt of one run).
        draws: of the bootstrap.
        seed: of the draws; the same scores always have the same interval.
    """
    rng = np.random.default_rng(seed)
    measured, drawn = [], []
    for scores in groups:
        # Essays of the same three scores are alike, so how often each kind is drawn is all that matters.
        kinds, counts = np.unique(np.asarray(scores, dtype=float), axis=0, return_counts=True)
        samples = rng.multinomial(len(scores), counts / len(scores), size=draws)
        differences = [
            kappas(kinds[:, 0], kinds[:, 1], times) - kappas(kinds[:, 0], kinds[:, 2], times)
            for times in (counts[None], samples)
        ]
        measured.append(differences[0][0])
        drawn.append(differences[1])
    low, high = np.percentile(np.mean(drawn, axis=0), [2.5, 97.5])
    return Difference(float(np.mean(measured)), float(low), float(high))
