"""Which essays people should read again: how well the released scores agree with human ones, by the route that chooses."""

import numpy as np
from numpy.typing import ArrayLike


def released_agreement(doubt: ArrayLike, is_right: ArrayLike) -> np.ndarray:
    """
    Share of right scores among the least doubtful essay, the two least doubtful ones, and so on: `(essays,)`. Essays of equal
    doubt are released together, so each of these counts as the share of right ones among them.

    Args:
        doubt: how much speaks for a person who reads the essay, in any unit, `(essays,)`.
        is_right: whether the score is right, `(essays,)`.
    """
    doubt, right = np.asarray(doubt, dtype=float), np.asarray(is_right, dtype=float)
    _, groups = np.unique(doubt, return_inverse=True)
    expected = (np.bincount(groups, weights=right) / np.bincount(groups))[np.sort(groups)]
    return np.cumsum(expected) / np.arange(1, len(expected) + 1)


def released_area(doubt: ArrayLike, is_right: ArrayLike) -> float:
    """Mean over all shares of essays that can be released of the agreement among these; higher is better."""
    return float(released_agreement(doubt, is_right).mean())
