"""Values worked out by hand."""

import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from transformers import EvalPrediction

from trm_aes.evaluation.agreement import (
    build_compute_metrics,
    kappa_of_numbers,
    mean_over_prompts,
    metrics_by_prompt,
    pearson,
    quadratic_weighted_kappa,
    rater_agreement,
    score_metrics,
    standardized_mean_difference,
)
from trm_aes.model.score_scale import ScoreRange


def test_qwk_by_hand():
    # Disagreement, squared and summed: one pair off by 1 -> 1. By chance: pairs of marginals (1,2,3) x (1,2,2), each
    # of weight 1/3: (0+1+1 + 1+0+0 + 4+1+1)/3 = 3. Kappa = 1 - 1/3.
    assert quadratic_weighted_kappa([1, 2, 3], [1, 2, 2], 1, 3) == pytest.approx(2 / 3)


def test_qwk_counts_the_whole_range():
    # Nobody got a 2. By position among the labels that occur (1, 3, 4), the error of 2 between 1 and 3 would shrink to 1.
    references, predictions = [1, 3, 4, 1], [3, 3, 4, 1]
    # Observed 4; by chance (4+4+9+0 + 0+0+1+4 + 1+1+0+9 + 4+4+9+0) / 4 = 50/4.
    assert quadratic_weighted_kappa(references, predictions, 1, 4) == pytest.approx(1 - 4 / 12.5)


def test_qwk_of_disagreement_is_negative():
    assert quadratic_weighted_kappa([0, 1], [1, 0], 0, 1) == pytest.approx(-1)


def test_qwk_edge_cases():
    assert quadratic_weighted_kappa([2, 2, 2], [2, 2, 2], 1, 3) == 1.0
    assert quadratic_weighted_kappa([1, 2, 3], [2, 2, 2], 1, 3) == 0.0
    assert quadratic_weighted_kappa([2, 2], [3, 3], 1, 3) == 0.0
    assert math.isnan(quadratic_weighted_kappa([], [], 1, 3))


def test_rater_agreement():
    assert rater_agreement([1, 2, 3, 4], [1, 2, 3, 4]) == 1
    # Swapped ends, whatever lies between them.
    assert rater_agreement([1, 6], [6, 1]) == pytest.approx(-1)
    # Only essays that both have rated count: as worked out above, on another scale.
    assert rater_agreement([11, 12, 13, math.nan], [11, 12, 12, 13]) == pytest.approx(2 / 3)
    assert rater_agreement([math.nan], [1]) is None
    # Half points, worked out as above: observed 0.25, by chance (0.25 + 1 + 0 + 0.25) / 2 = 0.75.
    assert rater_agreement([1.5, 2], [1, 2]) == pytest.approx(1 - 0.25 / 0.75)


def test_smd_and_pearson_edge_cases():
    assert standardized_mean_difference(np.array([1, 3]), np.array([2, 4])) == pytest.approx(1 / math.sqrt(2))
    assert standardized_mean_difference(np.array([2, 2]), np.array([2, 2])) == 0
    assert math.isnan(standardized_mean_difference(np.array([2, 2]), np.array([3, 3])))
    assert pearson(np.array([1, 2, 3]), np.array([2, 2, 2])) == 0
    assert pearson(np.array([1, 2, 3]), np.array([6, 4, 2])) == pytest.approx(-1)


def test_predictions_are_rounded_half_up_and_clipped():
    metrics = score_metrics(np.array([1, 2, 3, 4]), np.array([-7.0, 2.5, 3.49, 9.0]), ScoreRange(1, 4))
    # 1, 3, 3, 4 against 1, 2, 3, 4
    assert metrics["accuracy"] == 0.75
    assert metrics["adjacent_agreement"] == 1.0
    assert metrics["mae"] == 0.25
    assert metrics["rmse"] == 0.5


def test_prompts_are_measured_on_their_own_range_and_averaged():
    ranges = {"1": ScoreRange(0, 1), "7": ScoreRange(0, 30)}
    by_prompt = metrics_by_prompt(["1", "1", "7", "7"], [0, 1, 0, 30], [0, 1, 15, 15], ranges)
    assert by_prompt["1"]["qwk"] == 1 and by_prompt["7"]["qwk"] == 0
    assert mean_over_prompts(by_prompt)["mean_qwk"] == 0.5


