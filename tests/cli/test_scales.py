"""Half points and CEFR labels through the whole command line: shown as people write them, measured in steps."""

import csv
import json
import random

import numpy as np
import pandas as pd
import pytest
from helpers import options
from transformers import pipeline

from trm_aes import EssayScoringPipeline
from trm_aes.cli import adapt, build, evaluate, push, score, train
from trm_aes.data.dataset import load_essay_dataset
from trm_aes.errors import InputError
from trm_aes.evaluation.agreement import quadratic_weighted_kappa
from trm_aes.model.score_scale import ScoreRange
from trm_aes.records import EvaluationRecord
from trm_aes.scoring.scorer import EssayScorer

WORDS = ["bad", "poor", "fair", "good", "great", "excellent"]
LABELS = ["A1", "A2", "B1", "B2", "C1", "C2"]
KINDS = {
    "half points": ([4, 4.5, 5, 5.5, 6, 6.5], [], ScoreRange(4, 6.5, 0.5)),
    "labels": (LABELS, ["--score-labels", ",".join(LABELS)], ScoreRange.of_labels(LABELS)),
}


def write_essays(path, scores, number=90):
    """Essays whose score is told by their words."""
    draw = random.Random(0)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["essay_id", "essay", "score", "rater1", "rater2"])
        for place in range(number):
            level = place % len(scores)
            words = [WORDS[level]] * 5 + draw.choices(WORDS, k=1 + place % 3)
            other = scores[max(level - place % 2, 0)]
            writer.writerow([f"e{place}", f"This is {' '.join(words)}.", scores[level], scores[level], other])


@pytest.fixture(scope="module", params=KINDS)
def run(request, tmp_path_factory):
    """A folder with essays, a data set, a scorer and its evaluation; the scores that there are, and their scale."""
    scores, labels, scale = KINDS[request.param]
    folder = tmp_path_factory.mktemp("scales")
    write_essays(folder / "essays.csv", scores)
    build.main(["--source", str(folder / "essays.csv"), "--output-dir", str(folder / "data"), "--max-tokens", "64",
                "--max-prompt-tokens", "8", *labels])  # fmt: skip
    train.main(
        options(folder / "data", folder / "model", "--num-train-epochs", "6", "--per-device-train-batch-size", "4")
    )
    evaluate.main(["--model", str(folder / "model"), "--data", str(folder / "data"), "--output-dir", str(folder / "e")])
    return folder, scores, scale


