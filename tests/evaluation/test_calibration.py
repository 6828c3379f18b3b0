"""Calibration: scores whose mean and spread are made those of the gold scores, prompt by prompt."""

import numpy as np
import pytest

from trm_aes.evaluation.agreement import metrics_by_prompt
from trm_aes.evaluation.calibration import MIN_ESSAYS, Calibration, apply_calibrations, fit_calibrations, fit_shift
from trm_aes.model.score_scale import ScoreRange


def shrunken(num_essays=400, correlation=0.7, seed=0):
    """Gold scores of 0-10 and predictions that minimize the squared error: their spread is r times the gold one."""
    rng = np.random.default_rng(seed)
    signal, noise = rng.standard_normal((2, num_essays))
    gold = np.round(5 + 1.8 * signal).clip(0, 10)
    return gold, 5 + 1.8 * correlation * (correlation * signal + (1 - correlation**2) ** 0.5 * noise)


def test_mean_and_spread_become_those_of_the_gold_scores():
    gold, predicted = shrunken()
    prompts = ["a"] * 200 + ["b"] * 200
    predicted[200:] += 3
    calibrated = apply_calibrations(fit_calibrations(prompts, predicted, gold), prompts, predicted)
    for part in (slice(200), slice(200, None)):
        assert calibrated[part].mean() == pytest.approx(gold[part].mean())
        assert calibrated[part].std() == pytest.approx(gold[part].std())
        assert np.corrcoef(calibrated[part], predicted[part])[0, 1] == pytest.approx(1)


def test_kappa_rises_on_essays_that_the_line_was_not_fitted_on():
    gold, predicted = shrunken()
    other_gold, other_predicted = shrunken(seed=1)
    lines = fit_calibrations(["a"] * 400, predicted, gold)
    ranges = {"a": ScoreRange(0, 10)}
    before, after = (
        metrics_by_prompt(["a"] * 400, other_gold, values, ranges)["a"]["qwk"]
        for values in (other_predicted, apply_calibrations(lines, ["a"] * 400, other_predicted))
    )
    # In theory 2r^2 / (1 + r^2) = 0.66 and r = 0.7, before rounding.
    assert before + 0.02 < after


def test_a_line_by_hand():
    predictions, gold = np.tile([1.0, 3.0], 20), np.tile([2.0, 8.0], 20)
    assert fit_calibrations(["a"] * 40, predictions, gold) == {"a": Calibration(slope=3.0, intercept=-1.0)}


def test_prompts_that_tell_too_little_are_left_as_they_are():
    few, flat = MIN_ESSAYS - 1, 40
    prompts = ["few"] * few + ["flat"] * flat
    predictions = np.concatenate([np.linspace(0, 1, few), np.full(flat, 0.5)])
    lines = fit_calibrations(prompts, predictions, np.linspace(0, 1, few + flat))
    assert lines == {}
    np.testing.assert_array_equal(apply_calibrations(lines, prompts, predictions), predictions)


def test_probabilities_become_right_on_average():
    rng = np.random.default_rng(0)
    probabilities = rng.uniform(0.01, 0.2, 500)
    outcomes = rng.random(500) < 0.6
    shift = fit_shift(probabilities, outcomes)
    shifted = 1 / (1 + (1 / probabilities - 1) * np.exp(-shift))
    assert shifted.mean() == pytest.approx(outcomes.mean(), abs=1e-6)
    assert (np.argsort(shifted) == np.argsort(probabilities)).all()


def test_a_shift_by_hand():
    assert fit_shift(np.full(4, 0.5), np.array([1, 1, 1, 0])) == pytest.approx(np.log(3))
    # All right: as if half an essay of the four were not.
    assert fit_shift(np.full(4, 0.5), np.ones(4)) == pytest.approx(np.log(7))
