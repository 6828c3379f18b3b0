"""What the page says: of a score's doubt, of advisories, of what moved a score, and of what went wrong."""

import logging
import re

import pytest

from trm_aes.errors import InputError
from trm_aes.model.score_scale import ScoreRange
from trm_aes.page.limits import MAX_LETTERS, check_length
from trm_aes.page.moved import legend, parts_of
from trm_aes.page.rendering import problem
from trm_aes.page.wording import advisories_in_words, confidence_in_words, problem_in_words, set_in_words
from trm_aes.scoring.explaining import SentenceEffect
from trm_aes.scoring.scorer import EssayScore

SCALE = ScoreRange(1, 6)


def result(low=None, high=None, **more):
    return EssayScore(2.2, 2, 0.315, 1, score_low=low, score_high=high, **more)


@pytest.mark.parametrize(
    ("ends", "sentence"),
    [
        ((1, 4), "With a probability of 90 %, a person would give a score from 1 to 4."),
        ((2, 2), "With a probability of 90 %, a person would give 2, too."),
        ((1, 6), "With a probability of 90 %, a person would give a score from 1 to 6: that is the whole scale, so this score "
                 "says next to nothing."),
        ((None, None), None),
    ],
)  # fmt: skip
def test_the_set_of_scores_in_words(ends, sentence):
    assert set_in_words(result(*ends), SCALE) == sentence


def test_labels_stand_for_scores():
    levels = ScoreRange.of_labels(["A1", "A2", "B1"])
    assert set_in_words(result("A1", "A2"), levels).endswith("a score from A1 to A2.")
    assert "the whole scale" in set_in_words(result("A1", "B1"), levels)


def test_confidence_and_advisories_in_words():
    assert confidence_in_words(result()) == "Confidence 32 %: how likely it is that a person would give exactly 2."
    found = advisories_in_words(result(advisories=("Too Brief", "Unidentifiable Organization")))
    assert [(name, len(sentences)) for name, sentences in found] == [
        ("Too Brief", 1),
        ("Unidentifiable Organization", 2),
    ]
    assert found[0][1] == ["Fewer words than essays on the prompt have."]


def test_parts_of_an_essay_are_all_of_it_with_what_they_moved():
    essay = "  One is good. \n\nTwo is bad.  Three is."
    effects = [(2, 14, 0.41), (17, 28, -0.16), (30, 39, 0.049)]
    sentences = [SentenceEffect(start, end, essay[start:end], change) for start, end, change in effects]
    parts = parts_of(essay, sentences, SCALE)
    assert "".join(part.text for part in parts) == essay
    assert [(part.level, part.direction, part.change) for part in parts if part.change] == [
        (3, "up", "+0.41"), (2, "down", "−0.16"), (0, "up", "+0.05"),
    ]  # fmt: skip


def test_shades_go_by_steps_of_the_scale():
    assert [least for _, least in legend(ScoreRange(0, 60, 10))] == ["0.50", "1.50", "4.00"]
    assert [least for _, least in legend(SCALE)] == ["0.05", "0.15", "0.40"]


def test_problems_speak_of_the_fields_of_the_page():
    assert problem_in_words(InputError("Name one: `sheet`.")) == "Name one: “Sheet”."
    assert problem_in_words(InputError("`columns.essay` is not there")) == "“Essays” is not there"
    odd = InputError("Give its `encoding` (often windows-1252), or set `encoding_errors` to replace.")
    assert problem_in_words(odd) == "Give its “Encoding” (often windows-1252)."
    assert problem("<b>no</b>") == '<p class="problem" role="alert">&lt;b&gt;no&lt;/b&gt;</p>' and problem("") == ""


def test_of_a_fault_of_ours_the_log_gets_the_place_and_not_the_message(caplog):
    def fail():
        raise KeyError("the essay of a visitor")

    with caplog.at_level(logging.ERROR):
        try:
            fail()
        except KeyError as error:
            said = problem_in_words(error)
    assert said.startswith("Something went wrong in the scorer") and "visitor" not in said + caplog.text
    assert re.search(r"KeyError in test_wording.py, line \d+", caplog.text)


def test_an_essay_that_would_hold_up_others_is_refused():
    check_length("a" * MAX_LETTERS)
    with pytest.raises(InputError, match="2,000,001 letters, and this page takes at most 2,000,000"):
        check_length("a" * (MAX_LETTERS + 1))
