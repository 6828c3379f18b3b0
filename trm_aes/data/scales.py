"""The scales of prompts' scores in tables: as columns, and read off the scores where nobody gave them."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ..model.score_scale import ScoreRange

SCALE_COLUMNS = ("min_score", "max_score", "score_step", "score_labels")
# The steps that scores are usually apart; the first that fits is taken.
USUAL_STEPS = (1.0, 0.5, 0.25, 0.1, 0.05, 0.01, 0.005, 0.001)
# More are likelier a mistyped score than a scale.
MAX_STEPS = 1000
# Beyond it decimal numbers of 28 digits cannot be divided by the smallest step.
LARGEST_EXACT = 1e20


def scale_columns(scales: Sequence[ScoreRange]) -> dict[str, list]:
    """The columns that hold the scales of essays: numbers, and labels between commas (blank where there are none)."""
    return {
        "min_score": [float(scale.min_score) for scale in scales],
        "max_score": [float(scale.max_score) for scale in scales],
        "score_step": [float(scale.step) for scale in scales],
        "score_labels": [",".join(scale.labels) for scale in scales],
    }


def scale_of_row(row: Mapping[str, Any]) -> ScoreRange:
    """
    The scale in the columns of [`scale_columns`]. Where a row has the first two alone, as in data sets of version 0.1, scores
    are a whole point apart.

    Raises:
        ValueError: if it is none.
    """
    if row.get("score_labels"):
        return ScoreRange.of_labels(row["score_labels"].split(","))
    return ScoreRange(row["min_score"], row["max_score"], row.get("score_step", 1.0))


def usual_step(scores: Sequence[float]) -> float | None:
    """The largest of `USUAL_STEPS` of which all scores are multiples; None if there is none, as for one beyond any scale."""
    if any(abs(score) > LARGEST_EXACT for score in scores):
        return None
    # As people write them: 0.3 is three times 0.1, which as floats it is not.
    exact = [Decimal(repr(float(score))) for score in set(scores)]
    for step in USUAL_STEPS:
        if all(score % Decimal(repr(step)) == 0 for score in exact):
            return step
    return None
