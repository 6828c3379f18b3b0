"""Score scales: between a prompt's own range and the model's 0-1 scale."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ScoreRange:
    """Lowest and highest score of a prompt, whole numbers, both attainable."""

    min_score: float
    max_score: float

    @property
    def span(self) -> float:
        return self.max_score - self.min_score

    @property
    def labels(self) -> list[int]:
        """Every score of the range, in order."""
        return list(range(int(self.min_score), int(self.max_score) + 1))

    def normalize(self, scores: np.ndarray) -> np.ndarray:
        """Scores of this range, to 0-1."""
        return (np.asarray(scores, dtype=np.float64) - self.min_score) / self.span

    def denormalize(self, normalized: np.ndarray) -> np.ndarray:
        """0-1 (values outside are clipped), to scores of this range, not rounded."""
        return self.min_score + np.clip(np.asarray(normalized, dtype=np.float64), 0.0, 1.0) * self.span

    def round(self, scores: np.ndarray) -> np.ndarray:
        """See [`round_scores`]."""
        return round_scores(scores)


def round_scores(scores: np.ndarray) -> np.ndarray:
    """To whole scores. Halves go up, as raters expect; NumPy would round them to even."""
    return np.floor(np.asarray(scores, dtype=np.float64) + 0.5).astype(np.int64)


def denormalize_by_prompt(
    normalized: Iterable[float], prompt_ids: Iterable[str], score_ranges: dict[str, ScoreRange]
) -> np.ndarray:
    """0-1 scores of essays (values outside are clipped), each to the range of its essay's prompt, not rounded."""
    return np.array(
        [score_ranges[prompt_id].denormalize(value) for value, prompt_id in zip(normalized, prompt_ids, strict=True)]
    )