def test_data_set_model_and_records_hold_the_scale(run):
    folder, scores, scale = run
    data = load_essay_dataset(folder / "data")
    assert data.score_ranges == {"1": scale}
    assert list(data.card["prompts"]["1"]["scores"]) == [str(score) for score in scores]
    config = json.loads((folder / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["score_ranges"] == {"1": scale.to_list()}
    assert EssayScorer.from_pretrained(folder / "model", "cpu").score_ranges == {"1": scale}


def test_metrics_are_in_steps_of_the_scale(run):
    folder, _, scale = run
    predictions = pd.read_csv(folder / "e" / "predictions.csv", dtype={"score": str, "rounded_score": str})
    gold, rounded = ([scale.parse(value) for value in predictions[name]] for name in ("score", "rounded_score"))
    assert rounded == scale.round(predictions["predicted_score"]).tolist()
    metrics = EvaluationRecord.read(folder / "e").by_prompt["1"]
    qwk = quadratic_weighted_kappa(gold, rounded, scale.min_score, scale.max_score, step=scale.step)
    assert metrics["qwk"] == pytest.approx(qwk) and qwk > 0.5
    errors = np.abs(np.subtract(gold, rounded))
    assert metrics["accuracy"] == pytest.approx(np.mean(errors == 0))
    assert metrics["adjacent_agreement"] == pytest.approx(np.mean(errors <= scale.step))
    assert metrics["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)))
    continuous = predictions["predicted_score"] - gold
    assert metrics["rmse_continuous"] == pytest.approx(np.sqrt(np.mean(continuous**2))) != metrics["rmse"]
    assert EvaluationRecord.read(folder / "e").rater_qwk["1"] > 0.8


def test_scores_are_shown_as_people_write_them(run):
    folder, scores, scale = run
    for name, read in (("scored.csv", csv.DictReader), ("scored.jsonl", lambda file: map(json.loads, file))):
        score.main(
            ["--model", str(folder / "model"), "--input", str(folder / "essays.csv"), "--output", str(folder / name)]
        )
        with open(folder / name, newline="", encoding="utf-8") as file:
            rows = list(read(file))
        assert len(rows) == 90
        for row in rows:
            shown = scale.shown(float(row["predicted_score"]))
            assert row["rounded_score"] == (str(shown) if name.endswith("csv") else shown)
        assert len({row["rounded_score"] for row in rows}) > 2
        assert {str(row["rounded_score"]) for row in rows} <= {str(value) for value in scores}


def test_the_pipeline_says_the_same(run):
    folder, _, scale = run
    scorer = EssayScorer.from_pretrained(folder / "model", "cpu")
    essays = ["This is good good good.", "This is bad bad."]
    ours = scorer.score(essays, ["1", "1"])
    theirs = pipeline("essay-scoring", model=str(folder / "model"), pipeline_class=EssayScoringPipeline, device="cpu")(
        essays
    )
    assert [result["rounded_score"] for result in theirs] == [result.rounded_score for result in ours]
    assert all(type(result.rounded_score) in ((str,) if scale.labels else (int, float)) for result in ours)


def test_the_model_card_names_the_scale(run, capsys):
    folder, _, scale = run
    push.main(
        ["--model", str(folder / "model"), "--repo-id", "user/scorer", "--evaluation", str(folder / "e"), "--card-only"]
    )
    assert f"| 1 | {scale} |" in capsys.readouterr().out


def test_another_scale_is_no_data_to_evaluate_on(run, tmp_path):
    folder, _, scale = run
    write_essays(tmp_path / "whole.csv", [1, 2, 3, 4, 5, 6])
    build.main(["--source", str(tmp_path / "whole.csv"), "--output-dir", str(tmp_path / "whole"), "--max-tokens", "64",
                "--max-prompt-tokens", "8"])  # fmt: skip
    with pytest.raises(InputError, match=f"scores of prompt '1' range from 1 to 6, those of .* from {scale}"):
        evaluate.main(
            ["--model", str(folder / "model"), "--data", str(tmp_path / "whole"), "--output-dir", str(tmp_path / "e")]
        )


def test_a_new_prompt_on_another_scale(run, tmp_path, capsys):
    folder, _, scale = run
    write_essays(tmp_path / "new.csv", ["F", "D", "C", "B", "A"], 20)
    adapt.main(["--model", str(folder / "model"), "--data", str(tmp_path / "new.csv"), "--prompt-id", "grades",
                "--score-labels", "F,D,C,B,A", "--output-dir", str(tmp_path / "adapted")])  # fmt: skip
    assert "Prompt grades (F to A): 20 essays." in capsys.readouterr().out
    scorer = EssayScorer.from_pretrained(tmp_path / "adapted", "cpu")
    assert scorer.score_ranges == {"1": scale, "grades": ScoreRange.of_labels("FDCBA")}
    assert scorer.score(["This is great great great great."], ["grades"])[0].rounded_score in "FDCBA"


def test_what_was_read_off_is_said(tmp_path, capsys):
    write_essays(tmp_path / "essays.csv", [4, 4.5, 5, 5.5, 6, 6.5])
    arguments = ["--source", str(tmp_path / "essays.csv"), "--max-tokens", "64", "--max-prompt-tokens", "8"]
    build.main([*arguments, "--output-dir", str(tmp_path / "read-off")])
    assert "1 4 to 6.5 by 0.5 scores seen" in " ".join(capsys.readouterr().out.split())
    build.main([*arguments, "--output-dir", str(tmp_path / "given"), "--score-range", "4:9:0.5"])
    assert "1 4 to 9 by 0.5 given" in " ".join(capsys.readouterr().out.split())
