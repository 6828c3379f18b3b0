"""Scales of any step: exact on their grid, there and back; what people write is read, and nothing else."""

import json
import math
from decimal import Decimal

import numpy as np
import pytest
from helpers import small_config
from hypothesis import given, settings
from hypothesis import strategies as st

from trm_aes import TRMConfig
from trm_aes.model.score_scale import MAX_DECIMALS, ScoreRange, by_prompt

CEFR = ScoreRange.of_labels(["A1", "A2", "B1", "B2", "C1", "C2"])


@st.composite
def scales(draw):
    """A scale, and its scores worked out in decimals, up to a few hundred of them."""
    exponent = draw(st.integers(-MAX_DECIMALS, 2))
    step = draw(st.integers(1, 999)) * Decimal(10) ** exponent
    lowest = draw(st.integers(-10_000, 10_000)) * Decimal(10) ** exponent
    number = draw(st.integers(1, 300))
    scores = [lowest + place * step for place in range(number + 1)]
    return ScoreRange(float(lowest), float(scores[-1]), float(step)), [float(score) for score in scores]


@settings(deadline=None)
@given(scales())
def test_score_to_unit_scale_to_score_is_the_identity_on_the_grid(drawn):
    scale, scores = drawn
    normalized = scale.normalize(scores)
    assert normalized[0] == 0 and normalized[-1] == 1 and (np.diff(normalized) > 0).all()
    assert scale.round(scale.denormalize(normalized)).tolist() == scores
    # As a batch holds labels.
    assert scale.round(scale.denormalize(normalized.astype(np.float32))).tolist() == scores
    assert scale.steps(scores).tolist() == list(range(len(scores))) and scale.num_steps == len(scores) - 1
    assert scale.holds(scores).all()


@settings(deadline=None)
@given(scales(), st.data())
def test_what_people_see_is_read_back(drawn, data):
    scale, scores = drawn
    score = data.draw(st.sampled_from(scores))
    assert scale.parse(scale.format(score)) == scale.parse(scale.shown(score)) == score
    assert ScoreRange.from_list(json.loads(json.dumps(scale.to_list()))) == scale


@settings(deadline=None)
@given(scales(), st.floats(-1e6, 1e6))
def test_rounding_gives_the_nearest_score(drawn, number):
    scale, scores = drawn
    nearest = min(abs(number - score) for score in scores)
    assert abs(number - float(scale.round(number))) == pytest.approx(nearest, abs=1e-9)


def test_tenths_do_not_drift():
    tenths = ScoreRange(0, 1, 0.1)
    assert tenths.round([0.29, 0.1 + 0.2, 0.7]).tolist() == [0.3, 0.3, 0.7]
    assert tenths.holds([0.3, 0.1 + 0.2]).tolist() == [True, False]


def test_halves_between_two_scores_go_up():
    assert ScoreRange(0, 4).round([0.5, 1.5, 2.5]).tolist() == [1, 2, 3]
    assert ScoreRange(4, 9, 0.5).round([4.25, 4.2, 8.75, -3, 12]).tolist() == [4.5, 4, 9, 4, 9]
    # Not where 0.15 lies as a float, but where people see it.
    assert ScoreRange(0, 1, 0.1).round([0.15, 0.25]).tolist() == [0.2, 0.3]


def test_scores_are_shown_as_people_write_them():
    bands = ScoreRange(4, 9, 0.5)
    assert [bands.format(score) for score in (6.5, 7.0, 6.3)] == ["6.5", "7", "6.5"]
    assert isinstance(bands.shown(7.0), int) and isinstance(bands.shown(6.5), float)
    assert [CEFR.format(score) for score in (1, 3.6, 6)] == ["A1", "B2", "C2"]
    assert [str(scale) for scale in (ScoreRange(1, 6), bands, CEFR)] == ["1 to 6", "4 to 9 by 0.5", "A1 to C2"]


def test_labels_count_from_one():
    assert CEFR.parse("B2") == 4 and CEFR.num_steps == 5
    assert CEFR.normalize([1, 6]).tolist() == [0, 1]
    # What a table holds as a number.
    assert ScoreRange.of_labels(["10", "20", "40"]).parse(20.0) == 2
    assert ScoreRange.from_list(["F", "D", "C", "B", "A"]).parse(" A ") == 5


