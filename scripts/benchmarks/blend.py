"""The blend: the best that is known to do without a network, three scorers of which none is enough by itself."""

from collections.abc import Iterable
from operator import methodcaller

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer

from trm_aes.evaluation.calibration import Calibration, match_spread
from trm_aes.evaluation.ridge import LENGTH_WEIGHT, MatchedRidge, lengths, with_features, word_counts
from trm_aes.model.text_features_trm import text_features

from .protocol import Predictions, PromptEssays

# Chosen on dev, as are the trees' settings.
TEXT_WEIGHT = 0.1
CHARACTER_LENGTHS = (2, 5)
CHARACTER_HASHES = 2**17


def blend(essays: PromptEssays, seed: int) -> Predictions:
    """
    The mean of a ridge regression on words and text features, one on characters, and gradient-boosted trees on text
    features, the scales of all three and of their mean matched on validation.
    """
    train, validation = essays.train, essays.others["validation"]
    prompt = train["prompt"].iloc[0]

    def features(texts: Iterable[str]) -> np.ndarray:
        return np.array([text_features(text, prompt, essays.vocabulary) for text in texts])

    words = MatchedRidge.fit(with_features(word_counts(), features, TEXT_WEIGHT), train, validation)
    characters = MatchedRidge.fit(with_features(character_counts(), lengths, LENGTH_WEIGHT), train, validation)
    trees = HistGradientBoostingRegressor(
        learning_rate=0.05, max_iter=120, max_leaf_nodes=6, min_samples_leaf=15, max_features=0.3, random_state=seed
    ).fit(features(train["essay"]), train["score"])
    members = []
    for predict in (words.predict, characters.predict, lambda texts: trees.predict(features(texts))):
        members.append(_match({name: predict(frame["essay"]) for name, frame in essays.others.items()}, validation))
    mean = {name: np.mean([member[name] for member in members], axis=0) for name in essays.others}
    return _match(mean, validation)


def character_counts() -> Pipeline:
    """
    A transformer from essays to rows of length 1: square roots of the counts of all strings of two to five characters, as
    string kernels compare them (Cozma, Butnaru and Ionescu, ACL 2018), hashed to 131,072 columns.
    """
    counts = HashingVectorizer(
        analyzer="char",
        ngram_range=CHARACTER_LENGTHS,
        n_features=CHARACTER_HASHES,
        lowercase=False,
        norm=None,
        alternate_sign=False,
    )
    return make_pipeline(counts, FunctionTransformer(methodcaller("sqrt")), Normalizer())


def _match(predictions: Predictions, validation: pd.DataFrame) -> Predictions:
    """One prompt's predictions on the line that matches those of `validation` to its gold scores."""
    gold = validation["score"].to_numpy(dtype=float)
    line = match_spread(predictions["validation"], gold) or Calibration(1.0, 0.0)
    return {name: line.apply(scores) for name, scores in predictions.items()}
