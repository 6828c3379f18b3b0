"""Agreement with the true score: small cases by hand, and the estimators written out as loops."""

import numpy as np
import pytest

from trm_aes.evaluation.bootstrap import draw_times
from trm_aes.evaluation.raters import rater_pairs
from trm_aes.evaluation.true_score import LabelRule, disattenuated, find_label_rule, label_noise_ceiling, prmse
from trm_aes.model.score_scale import ScoreRange

NAN = float("nan")
SCALE = ScoreRange(1, 12)
ONCE = np.ones((1, 4))
RATINGS = np.array([[1, 1], [2, 2], [3, 3], [2, 4]], dtype=float)


def test_prmse_by_hand():
    # Error variance: (2 - 4)^2 / (2 * 4) = 0.5. Means 1, 2, 3, 3, in all 2.25: between 2 * 2.75 = 5.5; true variance
    # (5.5 - 3 * 0.5) / (8 - 16 / 8) = 2/3. The first predictions are off by 1 once: (2 * 1 - 4 * 0.5) / 8 = 0; the second
    # twice: (2 * 2 - 4 * 0.5) / 8 = 1/4, and 1 - (1/4) / (2/3) = 5/8.
    assert prmse(np.array([1.0, 2, 3, 2]), RATINGS, ONCE) == pytest.approx([1.0])
    assert prmse(np.array([1.0, 2, 2, 2]), RATINGS, ONCE) == pytest.approx([0.625])


def prmse_by_loops(predictions, ratings):
    rated = [[r for r in row if np.isfinite(r)] for row in ratings]
    essays = [(m, row) for m, row in zip(predictions, rated, strict=True) if row]
    several = [row for _, row in essays if len(row) > 1]
    error = sum(np.var(row, ddof=1) * (len(row) - 1) for row in several) / sum(len(row) - 1 for row in several)
    num = sum(len(row) for _, row in essays)
    center = sum(sum(row) for _, row in essays) / num
    between = sum(len(row) * (np.mean(row) - center) ** 2 for _, row in essays)
    true = (between - (len(essays) - 1) * error) / (num - sum(len(row) ** 2 for _, row in essays) / num)
    mse = (sum(len(row) * (np.mean(row) - m) ** 2 for m, row in essays) - len(essays) * error) / num
    return 1 - mse / true


def test_prmse_with_gaps_in_every_sample():
    rng = np.random.default_rng(0)
    true = rng.normal(3, 1, 30)
    ratings = np.round(true[:, None] + rng.normal(0, 0.6, (30, 3)))
    ratings[rng.random((30, 3)) < 0.3] = NAN
    # Nobody rated this essay.
    ratings[7] = NAN
    predictions, times = true + rng.normal(0, 0.5, 30), draw_times(30, seed=1, draws=5)
    expected = [
        prmse_by_loops(np.repeat(predictions, n.astype(int)), np.repeat(ratings, n.astype(int), axis=0)) for n in times
    ]
    assert prmse(predictions, ratings, times) == pytest.approx(expected)


@pytest.mark.parametrize(
    "ratings", [np.array([[1, NAN]] * 4), np.full((4, 2), NAN), np.empty((4, 0)), np.full((4, 2), 3.0)]
)
def test_prmse_takes_two_ratings_and_scores_that_vary(ratings):
    assert np.isnan(prmse(np.array([1.0, 2, 3, 4]), ratings, ONCE)).all()


def rated(number=200, raters=2, seed=0):
    rng = np.random.default_rng(seed)
    return np.clip(np.round(rng.normal(3.5, 1, (number, 1)) + rng.normal(0, 0.7, (number, raters))), 1, 6)


@pytest.mark.parametrize(
    "label, name, divisor",
    [
        (lambda r: r.sum(axis=1), "sum", 2),
        (lambda r: r[:, 1], "one", 1),
        (lambda r: r.max(axis=1), "higher", 1),
        (lambda r: np.floor(r.mean(axis=1) + 0.5), "mean", 1),
        (lambda r: np.ceil(r.mean(axis=1) - 0.5), "mean", 1),
    ],
)
def test_how_labels_follow_from_ratings_is_found_out(label, name, divisor):
    ratings = rated()
    rule = find_label_rule(label(ratings), ratings, SCALE)
    assert (rule.name, rule.num_ratings, rule.divisor) == (name, 2, divisor)


def test_sums_of_tenths_are_found_out():
    ratings = rated() / 10
    scale = ScoreRange(0.2, 1.2, 0.1)
    labels = scale.round(ratings.sum(axis=1))
    assert (labels != ratings.sum(axis=1)).any()
    assert find_label_rule(labels, ratings, scale) == LabelRule("sum", 2)


