"""Ridge regression beside a scorer: its figures from the predictions, its line in the table, and where it has none."""

from dataclasses import replace

import datasets
import numpy as np
import pandas as pd
import pytest
from helpers import ROOT

from trm_aes.cli import evaluate
from trm_aes.data.dataset import EssayDataset, load_essay_dataset
from trm_aes.errors import InputError
from trm_aes.evaluation.agreement import mean_over_prompts, metrics_by_prompt, quadratic_weighted_kappa
from trm_aes.evaluation.evaluate import Evaluation, compare_with_ridge, evaluate_scorer
from trm_aes.evaluation.ridge import ridge_scores
from trm_aes.evaluation.shown import evaluation_table
from trm_aes.model.score_scale import ScoreRange
from trm_aes.records import EvaluationRecord
from trm_aes.scoring.scorer import EssayScorer

LEVELS = ["bad", "fair", "good", "excellent"]


def essays_of(prompt_id, number, seed):
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 4, number)
    texts = [" ".join([LEVELS[level]] * 3 + list(rng.choice(LEVELS, 4))) for level in levels]
    return pd.DataFrame(
        {"essay_id": range(number), "prompt_id": prompt_id, "essay": texts, "score": levels.astype(float)}
    )


def data_of(**frames):
    """A data set with the columns that the ridge regression reads."""
    splits = {name: datasets.Dataset.from_pandas(frame, preserve_index=False) for name, frame in frames.items()}
    prompts = {prompt_id: {"min_score": 0.0, "max_score": 3.0} for prompt_id in frames["test"]["prompt_id"].unique()}
    return EssayDataset(datasets.DatasetDict(splits), {"prompts": prompts}, ROOT)


def evaluation_of(data):
    """Of a scorer that says the gold score plus noise."""
    frame = data.splits["test"].to_pandas()
    noise = np.random.default_rng(0).normal(0, 0.7, len(frame))
    predictions = frame[["essay_id", "prompt_id", "score"]].assign(predicted_score=frame["score"] + noise)
    by_prompt = metrics_by_prompt(frame["prompt_id"], frame["score"], predictions["predicted_score"], data.score_ranges)
    return Evaluation(by_prompt, mean_over_prompts(by_prompt), 0.0, {}, predictions)


@pytest.fixture
def data():
    """Prompt a with enough essays, prompt few with nine to train on."""
    return data_of(
        train=pd.concat([essays_of("a", 60, 1), essays_of("few", 9, 2)]),
        validation=pd.concat([essays_of("a", 40, 3), essays_of("few", 5, 4)]),
        test=pd.concat([essays_of("a", 50, 5), essays_of("few", 20, 6)]),
    )


def test_figures_are_those_of_the_predictions_of_prompts_with_a_ridge(data):
    evaluation = compare_with_ridge(evaluation_of(data), data, "test")
    frames = [data.splits[name].to_pandas() for name in ("train", "validation", "test")]
    column = evaluation.predictions["ridge"]
    np.testing.assert_allclose(column, ridge_scores(*frames).clip(0, 3))
    assert (ridge_scores(*frames) > 3).any()
    of_a = evaluation.predictions[evaluation.predictions["prompt_id"] == "a"]
    qwk = quadratic_weighted_kappa(of_a["score"], ScoreRange(0, 3).round(of_a["ridge"]), 0, 3)
    ridge = evaluation.ridge
    assert ridge.qwk == {"a": pytest.approx(qwk)} and ridge.mean_qwk == pytest.approx(qwk)
    assert ridge.model_mean_qwk == evaluation.by_prompt["a"]["qwk"] != evaluation.means["mean_qwk"]
    assert ridge.difference == pytest.approx(ridge.model_mean_qwk - ridge.mean_qwk)
    assert ridge.low < ridge.difference < ridge.high
    assert column[evaluation.predictions["prompt_id"] == "few"].isna().all()


