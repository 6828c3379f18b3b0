"""Few training essays: how far scores spread, how much the recursive head may say, and the ridge regression as the floor."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import options, registered_model

from trm_aes.cli import build, evaluate, train
from trm_aes.data.dataset import load_essay_dataset
from trm_aes.evaluation.calibration import MIN_VALIDATION_ESSAYS
from trm_aes.model.score_scale import ScoreRange
from trm_aes.scoring.scorer import EssayScorer, RawScores
from trm_aes.training.arguments import RunArguments
from trm_aes.training.fit import calibration, lexical
from trm_aes.training.fit.calibration import calibrate, left_out_scores
from trm_aes.training.fit.lexical import fit_lexical_head
from trm_aes.training.recipe import resolve_plan
from trm_aes.training.untrained import Pretrained, build_model, share_of_lexical_head

SMALL = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 48, "embedding_size": 16}


def untrained(data_dir, recipe="fast", **model):
    """A model of 36 essays, its lexical head not fitted yet, and the data set."""
    data = load_essay_dataset(data_dir)
    run = RunArguments(data=str(data_dir), recipe=recipe, hardware="cpu", embeddings="none")
    plan = resolve_plan(run, {**SMALL, **model}, {"output_dir": "not written"})
    return build_model(plan, data, data.load_tokenizer(), Pretrained(None, None)).eval(), data


# ---- The share of the heads


def test_the_recursive_heads_share_grows_with_the_essays():
    assert share_of_lexical_head(0.5, 200) == pytest.approx(0.95)
    assert share_of_lexical_head(0.33, 1000) == pytest.approx(0.665)
    assert share_of_lexical_head(0.33, 2000) == share_of_lexical_head(0.33, 100_000) == pytest.approx(0.33)
    # A recipe that leaves the score to one head is obeyed.
    assert share_of_lexical_head(1.0, 10) == 1


def test_a_share_that_the_user_gives_is_kept(data_dir):
    model, _ = untrained(data_dir)
    assert model.config.lexical_share == pytest.approx(1 - 0.5 * 36 / 2000)
    model, _ = untrained(data_dir, lexical_share=0.5)
    assert model.config.lexical_share == 0.5


# ---- The scale


def test_left_out_scores_are_those_of_a_head_that_has_not_seen_the_essay(data_dir, monkeypatch):
    """Compared with regressions solved on all essays but one, on the inputs and about the means of all."""
    solved = []

    def solve_and_keep(*arguments):
        solved.append(solve(*arguments))
        return solved[-1]

    solve = lexical.solve
    monkeypatch.setattr(lexical, "solve", solve_and_keep)
    # The lexical head alone gives the score.
    model, data = untrained(data_dir, lexical_share=1.0)
    by_having_seen = fit_lexical_head(model, data)
    left_out = left_out_scores(EssayScorer(model, data.load_tokenizer(), "x"), data, by_having_seen)
    assert list(left_out["prompt_id"]) == data.splits["train"]["prompt_id"]
    assert list(left_out["score"]) == data.splits["train"]["score"]
    bank = model.model.prompt_bank
    for place, (prompt_id, regression) in enumerate(zip(data.score_ranges, solved, strict=True)):
        expected = []
        for essay in range(len(regression.targets)):
            others = np.delete(np.arange(len(regression.targets)), essay)
            kernel = regression.products.full()[np.ix_(others, others)] + regression.penalty * np.eye(len(others))
            dual = np.linalg.solve(kernel, regression.targets[others] - regression.targets.mean())
            expected.append(regression.targets.mean() + regression.products.full()[essay, others] @ dual)
        expected = bank.score_means[place].item() + bank.score_stds[place].item() * np.array(expected)
        found = left_out.loc[left_out["prompt_id"] == prompt_id, "normalized"]
        np.testing.assert_allclose(found, expected, atol=1e-4)
        # To have seen an essay brings its score nearer to the gold one.
        gold = data.score_ranges[prompt_id].normalize(left_out.loc[found.index, "score"].to_numpy())
        assert np.abs(found + by_having_seen[found.index, 0] - gold).mean() < np.abs(found - gold).mean()


def test_prompts_with_enough_validation_essays_need_no_training_essays(data_dir, monkeypatch):
    model, data = untrained(data_dir)
    scorer = EssayScorer(model, data.load_tokenizer(), "x")
    by_having_seen = fit_lexical_head(model, data)
    counts = pd.Series(data.splits["validation"]["prompt_id"]).value_counts()
    assert counts.max() < MIN_VALIDATION_ESSAYS
    monkeypatch.setattr(calibration, "MIN_VALIDATION_ESSAYS", counts.max())
    enough = set(counts.index[counts == counts.max()])
    assert set(left_out_scores(scorer, data, by_having_seen)["prompt_id"]) == {"a", "b"} - enough


def test_few_essays_of_both_splits_set_the_scale_together():
    """Two validation essays and eight training essays, scored with half the spread that they have."""
    model = registered_model()
    ranges = {"1": ScoreRange(2, 12), "2": ScoreRange(0, 4)}
    gold = np.array([2, 12, 4, 6, 7, 7, 8, 8, 10, 6])
    normalized = 0.3 + 0.5 * (gold - 2) / 10
    essays = pd.DataFrame({"prompt_id": "1", "score": gold[:2]})
    train_essays = pd.DataFrame({"prompt_id": "1", "score": gold[2:], "normalized": normalized[2:]})
    raw = RawScores(normalized[:2], np.full(2, 0.5), np.ones(2, dtype=int))
    means, stds = (
        values.clone() for values in (model.model.prompt_bank.score_means, model.model.prompt_bank.score_stds)
    )
    assert calibrate(model, raw, essays, ranges)["scores"] == {}
    [(prompt_id, line)] = calibrate(model, raw, essays, ranges, train_essays)["scores"].items()
    assert prompt_id == "1" and line == pytest.approx({"slope": 2.0, "intercept": -0.6})
    bank = model.model.prompt_bank
    torch.testing.assert_close(bank.score_stds, stds * torch.tensor([2.0, 1.0]))
    torch.testing.assert_close(bank.score_means, torch.tensor([2 * means[0] - 0.6, means[1]]))
    # Nine in all are too few.
    assert calibrate(model, raw, essays, ranges, train_essays.head(7))["scores"] == {}


# ---- The floor


@pytest.mark.parametrize("num_essays", [45, 150])
def test_a_scorer_of_few_essays_is_no_worse_than_the_ridge_regression(tmp_path, num_essays):
    """Three prompts of the demo corpus, with 15 and 50 training essays each, and 300 to measure with."""
    build.main(
        ["--source", "demo", "--output-dir", str(tmp_path / "data"), "--limit-train-essays", str(num_essays)]
        + ["--validation-share", "0.05", "--test-share", "0.5"]
    )
    train.main([*options(tmp_path / "data", tmp_path / "model"), "--recipe", "fast"])
    evaluate.main(["--model", str(tmp_path / "model"), "--data", str(tmp_path / "data"), "--device", "cpu"])
    [path] = (tmp_path / "model").rglob("evaluation.json")
    ridge = json.loads(path.read_text(encoding="utf-8"))["ridge"]
    assert len(ridge["qwk"]) == 3 and ridge["model_mean_qwk"] >= ridge["mean_qwk"]
