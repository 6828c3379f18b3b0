"""Fairness between groups: small cases by hand, and how often bias is found that is there, and that is not."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_ind

from trm_aes.evaluation.bootstrap import draw_times
from trm_aes.evaluation.fairness import (
    EMPTY,
    GroupTest,
    adjust,
    comparable_scores,
    group_measures,
    group_sizes,
    group_tests,
    named_groups,
)
from trm_aes.evaluation.measures import PromptScores
from trm_aes.model.score_scale import ScoreRange

SCALE = ScoreRange(0, 10)


def scores_of(gold, predicted):
    return PromptScores(SCALE, np.array(gold, float), np.array(predicted, float))


def test_smd_and_dsm_of_a_group_by_hand():
    # Human scores 1 2 3 4 (mean 2.5, SD sqrt(5/3)); predicted 2 2 4 8 (mean 4, SD sqrt(24/3)). The group of the first two:
    # errors 1 and 0; standardized means (2 - 4) / sqrt(8) and (1.5 - 2.5) / sqrt(5/3).
    frame = comparable_scores([scores_of([1, 2, 3, 4], [2, 2, 4, 8])])
    found = group_measures(frame, np.array([True, True, False, False]), np.ones((1, 4)))
    assert found["smd"] == pytest.approx([0.5 / (5 / 3) ** 0.5])
    assert found["dsm"] == pytest.approx([-2 / 8**0.5 + 1 / (5 / 3) ** 0.5])


def test_prompts_are_standardized_one_by_one_and_those_that_do_not_vary_are_left_out():
    one, other = ([1, 2, 3, 4], [2, 2, 4, 8]), ([10, 5, 0], [9, 5, 2])
    both = comparable_scores([scores_of(*one), scores_of([5, 5], [4, 6]), scores_of(*other)])
    alone = [comparable_scores([scores_of(*scores)]) for scores in (one, other)]
    pd.testing.assert_frame_equal(both.iloc[:4, 1:], alone[0].iloc[:, 1:])
    pd.testing.assert_frame_equal(both.iloc[6:, 1:].reset_index(drop=True), alone[1].iloc[:, 1:])
    assert both["difference"].iloc[4:6].isna().all() and both["level"].nunique() == 8
    members = np.array([True] * 9)
    assert np.isfinite(group_measures(both, members, np.ones((1, 9)))["dsm"]).all()
    assert comparable_scores([scores_of([5, 5], [4, 6])]) is None


def test_two_groups_differ_as_a_t_test_says():
    rng = np.random.default_rng(0)
    gold = rng.integers(2, 9, 60).astype(float)
    frame = comparable_scores([scores_of(gold, (gold + rng.normal(0, 1, 60)).clip(0, 10))])
    groups = np.array(["x"] * 40 + ["y"] * 20, dtype=object)
    found, errors = group_tests(frame, groups, "x"), frame["error"].to_numpy()
    for name, values in (("osd", errors), ("osa", errors**2)):
        t = ttest_ind(values[:40], values[40:])
        assert found[name].p == pytest.approx(t.pvalue)
        r2 = t.statistic**2 / (t.statistic**2 + 58)
        assert found[name].r2 == pytest.approx(1 - (1 - r2) * 59 / 58)


def test_bias_that_the_human_score_explains_is_not_conditional():
    # All essays of score 2 get 4, whoever wrote them; one group has more of these.
    gold = np.array([2.0] * 30 + [6.0] * 30)
    predicted = np.where(gold == 2, 4.0, 6.0) + np.tile([-0.5, 0, 0.5], 20)
    groups = np.array(["x"] * 20 + ["y"] * 10 + ["x"] * 10 + ["y"] * 20, dtype=object)
    found = group_tests(comparable_scores([scores_of(gold, predicted)]), groups, "x")
    assert found["osd"].p < 0.05 < found["csd"].p


def test_tests_that_the_essays_do_not_allow_are_left_out():
    groups = np.array(["x", "x", "y", "y"], dtype=object)
    alike = comparable_scores([scores_of([1, 2, 3, 4], [2, 3, 4, 5])])
    assert group_tests(alike, groups, "x") == {}
    # A level of score for each essay leaves nothing over to judge by.
    every = comparable_scores([scores_of([1, 2, 3, 4], [2, 2, 4, 8])])
    assert set(group_tests(every, groups, "x")) == {"osa", "osd"}
    assert group_tests(every, np.array(["x"] * 4, dtype=object), "x") == {}


def test_holm_over_all_columns_by_hand():
    # In ascending order: 3 * 0.01, then 2 * 0.02 = 0.04, then 0.03, which must not be below the one before it.
    adjusted = adjust(
        [{"osa": GroupTest(0.1, 0.02, 0.02), "osd": GroupTest(0.1, 0.01, 0.01)}, {"osa": GroupTest(0, 0.03, 0.03)}]
    )
    assert [
        adjusted[0]["osd"].p_adjusted,
        adjusted[0]["osa"].p_adjusted,
        adjusted[1]["osa"].p_adjusted,
    ] == pytest.approx([0.03, 0.04, 0.04])
    assert adjust([{}, {}]) == [{}, {}]


def test_groups_are_named_as_they_stand_and_blank_cells_are_a_group():
    groups = named_groups(["b", " b ", None, float("nan"), "", 7, "a"])
    assert groups.tolist() == ["b", "b", EMPTY, EMPTY, EMPTY, "7", "a"]
    assert group_sizes(groups) == {EMPTY: 3, "b": 2, "7": 1, "a": 1}
    assert list(group_sizes(groups)) == [EMPTY, "b", "7", "a"]


def simulated(rng, bias, number=300):
    """Two prompts whose scorer is off by noise, and by `bias` standard deviations for group y."""
    groups = rng.choice(["x", "y"], 2 * number).astype(object)
    prompts = []
    for of_prompt in (groups[:number], groups[number:]):
        true = rng.normal(5, 1.5, number)
        gold = SCALE.round(true + rng.normal(0, 0.7, number))
        predicted = SCALE.clip(true + rng.normal(0, 0.7, number) + bias * gold.std() * (of_prompt == "y"))
        prompts.append(PromptScores(SCALE, gold, predicted))
    return comparable_scores(prompts), groups


def is_flagged(rng, bias):
    frame, groups = simulated(rng, bias)
    found = group_tests(frame, groups, "x")
    # Holm's smallest p, without the library's garbage collection at each call, which takes most of the time here.
    return len(found) * min(test.p for test in found.values()) < 0.05


def test_planted_bias_is_found_and_none_is_found_where_there_is_none():
    rng = np.random.default_rng(0)
    # The stated rate: 5 % over the tests together. With 100 draws more than 10 would be a chance of 1 in 100.
    assert sum(is_flagged(rng, bias=0) for _ in range(100)) <= 10
    assert sum(is_flagged(rng, bias=0.25) for _ in range(20)) >= 19


def test_the_interval_of_a_planted_bias_holds_it():
    frame, groups = simulated(np.random.default_rng(1), bias=0.3)
    times = np.hstack([draw_times(300, [0, place]) for place in (0, 1)])
    differences = [group_measures(frame, groups == name, times)["smd"] for name in ("y", "x")]
    low, high = np.percentile((differences[0] - differences[1])[1:], [2.5, 97.5])
    assert 0 < low < 0.3 < high
