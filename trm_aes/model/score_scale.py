"""Score scales: between a prompt's own range and the model's 0-1 scale."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class ScoreRange:
    """The scale of a prompt's scores: lowest and highest, whole numbers, both attainable."""

    min_score: float
    max_score: float

    @property
    def span(self) -> float:
        """Highest less lowest."""
        return self.max_score - self.min_score

    def normalize(self, scores: ArrayLike) -> np.ndarray:
        """Maps scores of this range to 0-1."""
        return (np.asarray(scores, dtype=np.float64) - self.min_score) / self.span

    def denormalize(self, normalized: ArrayLike) -> np.ndarray:
        """Maps 0-1 (values outside are clipped) to scores of this range, not rounded."""
        return self.min_score + np.clip(np.asarray(normalized, dtype=np.float64), 0.0, 1.0) * self.span


def round_scores(scores: ArrayLike) -> np.ndarray:
    """Rounds to whole scores. Halves go up, as raters expect; NumPy would round them to even."""
    return np.floor(np.asarray(scores, dtype=np.float64) + 0.5).astype(np.int64)


def denormalize_by_prompt(
    normalized: Iterable[float], prompt_ids: Iterable[str], score_ranges: dict[str, ScoreRange]
) -> np.ndarray:
    """Maps essays' 0-1 scores (values outside are clipped) to the ranges of their prompts, not rounded: `(essays,)`."""
    return np.array(
        [score_ranges[prompt_id].denormalize(value) for value, prompt_id in zip(normalized, prompt_ids, strict=True)]
    )
