"""Predicted errors, prediction sets and review through the command line, on a scorer that was trained with enough essays."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import SMALL_MODEL
from transformers import pipeline

from trm_aes import EssayScoringPipeline
from trm_aes.cli import build, evaluate, score, train
from trm_aes.data.dataset import load_essay_dataset
from trm_aes.errors import InputError
from trm_aes.evaluation.confidence import confidence_section
from trm_aes.evaluation.evaluate import evaluate_scorer
from trm_aes.scoring.review import ReviewRule
from trm_aes.scoring.scorer import EssayScore, EssayScorer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The demo corpus, few of its essays to train with and many to validate with, and a small scorer of it."""
    path = tmp_path_factory.mktemp("sure")
    build.main(
        ["--source", "demo", "--output-dir", str(path / "data"), "--limit-train-essays", "60"]
        + ["--validation-share", "0.4", "--test-share", "0.3"]
    )
    train.main(
        ["--data", str(path / "data"), "--recipe", "tiny", "--hardware", "cpu", "--output_dir", str(path / "model")]
        + [*SMALL_MODEL, "--num_train_epochs", "1", "--disable_tqdm", "true"]
    )
    return path


@pytest.fixture(scope="module")
def scorer(folder):
    return EssayScorer.from_pretrained(folder / "model", "cpu")


@pytest.fixture(scope="module")
def essays_jsonl(folder):
    """The test essays as they were written."""
    rows = load_essay_dataset(folder / "data").splits["test"].select_columns(["prompt_id", "essay"])
    path = folder / "essays.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def scored(folder, essays, *more):
    output = folder / f"scored{''.join(more)}.csv"
    score.main(["--model", str(folder / "model"), "--input", str(essays), "--output", str(output), *more])
    return read(output)


def test_training_says_what_tells_the_essays_that_people_should_read(folder, scorer):
    record = json.loads((folder / "model" / "run.json").read_text(encoding="utf-8"))["error_model"]
    assert record["essays"] == 240 and record["review_by"] == scorer.model.config.review_by
    routes = {name: record["area"][name] for name in ("predicted_error", "confidence")}
    assert record["review_by"] == max(routes, key=routes.get)
    assert record["area"]["predicted_error"] > record["area"]["random"]
    assert record["whole_scale"] == {"0.9": [], "0.95": []}


def test_scores_come_with_their_errors_and_sets(folder, scorer, essays_jsonl):
    rows = scored(folder, essays_jsonl)
    assert "needs_review" not in rows[0]
    for row in rows:
        low, rounded, high = (float(row[name]) for name in ("score_low", "rounded_score", "score_high"))
        scale = scorer.score_ranges[row["prompt_id"]]
        assert scale.min_score <= low <= rounded <= high <= scale.max_score
        assert scale.holds([low, high]).all() and 0 < float(row["predicted_error"]) < scale.span
    # The pipeline says the same.
    pipe = pipeline(
        "essay-scoring", model=scorer.model, tokenizer=scorer.tokenizer, pipeline_class=EssayScoringPipeline
    )
    inputs = [{name: row[name] for name in ("essay", "prompt_id")} for row in rows[:3]]
    for result, row in zip(pipe(inputs), rows, strict=False):
        assert result["predicted_error"] == pytest.approx(float(row["predicted_error"]), abs=1e-5)
        assert [result["score_low"], result["score_high"]] == [int(row["score_low"]), int(row["score_high"])]


def test_about_the_share_that_is_asked_for_needs_review(folder, scorer, essays_jsonl, capsys):
    rows = scored(folder, essays_jsonl, "--review-share", "0.3")
    is_read = np.array([row["needs_review"] == "True" for row in rows])
    assert {row["needs_review"] for row in rows} == {"True", "False"}
    # 180 essays: three standard errors.
    assert is_read.mean() == pytest.approx(0.3, abs=0.11)
    assert f"{is_read.sum()} of them need review." in capsys.readouterr().err
    # They are those of the largest predicted errors, in steps.
    assert scorer.model.config.review_by == "predicted_error"
    steps = [float(row["predicted_error"]) / scorer.score_ranges[row["prompt_id"]].step for row in rows]
    assert min(np.array(steps)[is_read]) >= max(np.array(steps)[~is_read]) - 2e-6


def test_exactly_the_share_of_the_validation_essays_needs_review(folder, scorer):
    data = load_essay_dataset(folder / "data")
    predictions = evaluate_scorer(scorer, data, "validation").predictions
    rule = ReviewRule(scorer, float(scorer.model.error_model.thresholds[70]))
    assert ReviewRule.of_share(scorer, 0.3) == rule
    # What is kept is of error models that were fitted without each essay, so only nearly.
    steps = predictions["predicted_error"].to_numpy(float)
    assert (steps > rule.threshold).mean() == pytest.approx(0.3, abs=0.06)


def test_the_loosest_threshold_that_reaches_an_agreement_is_taken(folder, scorer, essays_jsonl):
    reached = scorer.model.error_model.released_agreement.numpy()
    rate = round(float(np.sort(reached)[-20]), 2) - 0.01
    rule = ReviewRule.of_agreement(scorer, rate)
    place = int(np.flatnonzero(reached >= rate)[-1])
    assert rule.threshold == pytest.approx(float(scorer.model.error_model.thresholds[place]))
    assert (reached[place + 1 :] < rate).all()
    rows = scored(folder, essays_jsonl, "--release-agreement", str(rate))
    released = [row for row in rows if row["needs_review"] == "False"]
    assert len(released) / len(rows) == pytest.approx(place / 100, abs=0.13)