@pytest.mark.parametrize(
    ("scale", "value", "message"),
    [
        (ScoreRange(4, 9, 0.5), "6.3", "6.3 is not on the scale 4 to 9 by 0.5"),
        (ScoreRange(4, 9, 0.5), 9.5, "9.5 is not on the scale"),
        (ScoreRange(4, 9, 0.5), math.nan, "nan is not on the scale"),
        (ScoreRange(4, 9, 0.5), "inf", "inf is not on the scale"),
        (ScoreRange(1, 10), "1_0", "'1_0' is not a number"),
        (ScoreRange(0, 1), True, "'True' is not a number"),
        (ScoreRange(0, 1), None, "'None' is not a number"),
        (ScoreRange(0, 1), "6,5", "'6,5' is not a number"),
        (CEFR, "B3", "'B3' is none of the labels A1, A2, B1, B2, C1, C2"),
        (CEFR, "b2", "'b2' is none of the labels"),
        (CEFR, 4, "'4' is none of the labels"),
    ],
)
def test_what_is_no_score_is_refused(scale, value, message):
    with pytest.raises(ValueError, match=message):
        scale.parse(value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([5, 5], "5 is not above 5"),
        ([1, 5, 0.3], "1 to 5 is no whole number of steps of 0.3"),
        ([1, 4.5], "1 to 4.5 is no whole number of steps of 1"),
        ([1, 5, 0], "a step must be above 0, not 0"),
        ([1, 5, -1], "a step must be above 0, not -1"),
        ([0, math.inf], "inf is no size that scores have"),
        ([math.nan, 1], "nan is no size that scores have"),
        ([0, 1, 1e-7], "1e-07 has more than 6 decimals"),
        ([0, 1e12], "is no size that scores have"),
        ([1], "a scale is"),
        ([1, 2, 1, 1], "a scale is"),
        ([], "a scale is"),
        ([1, "A"], "a scale is"),
        (["A"], "at least two"),
        (["A", "A"], "all different"),
        (["A", " "], "none blank"),
        (["A", "B,C"], "without commas"),
    ],
)
def test_what_is_no_scale_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        ScoreRange.from_list(values)
    # And in a configuration, which also may check the types itself.
    with pytest.raises(Exception, match="score_ranges"):
        small_config(score_ranges={"1": values})


def test_a_configuration_of_whole_points_is_saved_as_it_always_was(tmp_path):
    ranges = {"1": [2, 12], "2": [1, 5, 0.5], "3": list(CEFR.labels)}
    small_config(score_ranges=ranges).save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["score_ranges"]
    assert saved == ranges == TRMConfig.from_pretrained(tmp_path).score_ranges
    assert ScoreRange(2.0, 12.0).to_list() == [2, 12]


def test_each_essay_has_its_prompts_scale():
    ranges = {"a": ScoreRange(0, 4), "b": ScoreRange(1, 5, 0.5), "c": CEFR}
    rounded = by_prompt(ScoreRange.round, [2.4, 2.4, 2.4, 2.8, 9], ["a", "b", "c", "b", "a"], ranges)
    assert rounded.tolist() == [2, 2.5, 2, 3, 4]
    with pytest.raises(ValueError, match="1 values for the prompts of 2 essays"):
        by_prompt(ScoreRange.round, [1], ["a", "b"], ranges)


@pytest.mark.parametrize(
    ("scale", "interval", "score", "ends"),
    [
        # The scores that lie in the interval, on the 0-1 scale.
        (ScoreRange(0, 4), (0.2, 0.8), 2.1, (1, 3)),
        # Its ends, to the last digit of a float.
        (ScoreRange(0, 10), (0.1 + 0.2, 0.7 - 0.1), 4.6, (3, 6)),
        # None lies in it: the rounded score is always in the set.
        (ScoreRange(0, 4), (0.6, 0.65), 2.4, (2, 2)),
        (ScoreRange(4, 9, 0.5), (-1.0, 0.31), 4.3, (4, 5.5)),
        (CEFR, (-np.inf, np.inf), 3.2, (1, 6)),
    ],
)
def test_a_set_holds_the_scores_in_an_interval(scale, interval, score, ends):
    assert scale.ends(*interval, score) == ends