def test_a_third_rating_that_settles_disputes_does_not_hide_the_rule():
    ratings = np.column_stack([rated(), np.full(200, NAN)])
    labels = np.nansum(ratings, axis=1)
    disputed = np.abs(ratings[:, 0] - ratings[:, 1]) > 1
    assert 0.05 < disputed.mean() < 0.4
    ratings[disputed, 2], labels[disputed] = 3, 6
    assert find_label_rule(labels, ratings, SCALE) == LabelRule("sum", 2)


def test_disputes_settled_by_a_rater_who_is_not_in_the_data_do_not_hide_the_rule():
    ratings = rated()
    labels = ratings.sum(axis=1)
    labels[:40] = 2
    assert find_label_rule(labels, ratings, SCALE) == LabelRule("sum", 2)
    labels[:60] = 2
    assert find_label_rule(labels, ratings, SCALE) is None


def test_raters_who_differ_by_one_step_alone_tell_the_higher_from_the_lower():
    low = rated(raters=1)[:, 0].clip(1, 5)
    ratings = np.column_stack([low, low + np.tile([0, 1], 100)])
    ratings[::3] = ratings[::3, ::-1]
    assert find_label_rule(ratings.max(axis=1), ratings, SCALE).name == "higher"
    assert find_label_rule(ratings.min(axis=1), ratings, SCALE).name == "mean"


def test_labels_of_another_scale_follow_no_rule():
    ratings = rated()
    assert find_label_rule(10 * ratings[:, 0] + 3, ratings, SCALE) is None
    assert find_label_rule(ratings[:, 0], np.full((200, 2), NAN), SCALE) is None
    only_one = np.column_stack([ratings[:, 0], np.full(200, NAN)])
    assert find_label_rule(ratings[:, 0], only_one, SCALE) is None


def test_reliability_ceiling_and_disattenuated_r_by_hand():
    # Two ratings of reliability 0.6: 1.2 / 1.6 = 0.75.
    assert LabelRule("sum", 2).reliability(0.6) == pytest.approx(0.75) == LabelRule("mean", 2).reliability(0.6)
    assert LabelRule("higher", 2).reliability(0.6) == LabelRule("one", 2).reliability(0.6) == 0.6
    assert label_noise_ceiling(0.6, LabelRule("sum", 2)) == pytest.approx(0.75**0.5)
    r, rater_r = np.array([0.72, 0.5]), np.array([0.81, -0.1])
    assert disattenuated(r, rater_r, LabelRule("one", 2)) == pytest.approx([0.8, NAN], nan_ok=True)


def test_pairs_of_raters_by_hand_over_the_essays_that_both_rated():
    ratings = np.array([[1, 1, NAN], [2, 3, NAN], [4, 2, NAN], [3, 3, 3], [NAN, 4, NAN]])
    first, *others = rater_pairs(ratings, ["a", "b", "c"], np.ones((1, 5)))
    assert [(pair.first, pair.second, pair.n) for pair in (first, *others)] == [
        ("a", "b", 4),
        ("a", "c", 1),
        ("b", "c", 1),
    ]
    # Ratings 1 2 4 3 and 1 3 2 3: means 2.5 and 2.25, squared errors 0 1 4 0; variances (ddof 1) 5/3 and 11/12.
    # QWK: 1 - 5 / (30 + 23 - 2 * 10 * 9 / 4) = 1 - 5/8. Covariance 3 / 3 - ... : deviations -1.5 -.5 1.5 .5 and
    # -1.25 .75 -.25 .75 give 1.875 - .375 - .375 + .375 = 1.5.
    found = {name: values[0] for name, values in first.measures.items()}
    assert found["exact"] == 0.5 and found["adjacent"] == 0.75
    assert found["qwk"] == pytest.approx(1 - 5 / 8)
    assert found["pearson"] == pytest.approx(1.5 / (5 * 2.75) ** 0.5)
    assert found["smd"] == pytest.approx(-0.25 / ((5 / 3 + 11 / 12) / 2) ** 0.5)
    # One essay: nothing varies.
    assert np.isnan(others[0].measures["qwk"]).all() and others[0].measures["exact"] == [1.0]


def test_steps_between_ratings_are_those_that_occur():
    ratings = np.array([[4.0, 4.5], [5.0, 6.0], [6.5, 6.5], [7.0, 6.5]])
    [pair] = rater_pairs(ratings, ["a", "b"], np.ones((1, 4)))
    assert pair.measures["adjacent"] == [0.75]
