"""The synthetic corpus: something true to show, and no short cut to it."""

import numpy as np
from scipy.stats import spearmanr
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge

from trm_aes.data.sources.demo import load_demo
from trm_aes.data.sources.demo.corpus import TRAIT_WEIGHTS, TRAITS, WORD_RANGE
from trm_aes.evaluation.agreement import quadratic_weighted_kappa


def test_corpus_is_what_it_claims():
    table = load_demo()
    frame = table.frame
    assert "synthetic" in table.source
    assert frame["prompt_id"].value_counts().to_dict() == {"phones": 200, "lot": 200, "mistake": 200}
    ranges = frame.groupby("prompt_id")[["min_score", "max_score"]].first()
    assert ranges.loc[["phones", "lot", "mistake"]].to_numpy().tolist() == [[1, 6], [0, 4], [2, 12]]
    words = frame["essay"].str.split().str.len()
    assert words.min() >= WORD_RANGE[0] and words.max() <= 410
    assert frame["essay"].is_unique
    assert load_demo().frame.equals(frame)
    assert not load_demo(seed=1).frame["essay"].equals(frame["essay"])


def test_length_alone_does_not_explain_the_score():
    frame = load_demo().frame
    for _, essays in frame.groupby("prompt_id"):
        assert abs(spearmanr(essays["essay"].str.split().str.len(), essays["score"])[0]) < 0.6


def test_scores_follow_from_the_raters_as_each_prompt_resolves_them():
    frame = load_demo().frame.set_index("prompt_id")
    assert (frame.loc["mistake", "score"] == frame.loc["mistake", ["rater1", "rater2"]].sum(axis=1)).all()
    assert (frame.loc["lot", "score"] == frame.loc["lot", ["rater1", "rater2"]].max(axis=1)).all()
    assert (
        frame.loc["phones", "score"] == np.floor(frame.loc["phones", ["rater1", "rater2"]].mean(axis=1) + 0.5)
    ).all()


def test_raters_disagree_somewhat_and_a_tfidf_ridge_stays_below_what_the_qualities_tell():
    frame = load_demo().frame
    ridge_qwk, quality_qwk, rater_qwk = [], [], []
    for _, essays in frame.groupby("prompt_id"):
        low, high = int(essays["min_score"].iloc[0]), int(essays["max_score"].iloc[0])
        train, test = essays.iloc[:120], essays.iloc[120:]
        tfidf = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        ridge = Ridge().fit(tfidf.fit_transform(train["essay"]), train["score"])
        predicted = np.clip(np.round(ridge.predict(tfidf.transform(test["essay"]))), low, high).astype(int)
        quality = np.clip((test[list(TRAITS)].to_numpy() @ TRAIT_WEIGHTS / 100 - 0.08) / 0.84, 0, 1)
        gold = test["score"].astype(int)
        ridge_qwk.append(quadratic_weighted_kappa(gold, predicted, low, high))
        quality_qwk.append(
            quadratic_weighted_kappa(gold, np.round(low + quality * (high - low)).astype(int), low, high)
        )
        rater_qwk.append(quadratic_weighted_kappa(essays["rater1"], essays["rater2"], low // 2, high))
    assert 0.6 < np.mean(rater_qwk) < 0.95
    assert np.mean(ridge_qwk) < np.mean(quality_qwk) - 0.05
