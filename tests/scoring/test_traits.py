"""Scores of traits from every door: the scorer, files, parts that are taken up again, the pipelines. (ONNX: test_onnx.py.)"""

import csv
import json

import numpy as np
import pytest
import torch
from transformers import pipeline

from trm_aes import EssayScoringPipeline
from trm_aes.cli import score
from trm_aes.data.tables import read_rows
from trm_aes.errors import InputError, InterruptedRun
from trm_aes.model.score_scale import ScoreRange
from trm_aes.scoring.review import NEEDS_REVIEW, ReviewRule
from trm_aes.scoring.scorer import EssayScorer, tokenized_rows
from trm_aes.scoring.stream import BadRows, score_file

ESSAYS = ["Essay 1 is excellent excellent excellent.", "Essay 2 is bad bad bad.", "Essay 3 is good good."]
PROMPTS = ["a", "b", "a"]


@pytest.fixture(scope="module")
def scorer(trait_model_dir):
    return EssayScorer.from_pretrained(trait_model_dir, "cpu")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("traits") / "in.csv"
    rows = zip(PROMPTS * 2, ESSAYS * 2, strict=True)
    path.write_text("prompt_id,essay\n" + "".join(f"{prompt},{essay}\n" for prompt, essay in rows), encoding="utf-8")
    return path


def test_the_scorer_gives_the_traits_that_a_prompt_has_on_their_scales(scorer):
    assert scorer.trait_ranges == {
        "organization": {"a": ScoreRange(0, 3, 0.5), "b": ScoreRange(1, 6)},
        "voice": {"a": ScoreRange(1, 4)},
    }
    good, bad, fair = scorer.score(ESSAYS, PROMPTS)
    assert list(good.traits) == list(fair.traits) == ["organization", "voice"] and list(bad.traits) == ["organization"]
    for result, prompt_id in zip((good, bad, fair), PROMPTS, strict=True):
        for trait, found in result.traits.items():
            scale = scorer.trait_ranges[trait][prompt_id]
            assert scale.holds(found.rounded_score) and scale.min_score <= found.score <= scale.max_score
            assert abs(found.score - found.rounded_score) <= scale.step / 2
    # A word tells them.
    assert good.traits["voice"].score > fair.traits["voice"].score + 0.3
    raw = scorer.score_tokens(tokenized_rows(scorer.encode(ESSAYS, PROMPTS), PROMPTS))
    expected = scorer.trait_ranges["voice"]["a"].denormalize(raw.traits[0, 1])
    assert good.traits["voice"].score == pytest.approx(float(expected), abs=1e-6)
    assert np.isnan(raw.traits[1, 1])


def test_a_scorer_whose_traits_are_no_numbers_is_damaged(trait_model_dir):
    scorer = EssayScorer.from_pretrained(trait_model_dir, "cpu")
    scorer.model.trait_head.means[0] = torch.nan
    with pytest.raises(InputError, match="its weights are damaged"):
        scorer.score(ESSAYS[:1], PROMPTS[:1])


def test_a_file_has_two_columns_for_each_trait(scorer, source, tmp_path, trait_model_dir):
    score.main(["--model", str(trait_model_dir), "--input", str(source), "--output", str(tmp_path / "out.csv")])
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[8:] == [
        "score_high", "predicted_organization", "rounded_organization", "predicted_voice", "rounded_voice", "advisories"
    ]  # fmt: skip
    for row, result in zip(rows, scorer.score(ESSAYS * 2, PROMPTS * 2), strict=True):
        for trait in ("organization", "voice"):
            written = (row[f"predicted_{trait}"], row[f"rounded_{trait}"])
            if trait in result.traits:
                found = result.traits[trait]
                assert (float(written[0]), float(written[1])) == (
                    pytest.approx(found.score, abs=1e-5),
                    found.rounded_score,
                )
            else:
                assert written == ("", "")
    # As people write them: 2, not 2.0.
    assert all(row["rounded_organization"].isdecimal() for row in rows if row["prompt_id"] == "b")


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "xlsx"])
def test_other_formats_hold_them_too(scorer, source, tmp_path, suffix):
    path = tmp_path / f"out.{suffix}"
    score_file(scorer, str(source), str(path))
    rows = list(read_rows(path))
    assert [row["rounded_voice"] in (None, "") for row in rows] == [False, True, False] * 2
    for row, result in zip(rows, scorer.score(ESSAYS * 2, PROMPTS * 2), strict=True):
        assert float(row["predicted_organization"]) == pytest.approx(result.traits["organization"].score, abs=1e-5)


