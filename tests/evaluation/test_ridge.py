"""Ridge regression on words: its features by hand, its penalty and scale by loops written out, and what it leaves alone."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold

from trm_aes.evaluation.ridge import PENALTIES, MatchedRidge, ridge_scores, word_features

WORDS = ["bad", "fair", "Good", "EXCELLENT", "the", "The", "and", ",", "!", "story", "school", "because"]


def essays_of(prompt_id, number, seed=0):
    """Essays of random words; how many of the first four there are decides the score, with some noise."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(number):
        level = rng.integers(0, 4)
        words = [*rng.choice(WORDS, rng.integers(8, 20)), *[WORDS[level]] * 2]
        score = float(np.clip(level + (rng.random() < 0.2) * rng.choice([-1, 1]), 0, 3))
        rows.append({"prompt_id": prompt_id, "essay": " ".join(words), "score": score})
    return pd.DataFrame(rows)


def test_features_by_hand():
    features = word_features()
    rows = features.fit_transform(["The the the cat's, cat's.", "A dog!"]).toarray()
    names = list(features.transformer_list[0][1].get_feature_names_out())
    assert names == ["!", ",", ".", "A", "The", "cat's", "dog", "the"]
    # Words as written: The once, the twice, cat's twice, and both marks.
    counts = np.array([0, 1, 1, 0, 1, 1 + np.log(2), 0, 1 + np.log(2)])
    assert rows[0, :-2] == pytest.approx(counts / np.linalg.norm(counts))
    # Five and two words, four and two different ones: one standard deviation above and below the mean, times 0.2.
    assert rows[:, -2:].tolist() == [[pytest.approx(0.2)] * 2, [pytest.approx(-0.2)] * 2]


def test_penalty_and_scale_come_from_the_validation_essays():
    train, validation = essays_of("a", 60), essays_of("a", 100, seed=1)
    fitted = MatchedRidge.fit(word_features(), train, validation)
    features = word_features().fit(train["essay"])
    of_train, of_validation = (features.transform(frame["essay"]).toarray() for frame in (train, validation))
    centered, gold = of_train - of_train.mean(0), train["score"].to_numpy()

    def predict(penalty):
        """The normal equations; the intercept is not penalized."""
        normal = centered.T @ centered + penalty * np.eye(centered.shape[1])
        weights = np.linalg.solve(normal, centered.T @ (gold - gold.mean()))
        return gold.mean() + (of_validation - of_train.mean(0)) @ weights

    best = max(PENALTIES, key=lambda penalty: np.corrcoef(predict(penalty), validation["score"])[0, 1])
    assert fitted.regression.alpha == best
    raw, target = predict(best), validation["score"].to_numpy()
    matched = target.mean() + (raw - raw.mean()) * target.std() / raw.std()
    assert fitted.predict(validation["essay"]) == pytest.approx(matched, abs=1e-3)


@pytest.mark.parametrize(("num_train", "num_validation"), [(50, 0), (50, 99), (12, 0)])
def test_few_validation_essays_are_replaced_by_cross_validation(num_train, num_validation):
    train, validation = essays_of("a", num_train), essays_of("a", num_validation, seed=1)
    fitted = MatchedRidge.fit(word_features(), train, validation)
    inputs, gold = word_features().fit_transform(train["essay"]), train["score"].to_numpy()
    held_out = {penalty: np.empty(num_train) for penalty in PENALTIES}
    for penalty, predicted in held_out.items():
        for rest, fold in KFold(10, shuffle=True, random_state=0).split(gold):
            predicted[fold] = Ridge(penalty).fit(inputs[rest], gold[rest]).predict(inputs[fold])
    best = max(PENALTIES, key=lambda penalty: np.corrcoef(held_out[penalty], gold)[0, 1])
    assert fitted.regression.alpha == best
    assert fitted.line.slope == pytest.approx(gold.std() / held_out[best].std())
    # Not the predictions of essays that the regression was fitted to.
    assert fitted.line.slope != pytest.approx(gold.std() / fitted.regression.predict(inputs).std(), rel=1e-3)


def test_where_held_out_essays_have_one_score_the_scale_stays():
    fitted = MatchedRidge.fit(word_features(), essays_of("a", 40), essays_of("a", 100, seed=1).assign(score=2.0))
    assert (fitted.line.slope, fitted.line.intercept) == (1, 0)


def test_case_alone_tells_the_score():
    train = pd.DataFrame({"prompt_id": "a", "essay": ["one GOOD text", "one good text"] * 20, "score": [4.0, 1.0] * 20})
    scores = ridge_scores(train, train.iloc[:0], pd.DataFrame({"prompt_id": "a", "essay": ["GOOD", "good"]}))
    assert scores[0] > scores[1] + 1


def test_prompts_have_their_own_ridge_or_none():
    constant = essays_of("constant", 40).assign(score=2.0)
    train = pd.concat([essays_of("a", 60), essays_of("few", 9), constant, essays_of("b", 60, seed=3)])
    validation = pd.concat([essays_of("b", 100, seed=4), essays_of("a", 120, seed=5)])
    essays = pd.concat([essays_of(name, 6, seed=6) for name in ("few", "a", "constant", "unknown", "b")])
    scores = ridge_scores(train, validation, essays)
    assert np.isnan(scores[essays["prompt_id"].isin(["few", "constant", "unknown"])]).all()
    for name in ("a", "b"):
        alone = [frame[frame["prompt_id"] == name] for frame in (train, validation, essays)]
        expected = MatchedRidge.fit(word_features(), *alone[:2]).predict(alone[2]["essay"])
        assert scores[essays["prompt_id"] == name] == pytest.approx(expected)
    # Ten training essays are enough.
    ten = ridge_scores(essays_of("few", 10), validation, essays)
    assert np.isfinite(ten[essays["prompt_id"] == "few"]).all()
