"""Peers of the benchmark that are made of others: the ridge regression that `evaluate` shows, and the blend."""

import numpy as np
import pandas as pd
import pytest
from benchmarks.blend import blend, character_counts
from benchmarks.peers import predict_by_prompt
from benchmarks.protocol import PromptEssays
from sklearn.ensemble import HistGradientBoostingRegressor

from trm_aes.checkpoints import find_checkpoint
from trm_aes.evaluation.calibration import fit_calibrations
from trm_aes.evaluation.ridge import MatchedRidge, ridge_scores
from trm_aes.model.score_scale import ScoreRange
from trm_aes.model.text_features_trm import text_features

LEVELS = ["bad", "fair", "good", "excellent"]
VOCABULARY = {word: rank for rank, word in enumerate(LEVELS)}


def essays_of(prompt_id, number, seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 4, number)
    texts = [" ".join([*[LEVELS[score]] * 3, *rng.choice(LEVELS, rng.integers(3, 9) + score), "."]) for score in scores]
    fixed = {"prompt_id": prompt_id, "prompt": "Write well.", "min_score": 0.0, "max_score": 3.0}
    return pd.DataFrame({"essay": texts, "score": scores.astype(float), **fixed})


@pytest.fixture(scope="module")
def frames():
    sizes = {"train": 60, "validation": 40, "test": 30}
    return {
        name: pd.concat([essays_of(prompt_id, size, seed) for prompt_id, seed in (("3", size), ("4", size + 1))])
        for name, size in sizes.items()
    }


def test_the_cased_ridge_is_the_one_that_evaluate_shows(frames):
    predictions = predict_by_prompt("cased-ridge", frames, find_checkpoint(), seed=0)
    for name, predicted in predictions.items():
        expected = ridge_scores(frames["train"], frames["validation"], frames[name])
        assert predicted["predicted_score"].to_numpy() == pytest.approx(expected)


def test_characters_by_hand():
    [row] = character_counts().transform(["ABab"]).toarray()
    # AB Ba ab, ABa Bab, ABab, each once; then ab twice, ba, aba, bab, abab.
    assert sorted(row[row > 0]) == pytest.approx([1 / np.sqrt(6)] * 6)
    [row] = character_counts().transform(["abab"]).toarray()
    assert sorted(row[row > 0]) == pytest.approx([1 / np.sqrt(6)] * 4 + [np.sqrt(2 / 6)])


def test_the_blend_is_the_matched_mean_of_its_members(frames, monkeypatch):
    of_prompt = {name: frame[frame["prompt_id"] == "3"] for name, frame in frames.items()}
    others = {name: of_prompt[name] for name in ("validation", "test")}
    essays = PromptEssays(of_prompt["train"], others, ScoreRange(0, 3), VOCABULARY)
    fitted = []

    def note(predict):
        def noted(model, inputs):
            fitted.append((model, predicted := predict(model, inputs)))
            return predicted

        return noted

    for kind in (MatchedRidge, HistGradientBoostingRegressor):
        monkeypatch.setattr(kind, "predict", note(kind.predict))
    predictions = blend(essays, seed=0)

    # Three members, each on validation and then on test; the ridge regressions are matched already.
    assert len(fitted) == 6
    gold = others["validation"]["score"]

    def match(of_validation, of_test):
        line = fit_calibrations(["3"] * 40, of_validation, gold)["3"]
        return line.apply(of_validation), line.apply(of_test)

    members = [match(fitted[place][1], fitted[place + 1][1]) for place in (0, 2, 4)]
    expected = match(*(np.mean(of_split, axis=0) for of_split in zip(*members, strict=True)))
    assert predictions["validation"] == pytest.approx(expected[0]) and predictions["test"] == pytest.approx(expected[1])
    assert np.corrcoef(predictions["test"], others["test"]["score"])[0, 1] > 0.8
    # The trees see the text features in the order of the essays.
    trees, of_test = fitted[-1]
    features = [text_features(essay, "Write well.", VOCABULARY) for essay in others["test"]["essay"]]
    monkeypatch.undo()
    assert trees.predict(np.array(features)) == pytest.approx(of_test)
