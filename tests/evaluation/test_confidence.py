"""Reliability, coverage, and the section of a report that is made of both and of the review curve."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as log_loss_of_sklearn

from trm_aes.evaluation.bootstrap import draw_times
from trm_aes.evaluation.confidence import confidence_section
from trm_aes.evaluation.coverage import set_coverage
from trm_aes.evaluation.reliability import brier_score, expected_calibration_error, log_loss, reliability_bins
from trm_aes.model.score_scale import ScoreRange


@pytest.fixture(scope="module")
def outcomes():
    """Confidences that are too high by a tenth."""
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.2, 1, 1000)
    return confidence, rng.random(1000) < confidence - 0.1


def test_the_curve_is_scikit_learns(outcomes):
    bins = reliability_bins(*outcomes)
    shares, confidences = calibration_curve(outcomes[1], outcomes[0], n_bins=10, strategy="quantile")
    np.testing.assert_allclose([part.share_right.value for part in bins], shares)
    np.testing.assert_allclose([part.mean_confidence for part in bins], confidences)
    assert [part.n for part in bins] == [100] * 10
    assert all(part.share_right.low < part.share_right.value < part.share_right.high for part in bins)


def test_losses_are_scikit_learns_and_the_error_of_calibration_is_the_shift(outcomes):
    confidence, is_right = outcomes
    times = draw_times(1000)
    brier, loss = brier_score(confidence, is_right, times), log_loss(confidence, is_right, times)
    assert brier.value == pytest.approx(brier_score_loss(is_right, confidence))
    assert loss.value == pytest.approx(log_loss_of_sklearn(is_right, confidence))
    assert brier.low < brier.value < brier.high and loss.low < loss.value < loss.high
    ece = expected_calibration_error(confidence, is_right, times)
    assert ece.value == pytest.approx(0.1, abs=0.03) and ece.low <= ece.value <= ece.high
    # As written out over the bins.
    shares, confidences = calibration_curve(is_right, confidence, n_bins=10, strategy="quantile")
    assert ece.value == pytest.approx(np.abs(shares - confidences).mean())


def test_an_error_of_calibration_by_hand():
    confidence, is_right = np.array([0.2, 0.6, 0.9]), np.array([False, True, True])
    ece = expected_calibration_error(confidence, is_right, np.ones((1, 3)))
    assert ece.value == pytest.approx((0.2 + 0.4 + 0.1) / 3) and ece.low is None


def test_coverage_and_widths_by_hand():
    ranges = {"10": ScoreRange(4, 9, 0.5), "2": ScoreRange(0, 4)}
    prompt_ids, gold = np.array(["10", "2", "2", "10"], dtype=object), np.array([6.5, 1, 3, 4])
    sets = np.array([[6, 6.5], [0, 4], [1, 2], [4, 5.5]])
    every, two, ten = set_coverage(prompt_ids, gold, sets, ranges, 0.9)
    assert (every.prompt_id, two.prompt_id, ten.prompt_id) == ("all prompts", "2", "10")
    assert (every.n, every.coverage.value, every.level) == (4, 0.75, 0.9)
    assert two.coverage.value == 0.5 and (two.mean_steps, two.mean_share) == (2.5, pytest.approx(2.5 / 4))
    assert ten.coverage.value == 1 and (ten.mean_steps, ten.mean_share) == (2, pytest.approx(0.2))
    assert ten.coverage.low < 1


RANGES = {"a": ScoreRange(0, 5), "b": ScoreRange.of_labels(["A1", "A2", "B1", "B2"])}


def some_predictions(num_essays=200):
    rng = np.random.default_rng(2)
    ids = np.array(["a", "b"] * (num_essays // 2) + ["a"] * (num_essays % 2))
    gold = np.where(ids == "a", rng.integers(0, 6, num_essays), rng.integers(1, 5, num_essays)).astype(float)
    spread = rng.uniform(0.1, 1.2, num_essays)
    predicted = np.array(
        [
            RANGES[i].clip(g + s * e)
            for i, g, s, e in zip(ids, gold, spread, rng.standard_normal(num_essays), strict=True)
        ]
    )
    frame = pd.DataFrame(
        {"prompt_id": ids, "score": gold, "predicted_score": predicted, "confidence": 1 / (1 + spread)}
    )
    frame["predicted_error"] = spread
    for low, high in (("score_low", "score_high"), ("score_low_95", "score_high_95")):
        ends = [RANGES[i].ends(-np.inf, np.inf, 0) for i in ids]
        frame[low] = [RANGES[i].shown(end[0]) for i, end in zip(ids, ends, strict=True)]
        frame[high] = [RANGES[i].shown(end[1]) for i, end in zip(ids, ends, strict=True)]
    return frame


def test_a_section_says_all_that_is_known():
    section = confidence_section(some_predictions(), RANGES, seed=3)
    assert [route.name for route in section.routes] == ["predicted error", "confidence", "random", "oracle"]
    # Both doubts rise with the spread, so they release the same essays.
    assert section.routes[0].area.value == pytest.approx(section.routes[1].area.value)
    assert [(part.prompt_id, part.level) for part in section.sets] == [
        (prompt_id, level) for level in (0.9, 0.95) for prompt_id in ("all prompts", "a", "b")
    ]
    assert {part.coverage.value for part in section.sets} == {1.0}
    assert [part.mean_steps for part in section.sets[1:3]] == [5, 3]
    assert section == confidence_section(some_predictions(), RANGES, seed=3)
    assert section != confidence_section(some_predictions(), RANGES, seed=4)


def test_the_way_in_which_the_scorer_chooses_comes_first():
    section = confidence_section(some_predictions(), RANGES, review_by="confidence")
    assert [route.name for route in section.routes] == ["confidence", "predicted error", "random", "oracle"]


def test_a_scorer_without_an_error_model_is_measured_by_its_confidence_alone():
    frame = some_predictions().assign(predicted_error=None, score_low=None)
    section = confidence_section(frame.drop(columns="score_high_95"), RANGES)
    assert [route.name for route in section.routes] == ["confidence", "random", "oracle"]
    assert section.sets == []


@pytest.mark.parametrize("num_essays", [1, 2, 9])
def test_few_essays_give_no_number_that_is_not_finite(num_essays):
    section = confidence_section(some_predictions(num_essays), RANGES)
    json.dumps(dataclasses.asdict(section), allow_nan=False)
    assert sum(part.n for part in section.reliability) == num_essays
    # One essay is the same however often it is drawn.
    assert (section.brier.low is None) == (num_essays < 3)


def test_one_score_throughout_has_no_qwk():
    frame = some_predictions(60).assign(score=2.0, predicted_score=2.0)
    section = confidence_section(frame, RANGES)
    assert {point.qwk for route in section.routes for point in route.points} == {None}
    assert {route.area.value for route in section.routes} == {1.0}