def test_the_table_says_what_the_ridge_has_and_why_a_prompt_lacks_it(data):
    evaluation = compare_with_ridge(evaluation_of(data), data, "test")
    ridge = evaluation.ridge
    header, of_a, of_few, mean, constant, missing, sentence = (
        evaluation_table(evaluation).splitlines()[:1] + (evaluation_table(evaluation).splitlines()[2:])
    )
    assert header.split()[-1] == "ridge"
    assert of_a.split()[-1] == mean.split()[-1] == f"{ridge.mean_qwk:.3f}"
    assert len(of_few.split()) == len(of_a.split()) - 1
    assert constant.startswith("constant predictor")
    assert missing == "no ridge regression for few: fewer than 10 training essays, or all of one score"
    assert sentence == (
        f"ridge regression on the words of the same training essays: mean QWK {ridge.mean_qwk:.3f} over the rest; "
        f"the model has {ridge.model_mean_qwk:.3f} ({ridge.difference:+.3f}, 95 % interval {ridge.low:.3f} to "
        f"{ridge.high:.3f})"
    )


def assert_stays_as_it_is(data, split):
    evaluation = evaluation_of(data)
    assert compare_with_ridge(evaluation, data, split) is evaluation
    lines = evaluation_table(evaluation).splitlines()
    assert "ridge" not in lines[0] and lines[-1].startswith("ridge regression on words: no figure")


def test_without_enough_training_essays_there_is_no_ridge():
    few = essays_of("few", 9, 2)
    assert_stays_as_it_is(data_of(train=few, validation=few, test=few), "test")


def test_the_training_essays_are_no_measure_of_a_ridge(data):
    assert_stays_as_it_is(data, "train")


def test_evaluate_writes_and_prints_the_ridge(model_dir, data_dir, tmp_path, capsys):
    evaluate.main(["--model", str(model_dir), "--data", str(data_dir), "--output-dir", str(tmp_path / "e")])
    record = EvaluationRecord.read(tmp_path / "e")
    predictions = pd.read_csv(tmp_path / "e" / "predictions.csv")
    bounds = {"a": (0, 3), "b": (1, 4)}
    by_prompt = {
        prompt_id: quadratic_weighted_kappa(
            of_prompt["score"], ScoreRange(*bounds[prompt_id]).round(of_prompt["ridge"]), *bounds[prompt_id]
        )
        for prompt_id, of_prompt in predictions.groupby("prompt_id")
    }
    assert record.ridge.qwk == pytest.approx(by_prompt)
    printed = capsys.readouterr().out
    assert f"mean QWK {record.ridge.mean_qwk:.3f}; the model has {record.means['mean_qwk']:.3f} (" in printed


def test_predictions_have_the_advisories_that_scoring_gives(model_dir, data_dir):
    scorer, data = EssayScorer.from_pretrained(model_dir, "cpu"), load_essay_dataset(data_dir)
    test = data.splits["test"].select_columns(["prompt_id", "essay"]).to_pandas()
    # Nothing is said of an essay's words in its tokens: a text said twice has the tokens of one.
    test.loc[0, "essay"] += " " + test.loc[0, "essay"]
    columns = {name: data.splits["test"][name][:] for name in data.splits["test"].column_names}
    tampered = replace(
        data,
        splits=datasets.DatasetDict({"test": datasets.Dataset.from_dict(columns | {"essay": list(test["essay"])})}),
    )
    predictions = evaluate_scorer(scorer, tampered, "test").predictions
    expected = ["; ".join(score.advisories) for score in scorer.score(list(test["essay"]), list(test["prompt_id"]))]
    assert list(predictions["advisories"]) == expected and "Repetitious" in expected[0]


def test_a_scorer_is_not_measured_on_texts_that_it_reads_otherwise(model_dir, data_dir):
    scorer, data = EssayScorer.from_pretrained(model_dir, "cpu"), load_essay_dataset(data_dir)
    scorer.model.config.skip_repetition = False
    with pytest.raises(InputError, match="reads what an essay says a second time, and .* was built without it"):
        evaluate_scorer(scorer, data, "test")
    scorer.model.config.skip_repetition = True
    older = replace(data, card={name: value for name, value in data.card.items() if name != "skip_repetition"})
    with pytest.raises(InputError, match="leaves out what an essay says a second time.*Build the data set again"):
        evaluate_scorer(scorer, older, "test")
