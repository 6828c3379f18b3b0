"""Advisories: what of a text the rules go by, and from where on they are given."""

import json
import shutil
from dataclasses import replace

import pytest
from helpers import small_config

from trm_aes.model import essay_tokens
from trm_aes.model.advisories_trm import (
    ADVISORY_RULES,
    MODEL_MEASURES,
    TEXT_MEASURES,
    advisories_of,
    names_in_cell,
    shown_advisories,
    text_measures,
)
from trm_aes.model.essay_tokens import encode_essays, measure_texts
from trm_aes.model.text_features_trm import FEATURE_NAMES, text_features
from trm_aes.scoring.scorer import EssayScorer

TEXT = "The dog ran home to its own house and then slept until morning came."
VOCABULARY = dict.fromkeys(TEXT.lower().strip(".").split(), 2000)
PROMPT = "Write about a dog."


def test_every_rule_has_a_measure():
    assert {rule.measure for rule in ADVISORY_RULES} == {*TEXT_MEASURES, *MODEL_MEASURES}
    assert len({rule.name for rule in ADVISORY_RULES}) == len(ADVISORY_RULES)
    assert set(text_measures("", "", {})) == set(TEXT_MEASURES) < {*FEATURE_NAMES, "problem_rate", "repeated_share"}


def test_measures_of_a_text():
    plain = text_measures(TEXT, PROMPT, VOCABULARY)
    assert plain["problem_rate"] == plain["repeated_share"] == plain["prompt_triple_share"] == 0
    assert text_measures(f"{TEXT} {TEXT}", PROMPT, VOCABULARY)["repeated_share"] == pytest.approx(0.5)
    assert text_measures(PROMPT, PROMPT, VOCABULARY)["prompt_triple_share"] == 1
    # Of 14 words: one unknown, and a small letter at the start.
    worse = text_measures(TEXT.replace("The", "the").replace("morning", "morrning"), PROMPT, VOCABULARY)
    assert worse["problem_rate"] == pytest.approx(100 * 2 / 14)
    assert text_measures(TEXT.upper(), PROMPT, VOCABULARY)["problem_rate"] == pytest.approx(100)
    assert all(value == 0 for value in text_measures("", "", {}).values())


@pytest.mark.parametrize("skip_repetition", [False, True])
def test_texts_are_measured_as_written_and_counted_once(tokenizer, monkeypatch, skip_repetition):
    names = ["log_words", "function_word_share"]
    config = small_config(
        score_ranges={"1": [0, 3]}, prompt_texts={"1": PROMPT}, advisory_limits={"1": {"order": 0.5}}, num_latents=2,
        prompt_registers=True, text_features=names, skip_repetition=skip_repetition, max_position_embeddings=64,
        max_prompt_tokens=8,
    )  # fmt: skip
    essays = [TEXT, f"{TEXT} {TEXT}"]
    expected = encode_essays(tokenizer, [PROMPT] * 2, essays, 64, 8, names, skip_repetition)
    measures = measure_texts(tokenizer, config, ["1"] * 2, essays)
    counted = []
    monkeypatch.setattr(essay_tokens, "text_features", lambda *args: counted.append(args[0]) or text_features(*args))
    encoded = essay_tokens.encode_for_model(tokenizer, config, ["1"] * 2, essays)
    assert encoded == [replace(essay, text_measures=of_text) for essay, of_text in zip(expected, measures, strict=True)]
    # What repeats itself is read once, and counted as it was written as well.
    assert counted == ([TEXT, TEXT, essays[1]] if skip_repetition else essays)


def test_an_advisory_is_given_beyond_a_limit_and_not_at_it():
    config = small_config(
        score_ranges={"1": [0, 3], "2": [0, 3]},
        advisory_limits={"1": {"too_brief": 2.0, "too_long": 4.0, "order": 0.5, "sentences": 3.0, "later_rule": 0.0}},
    )
    measures = dict.fromkeys(TEXT_MEASURES, 0.0) | {"log_words": 2.0}
    assert advisories_of(config, "1", measures, (0.9, 0.5)) == ()
    assert advisories_of(config, "1", measures | {"log_words": 1.9}, (0.9, 0.5)) == ("Too Brief",)
    assert advisories_of(config, "1", measures | {"log_words": 4.1}, None) == ("Excessive Length",)
    # Two rules of one advisory: it is given once.
    both = measures | {"mean_log_sentence_words": 9.0}
    assert advisories_of(config, "1", both, (0, 0.6)) == ("Unidentifiable Organization",)
    assert advisories_of(config, "2", both, (1, 1)) == ()


def test_limits_are_of_prompts_that_there_are():
    with pytest.raises(ValueError, match="`advisory_limits` are of prompts of `score_ranges`, which '9' is not"):
        small_config(score_ranges={"1": [0, 3]}, advisory_limits={"9": {"order": 0.5}})


def test_cells_hold_their_names():
    for names in ((), ("Too Brief",), ("Too Brief", "Non-Essay")):
        assert names_in_cell(shown_advisories(names)) == names


def test_a_scorer_of_before_has_none_and_scores_alike(model_dir, tmp_path):
    folder = tmp_path / "before"
    shutil.copytree(model_dir, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config.pop("advisory_limits")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    before, now = (EssayScorer.from_pretrained(path, "cpu") for path in (folder, model_dir))
    essays = ["Essay 3 is good good good good good.", "Cuando era pequeño vivía con mi familia en una casa blanca."]
    [_, old], [_, new] = before.score(essays, ["a", "a"]), now.score(essays, ["a", "a"])
    assert old.advisories == () and "Non-Essay" in new.advisories
    assert old.score == new.score