def test_an_input_with_a_column_of_that_name_is_refused(scorer, tmp_path):
    (tmp_path / "in.csv").write_text("prompt_id,essay,rounded_voice\na,Good.,3\n", encoding="utf-8")
    with pytest.raises(InputError, match="a column 'rounded_voice' of its own"):
        score_file(scorer, str(tmp_path / "in.csv"), str(tmp_path / "out.csv"))


def test_an_interrupted_run_goes_on_with_the_same_traits(scorer, source, tmp_path, monkeypatch):
    whole, resumed = tmp_path / "whole.csv", tmp_path / "resumed.csv"
    monkeypatch.setattr("trm_aes.scoring.stream.WINDOW", 2)
    score_file(scorer, str(source), str(whole))
    encoded, calls = EssayScorer.score_encoded, []

    def stop_at_the_third(self, *arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encoded(self, *arguments)

    monkeypatch.setattr(EssayScorer, "score_encoded", stop_at_the_third)
    with pytest.raises(InterruptedRun):
        score_file(scorer, str(source), str(resumed))
    assert list(tmp_path.glob(".resumed.csv.parts/*.json"))
    score_file(scorer, str(source), str(resumed))
    assert len(calls) == 4 and resumed.read_bytes() == whole.read_bytes()


def test_review_and_unknown_prompts_stand_beside_traits(trait_model_dir, tmp_path):
    scorer = EssayScorer.from_pretrained(trait_model_dir, "cpu")
    scorer.model.add_error_model("confidence")
    (tmp_path / "in.csv").write_text("prompt_id,essay\na,Good good.\nz,Bad.\n", encoding="utf-8")
    score_file(
        scorer, str(tmp_path / "in.csv"), str(tmp_path / "out.jsonl"), bad_rows=BadRows("skip"),
        review=ReviewRule(scorer, 0.5),
    )  # fmt: skip
    first, second = map(json.loads, (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines())
    assert list(first) == list(second) and list(first)[-1] == NEEDS_REVIEW
    assert first["rounded_voice"] is not None and second["rounded_voice"] is None
    assert second["predicted_organization"] is None and second[NEEDS_REVIEW] is None


def test_the_essay_scoring_pipeline_gives_them(scorer, trait_model_dir):
    found = pipeline("essay-scoring", model=str(trait_model_dir), pipeline_class=EssayScoringPipeline, device="cpu")(
        [{"essay": essay, "prompt_id": prompt} for essay, prompt in zip(ESSAYS, PROMPTS, strict=True)], batch_size=3
    )
    for result, expected in zip(found, scorer.score(ESSAYS, PROMPTS), strict=True):
        assert result["score"] == pytest.approx(expected.score, abs=1e-5)
        assert list(result["traits"]) == list(expected.traits)
        for trait, values in result["traits"].items():
            assert values["score"] == pytest.approx(expected.traits[trait].score, abs=1e-5)
            assert values["rounded_score"] == expected.traits[trait].rounded_score


def test_the_stock_pipeline_gives_the_numbers_as_they_are(scorer, trait_model_dir):
    """No softmax: each output on its 0-1 scale, under its name, NaN for a trait that the prompt lacks."""
    stock = pipeline("text-classification", model=scorer.model, tokenizer=scorer.tokenizer, device="cpu", top_k=None)
    inputs = [
        {"text": f"Write about {prompt}.", "text_pair": essay} for essay, prompt in zip(ESSAYS, PROMPTS, strict=True)
    ]
    raw = scorer.score_tokens(tokenized_rows(scorer.encode(ESSAYS, PROMPTS), PROMPTS))
    for row, text in enumerate(inputs):
        found = {result["label"]: result["score"] for result in stock(text)}
        expected = [raw.normalized[row], *raw.traits[row]]
        assert list(scorer.model.config.id2label.values()) == ["score", "organization", "voice"]
        np.testing.assert_allclose([found[name] for name in scorer.model.config.id2label.values()], expected, atol=1e-5)