def test_an_agreement_that_is_never_reached_is_refused(folder, essays_jsonl, tmp_path, scorer):
    best = scorer.model.error_model.released_agreement.max().item()
    arguments = ["--model", str(folder / "model"), "--input", str(essays_jsonl), "--output", str(tmp_path / "o.csv")]
    with pytest.raises(InputError, match="--release-agreement 1: however few essays") as raised:
        score.main([*arguments, "--release-agreement", "1"])
    assert f"at most {best:.2f} of the validation essays released" in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--review-share", "0"], r"--review-share must lie in \(0, 1\), got 0"),
        (["--review-share", "1"], r"--review-share must lie in \(0, 1\), got 1"),
        (["--review-share", "0.125"], "--review-share 0.125: give whole hundredths, from 0.01 to 0.99"),
        (["--review-share", "0.001"], "--review-share 0.001: give whole hundredths"),
        (["--release-agreement", "1.2"], r"--release-agreement must lie in \(0, 1\], got 1.2"),
        (["--release-agreement", "nan"], "--release-agreement must lie in"),
        (["--review-share", "0.3", "--release-agreement", "0.9"], "Give --review-share or --release-agreement"),
    ],
)
def test_thresholds_out_of_bounds_are_refused(folder, essays_jsonl, tmp_path, options, message):
    arguments = ["--model", str(folder / "model"), "--input", str(essays_jsonl), "--output", str(tmp_path / "o.csv")]
    with pytest.raises(InputError, match=message):
        score.main([*arguments, *options])


def test_essays_of_a_prompt_that_was_added_need_review(scorer, folder):
    rule = ReviewRule.of_share(scorer, 0.5)
    [sure] = scorer.score(["Good."], ["phones"])
    calm = replace(sure, confidence=1.0, predicted_error=0.0)
    assert not rule.needs_review(calm, "phones")
    config = scorer.model.config
    limits, config.advisory_limits = config.advisory_limits, {"uniforms": {}}
    try:
        assert rule.needs_review(calm, "phones")
    finally:
        config.advisory_limits = limits


def test_a_scorer_of_few_validation_essays_has_no_error_model(model_dir, tmp_path):
    """Its columns are empty, and what needs one is refused before an essay is scored."""
    (tmp_path / "in.jsonl").write_text('{"prompt_id": "a", "essay": "Good."}\n', encoding="utf-8")
    arguments = ["--model", str(model_dir), "--input", str(tmp_path / "in.jsonl")]
    score.main([*arguments, "--output", str(tmp_path / "out.csv")])
    [row] = read(tmp_path / "out.csv")
    assert [row[name] for name in ("predicted_error", "score_low", "score_high")] == ["", "", ""]
    for option in ("--review-share", "--release-agreement"):
        with pytest.raises(InputError, match=f"{option}: .* has no error model"):
            score.main([*arguments, "--output", str(tmp_path / "o.csv"), option, "0.5"])
    assert json.loads((model_dir / "run.json").read_text(encoding="utf-8"))["error_model"] is None


def test_a_column_of_that_name_is_refused_only_where_one_is_added(folder, tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text('{"prompt_id": "phones", "essay": "Good.", "needs_review": "yes"}\n', encoding="utf-8")
    arguments = ["--model", str(folder / "model"), "--input", str(source), "--output"]
    score.main([*arguments, str(tmp_path / "out.csv")])
    with pytest.raises(InputError, match="has a column 'needs_review' of its own"):
        score.main([*arguments, str(tmp_path / "o.csv"), "--review-share", "0.3"])


def test_doubt_by_confidence_where_that_chose_better(scorer):
    one = EssayScore(3.2, 3, 0.7, 1, predicted_error=0.4)
    assert ReviewRule(scorer, 0.0).doubt(one, "phones") == 0.4
    scorer.model.config.review_by = "confidence"
    try:
        assert ReviewRule(scorer, 0.0).doubt(one, "phones") == pytest.approx(0.3)
        assert ReviewRule(scorer, 0.2).needs_review(one, "phones")
        assert not ReviewRule(scorer, 0.31).needs_review(one, "phones")
    finally:
        scorer.model.config.review_by = "predicted_error"


def test_an_evaluation_has_all_that_the_report_asks_for(folder, tmp_path):
    arguments = ["--model", str(folder / "model"), "--data", str(folder / "data")]
    evaluate.main([*arguments, "--output-dir", str(tmp_path / "evaluation")])
    rows = read(tmp_path / "evaluation" / "predictions.csv")
    for row in rows:
        wide, narrow = ((float(row[f"score_low{level}"]), float(row[f"score_high{level}"])) for level in ("_95", ""))
        assert wide[0] <= narrow[0] <= float(row["rounded_score"]) <= narrow[1] <= wide[1]
    data = load_essay_dataset(folder / "data")
    predictions = evaluate_scorer(EssayScorer.from_pretrained(folder / "model", "cpu"), data, "test").predictions
    section = confidence_section(predictions, data.score_ranges)
    by_level = {part.level: part for part in section.sets if part.prompt_id == "all prompts"}
    for level, part in by_level.items():
        # 240 validation essays of three prompts, 180 others: three standard errors of both together.
        assert part.coverage.value == pytest.approx(level, abs=3 * (level * (1 - level) * (1 / 240 + 1 / 180)) ** 0.5)
    areas = {route.name: route.area.value for route in section.routes}
    assert areas["random"] < areas["predicted error"] < areas["oracle"]
