"""What the number of words alone tells of the score: a reference that a scorer has to be far above."""

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression


def word_counts(essays: pd.Series) -> np.ndarray:
    """Words of each essay, `(essays,)`: what stands between blanks."""
    return essays.str.split().str.len().to_numpy(dtype=float)


def fit_length(train: pd.DataFrame) -> LinearRegression:
    """Least squares of a prompt's `score` on the number of words of its `essay` and the logarithm of that."""
    return LinearRegression().fit(_features(train["essay"]), train["score"])


def scores_by_length(model: LinearRegression, essays: pd.Series) -> np.ndarray:
    """Scores `(essays,)` on the scale of the training scores; they are not clipped."""
    return model.predict(_features(essays))


def length_scores(train: pd.DataFrame, essays: pd.DataFrame) -> np.ndarray:
    """
    Scores essays by their length, with a regression for each prompt.

    Args:
        train: `prompt_id`, `essay`, and `score` on the prompt's own scale.
        essays: `prompt_id` and `essay`.

    Returns:
        `(essays,)`, not clipped; NaN for essays of prompts without training essays that differ in score.
    """
    scores = np.full(len(essays), np.nan)
    for prompt_id, of_prompt in train.groupby("prompt_id"):
        rows = (essays["prompt_id"] == prompt_id).to_numpy()
        if rows.any() and of_prompt["score"].nunique() > 1:
            scores[rows] = scores_by_length(fit_length(of_prompt), essays.loc[rows, "essay"])
    return scores


def _features(essays: pd.Series) -> np.ndarray:
    words = word_counts(essays)
    return np.column_stack([words, np.log1p(words)])
