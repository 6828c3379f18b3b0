"""What a scorer has to beat: ridge regression on an essay's words as written, its scale matched like the scorer's."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from tqdm import tqdm

from .agreement import pearson
from .calibration import MIN_VALIDATION_ESSAYS, Calibration, match_spread

# With fewer essays, or essays of one score, a prompt has no ridge.
MIN_TRAIN_ESSAYS = 10
# Words with their case, and punctuation marks one by one.
TOKEN_PATTERN = r"\w+(?:'\w+)*|[^\w\s]"
# Of the standardized lengths beside rows of words of length 1. Chosen on ASAP's dev essays, where 0.1 and 0.3 are as good.
LENGTH_WEIGHT = 0.2
# The strongest first: of equals, the first is taken.
PENALTIES = (10.0, 3.0, 1.0, 0.3, 0.1)
FOLDS = 10


def word_features() -> FeatureUnion:
    """What the ridge regression knows of an essay: [`word_counts`] and [`lengths`]. It is to be fitted to training essays."""
    return with_features(word_counts(), lengths, LENGTH_WEIGHT)


def word_counts() -> TfidfVectorizer:
    """
    A transformer from essays to rows of length 1: `1 + log(count)` of each word as written and of each punctuation mark.
    """
    return TfidfVectorizer(lowercase=False, token_pattern=TOKEN_PATTERN, use_idf=False, sublinear_tf=True)


def lengths(essays: Iterable[str]) -> np.ndarray:
    """The logarithm of an essay's number of words, and its number of different words: `(essays, 2)`."""
    words = [essay.split() for essay in essays]
    return np.array([[np.log(len(of_essay)), len(set(of_essay))] for of_essay in words])


def with_features(counts: Any, features: Callable[[Iterable[str]], np.ndarray], weight: float) -> FeatureUnion:
    """
    A transformer from essays to the rows of another, `counts`, and what `features` says of each essay, `(essays,
    features)`, standardized on the training essays and times `weight`: one penalty serves both if they are of like size.
    """
    standardized = make_pipeline(FunctionTransformer(features), StandardScaler())
    return FeatureUnion([("counts", counts), ("features", standardized)], transformer_weights={"features": weight})


@dataclass(frozen=True)
class MatchedRidge:
    """
    The ridge regression of one prompt.

    Args:
        features: fitted transformer from essays to rows of features.
        regression: from features to scores.
        line: what gives the predictions the mean and spread of gold scores, see [`match_spread`].
    """

    features: Any
    regression: Ridge
    line: Calibration

    @classmethod
    def fit(cls, features: Any, train: pd.DataFrame, validation: pd.DataFrame) -> Self:
        """
        Fits features and regression to a prompt's training essays.

        The penalty is the one whose predictions of held-out essays correlate best with their gold scores, and the scale
        is matched to the same essays. Those are the validation essays; where they are fewer than 100, the training essays
        in ten-fold cross-validation, however few: with 10 of a prompt of ASAP, matching raises QWK from 0.49 to 0.62.

        Args:
            features: transformer that is to be fitted.
            train, validation: the prompt's essays: `essay`, and `score` on any one scale. `validation` may be empty.
        """
        gold = train["score"].to_numpy(dtype=float)
        inputs = features.fit_transform(train["essay"])
        if len(validation) >= MIN_VALIDATION_ESSAYS:
            held_out = validation["score"].to_numpy(dtype=float)
            of_validation = features.transform(validation["essay"])
            predicted = [Ridge(penalty).fit(inputs, gold).predict(of_validation) for penalty in PENALTIES]
        else:
            held_out = gold
            folds = KFold(min(FOLDS, len(gold)), shuffle=True, random_state=0)
            predicted = [cross_val_predict(Ridge(penalty), inputs, gold, cv=folds) for penalty in PENALTIES]
        best = int(np.argmax([pearson(held_out, scores) for scores in predicted]))
        line = match_spread(predicted[best], held_out) or Calibration(1.0, 0.0)
        return cls(features, Ridge(PENALTIES[best]).fit(inputs, gold), line)

    def predict(self, essays: pd.Series) -> np.ndarray:
        """Scores `(essays,)` on the scale of the training scores; they are not clipped."""
        return self.line.apply(self.regression.predict(self.features.transform(essays)))


def ridge_scores(train: pd.DataFrame, validation: pd.DataFrame, essays: pd.DataFrame) -> np.ndarray:
    """
    Scores essays with a [`MatchedRidge`] on words for each prompt.

    Args:
        train, validation: `prompt_id`, `essay`, and `score` on the prompt's own scale.
        essays: `prompt_id` and `essay`.

    Returns:
        `(essays,)`, on the prompts' own scales, not clipped; NaN for essays of prompts that have fewer than 10 training
        essays, or training essays of one score only.
    """
    scores = np.full(len(essays), np.nan)
    by_prompt = train.groupby("prompt_id")
    for prompt_id, of_prompt in tqdm(by_prompt, desc="Ridge regression", unit="prompt", disable=None):
        rows = (essays["prompt_id"] == prompt_id).to_numpy()
        if len(of_prompt) < MIN_TRAIN_ESSAYS or of_prompt["score"].nunique() == 1 or not rows.any():
            continue
        ridge = MatchedRidge.fit(word_features(), of_prompt, validation[validation["prompt_id"] == prompt_id])
        scores[rows] = ridge.predict(essays.loc[rows, "essay"])
    return scores
