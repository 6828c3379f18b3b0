"""`pipeline("essay-scoring")` and the stock text-classification pipeline, with the package and without it."""

import json

import pytest
from helpers import run_without_package
from transformers import pipeline

from trm_aes import EssayScoringPipeline
from trm_aes.scoring.scorer import EssayScorer

ESSAYS = ["Essay 1 is excellent excellent excellent excellent.", "Essay 2 is bad bad bad.", "Essay 3 is good good."]


@pytest.fixture(scope="module")
def scorer(model_dir):
    # Where the folder has code of its own, Transformers asks for trust unless the class is given.
    return pipeline("essay-scoring", model=str(model_dir), pipeline_class=EssayScoringPipeline, device="cpu")


def test_it_scores_as_the_scorer_does(scorer, model_dir):
    expected = EssayScorer.from_pretrained(model_dir, "cpu").score(ESSAYS, ["a", "b", "a"])
    inputs = [{"essay": essay, "prompt_id": prompt_id} for essay, prompt_id in zip(ESSAYS, "aba", strict=True)]
    for batch_size in (1, 3):
        results = scorer(inputs, batch_size=batch_size)
        for result, score, prompt_id in zip(results, expected, "aba", strict=True):
            assert result["score"] == pytest.approx(score.score, abs=1e-5)
            assert result["confidence"] == pytest.approx(score.confidence, abs=1e-5)
            assert (result["rounded_score"], result["supervision_steps"]) == (
                score.rounded_score,
                score.supervision_steps,
            )
            assert (result["prompt_id"], result["was_cut"]) == (prompt_id, False)
            assert result["advisories"] == list(score.advisories)


def test_it_gives_the_scorers_advisories(scorer, model_dir):
    doubled = "Essay 4 is good good good. " * 2
    expected = EssayScorer.from_pretrained(model_dir, "cpu").score([ESSAYS[2], doubled], ["a", "a"])
    inputs = [{"essay": essay, "prompt_id": "a"} for essay in (ESSAYS[2], doubled)]
    for batch_size in (1, 2):
        plain, advised = scorer(inputs, batch_size=batch_size)
        assert plain["advisories"] == list(expected[0].advisories) == []
        assert advised["advisories"] == list(expected[1].advisories) == ["Repetitious"]


def test_a_prompt_may_be_given_by_its_text(scorer):
    first, second = scorer([{"essay": ESSAYS[0], "prompt": "Write about b."}, {"essay": ESSAYS[0], "prompt_id": "b"}])
    assert first == second


def test_what_is_too_long_is_said_to_be_cut(scorer):
    assert scorer({"essay": " ".join(f"good{number}" for number in range(2000)), "prompt_id": "a"})["was_cut"] is True


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("An essay alone.", "No prompt_id, and this model scores several prompts: a, b"),
        ({"essay": "x", "prompt_id": "c"}, "Unknown prompt_id 'c'; this model scores a, b"),
        ({"essay": "x", "prompt": "Write about c."}, "knows no prompt with this text"),
        ({"text": "x"}, "An input is an essay"),
        ({"essay": " \n", "prompt_id": "a"}, "The essay is empty"),
    ],
)
def test_wrong_inputs_say_what_is_wrong(scorer, inputs, message):
    with pytest.raises(ValueError, match=message):
        scorer(inputs)


def test_wrong_options_say_what_is_wrong(scorer):
    with pytest.raises(ValueError, match="Unknown options of the essay-scoring pipeline: steps"):
        scorer({"essay": "x", "prompt_id": "a"}, steps=3)


@pytest.mark.parametrize(
    "inputs",
    [
        "An essay alone.",
        "Write about a.",
        {"text": "An essay alone."},
        {"text": "Write about birds.", "text_pair": "An essay of another prompt."},
        [{"text": "Write about a.", "text_pair": "An essay."}, {"text": "Why?", "text_pair": "An essay."}],
    ],
)
def test_the_stock_pipeline_takes_no_essay_without_its_prompt(model_dir, inputs):
    """It would have another prompt's scale, in silence."""
    loaded = EssayScorer.from_pretrained(model_dir, "cpu")
    stock = pipeline("text-classification", model=loaded.model, tokenizer=loaded.tokenizer, device="cpu")
    with pytest.raises(ValueError, match="comes without a prompt that this model knows, and it scores several: a, b"):
        stock(inputs)
    assert stock({"text": "Write about a.", "text_pair": "An essay."})["label"] == "score"


REMOTE = """
from transformers import pipeline
folder, essays = sys.argv[1], json.loads(sys.argv[2])
scorer = pipeline("essay-scoring", model=folder, trust_remote_code=True, device="cpu")
stock = pipeline("text-classification", model=folder, trust_remote_code=True, device="cpu")
ours = scorer([{"essay": essay, "prompt_id": "a"} for essay in essays], batch_size=2)
pairs = [{"text": "Write about a.", "text_pair": essay} for essay in essays]
theirs = [stock(pairs, batch_size=size) for size in (1, 3)]
print("\\n" + json.dumps({"ours": ours, "theirs": theirs}))
"""


def test_both_pipelines_where_the_package_is_absent(scorer, model_dir, tmp_path):
    found = run_without_package(REMOTE, model_dir, json.dumps(ESSAYS), cwd=tmp_path)
    expected = scorer([{"essay": essay, "prompt_id": "a"} for essay in ESSAYS])
    for key in ("rounded_score", "advisories"):
        assert [result[key] for result in found["ours"]] == [result[key] for result in expected]
    assert any(result["advisories"] for result in expected)
    for one, three, result in zip(*found["theirs"], expected, strict=True):
        assert one["label"] == three["label"] == "score"
        assert one["score"] == pytest.approx(three["score"], abs=1e-5)
        # The stock pipeline gives the normalized score; prompt a ranges from 0 to 3.
        assert min(max(one["score"], 0), 1) * 3 == pytest.approx(result["score"], abs=1e-4)