def test_compute_metrics_maps_back_to_each_prompts_range():
    compute = build_compute_metrics(["a", "b", "a", "b"], {"a": ScoreRange(0, 4), "b": ScoreRange(2, 12)})
    metrics = compute(
        EvalPrediction(predictions=np.array([[0.0], [0.5], [1.0], [1.2]]), label_ids=np.array([0, 0, 1, 1.0]))
    )
    assert metrics["prompt_a_qwk"] == 1
    assert metrics["prompt_b_mae"] == 2.5
    assert metrics["mean_mae"] == 1.25
    with pytest.raises(ValueError, match="4 essays"):
        compute(EvalPrediction(predictions=np.zeros((3, 1)), label_ids=np.zeros(3)))


def test_weighted_essays_count_as_often_as_they_would_repeated():
    gold, predicted, weights = [0, 1, 2, 3, 1], [0, 2, 2, 2, 1], [2, 0, 1, 3, 1]
    repeated = [np.repeat(values, weights) for values in (gold, predicted)]
    assert quadratic_weighted_kappa(gold, predicted, 0, 3, weights) == pytest.approx(
        quadratic_weighted_kappa(*repeated, 0, 3)
    )


def test_half_points_are_measured_in_half_points():
    scale = ScoreRange(4, 9, 0.5)
    gold, predicted = np.array([6.5, 5.5, 4.5, 7]), np.array([6.4, 5.6, 4.4, 7])
    metrics = score_metrics(gold, predicted, scale)
    assert (metrics["accuracy"], metrics["qwk"], metrics["rmse"], metrics["pearson"]) == pytest.approx((1, 1, 0, 1))
    assert metrics["rmse_continuous"] == pytest.approx(math.sqrt(0.03 / 4))
    assert metrics["pearson_continuous"] == pytest.approx(np.corrcoef(gold, predicted)[0, 1])
    # Half a point off is one step off, a whole point two; errors stay in points.
    metrics = score_metrics(gold, gold + [0.5, -0.5, 1, 0], scale)
    assert (metrics["accuracy"], metrics["adjacent_agreement"]) == (0.25, 0.75)
    assert metrics["mae"] == pytest.approx(0.5)
    # The same essays on a scale of whole points have the same kappa, by scikit-learn.
    doubled = score_metrics(2 * gold, 2 * (gold + [0.5, -0.5, 1, 0]), ScoreRange(8, 18))
    assert metrics["qwk"] == pytest.approx(doubled["qwk"])
    assert doubled["qwk"] == pytest.approx(
        cohen_kappa_score(2 * gold, 2 * gold + [1, -1, 2, 0], labels=range(8, 19), weights="quadratic")
    )


def test_kappa_of_numbers_is_kappa_where_they_are_scores():
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 5, 200)
    predicted = np.clip(gold + rng.normal(0, 1, 200), 0, 4)
    rounded = np.floor(predicted + 0.5).astype(int)
    expected = cohen_kappa_score(gold, rounded, weights="quadratic")
    assert kappa_of_numbers(gold, rounded) == pytest.approx(expected)
    # By hand: means 1.5 and 2, variances 0.25 and 1, covariance 0.5.
    assert kappa_of_numbers([1, 2], [1, 3]) == pytest.approx(2 * 0.5 / (0.25 + 1 + 0.25))
    metrics = score_metrics(gold, predicted, ScoreRange(0, 4))
    assert metrics["qwk"] == pytest.approx(expected)
    assert metrics["qwk_continuous"] == pytest.approx(kappa_of_numbers(gold, predicted)) != metrics["qwk"]
    assert kappa_of_numbers([0.1] * 3, [0.1] * 3) == 1 and kappa_of_numbers([1, 2], [2, 2]) == 0


def test_a_scale_of_a_million_steps_is_measured():
    scale = ScoreRange(0, 1_000_000)
    gold = np.array([0, 250_000, 1_000_000])
    assert score_metrics(gold, gold + [1, 0, 0], scale)["adjacent_agreement"] == 1
    assert 0.99 < score_metrics(gold, gold + [5_000, 0, 0], scale)["qwk"] < 1


@pytest.mark.parametrize(("references", "predictions"), [([1.5], [1]), ([1], [4]), ([0], [1]), ([1], [math.nan])])
def test_qwk_takes_scores_of_the_scale_alone(references, predictions):
    with pytest.raises(ValueError, match="not on the scale 1 to 3"):
        quadratic_weighted_kappa(references, predictions, 1, 3)
