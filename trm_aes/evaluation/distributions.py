"""How scores and lengths are distributed, for comparisons of one administration with another."""

import numpy as np
import pandas as pd

from ..model.configuration_trm import sort_prompt_ids
from ..model.score_scale import ScoreRange
from ..records import Distribution
from .length import word_counts

PREDICTED, HUMAN, WORDS = "predicted score", "human score", "words"


def score_distributions(predictions: pd.DataFrame, score_ranges: dict[str, ScoreRange]) -> list[Distribution]:
    """
    Of rounded predicted scores and of human scores, by prompt.

    Args:
        predictions: `prompt_id`, `score`, `predicted_score`.
        score_ranges: of its prompts.
    """
    found = []
    for prompt_id in sort_prompt_ids(predictions["prompt_id"].unique()):
        essays = predictions[predictions["prompt_id"] == prompt_id]
        for what, column in ((PREDICTED, "predicted_score"), (HUMAN, "score")):
            found.append(_distribution(prompt_id, what, score_ranges[prompt_id].round(essays[column])))
    return found


def length_distributions(essays: pd.DataFrame) -> list[Distribution]:
    """Of the numbers of words, by prompt; `essays` has `prompt_id` and `essay`."""
    return [
        _distribution(prompt_id, WORDS, word_counts(essays.loc[essays["prompt_id"] == prompt_id, "essay"]))
        for prompt_id in sort_prompt_ids(essays["prompt_id"].unique())
    ]


def _distribution(prompt_id: str, what: str, values: np.ndarray) -> Distribution:
    different, counts = np.unique(values, return_counts=True)
    return Distribution(prompt_id=prompt_id, what=what, values=different.tolist(), counts=counts.tolist())
