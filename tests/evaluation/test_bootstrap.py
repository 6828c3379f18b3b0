"""Figures of many samples at once, against the measures of one sample; intervals, and where there is none."""

import numpy as np
import pytest

from trm_aes.evaluation import bootstrap
from trm_aes.evaluation.agreement import kappa_of_numbers, pearson, standardized_mean_difference
from trm_aes.evaluation.bootstrap import Estimate, draw_times, estimate


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    gold = rng.integers(2, 13, 40).astype(float)
    return gold, gold + rng.normal(0.5, 1.5, 40)


def drawn_essays(values, times):
    return np.repeat(values, times.astype(int))


@pytest.mark.parametrize(
    "of_samples, of_one",
    [
        (bootstrap.kappas, kappa_of_numbers),
        (bootstrap.correlations, pearson),
        (bootstrap.standardized_differences, standardized_mean_difference),
        (lambda gold, predicted, times: bootstrap.means(predicted, times), lambda gold, predicted: predicted.mean()),
        (lambda gold, predicted, times: bootstrap.deviations(gold, times), lambda gold, predicted: gold.std(ddof=1)),
    ],
)
def test_a_sample_measures_as_its_essays_do(scores, of_samples, of_one):
    times = draw_times(40, seed=1, draws=20)
    expected = [of_one(drawn_essays(scores[0], one), drawn_essays(scores[1], one)) for one in times]
    assert of_samples(*scores, times) == pytest.approx(np.array(expected))


def test_samples_are_the_essays_themselves_and_as_many_drawn():
    times = draw_times(30, seed=3, draws=50)
    assert times.shape == (51, 30) and (times[0] == 1).all() and (times.sum(axis=1) == 30).all()
    assert (times[1:] > 1).any(axis=1).all()
    np.testing.assert_array_equal(times, draw_times(30, seed=3, draws=50))
    assert (times != draw_times(30, seed=4, draws=50)).any()


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    values = np.random.default_rng(2).normal(10, 2, 400)
    found = estimate(bootstrap.means(values, draw_times(400, seed=0, draws=4000)))
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert [found.low, found.high] == pytest.approx([values.mean() - half, values.mean() + half], abs=0.03)


def test_what_does_not_vary_is_undefined_and_no_float_makes_it_vary():
    times = draw_times(10, draws=20)
    constant, varying = np.full(10, 0.1), np.arange(10.0)
    assert np.isnan(bootstrap.correlations(constant, varying, times)).all()
    assert np.isnan(bootstrap.standardized_differences(constant, varying, times)).all()
    assert not bootstrap.vary(constant, times).any() and bootstrap.vary(varying, times).all()
    # No essay of a group is in a sample.
    assert np.isnan(bootstrap.means(np.array([1.0]), np.array([[0.0]])))


def test_undefined_figures_and_figures_that_are_rarely_defined_have_no_interval():
    nan = float("nan")
    assert estimate(np.array([nan, 1.0, 2.0])) == Estimate(value=None)
    assert estimate(np.array([0.5])) == Estimate(value=0.5)
    assert estimate(np.array([0.5, *[0.4] * 8, nan, nan])) == Estimate(value=0.5)
    assert estimate(np.array([0.5, *[0.4] * 9, nan])) == Estimate(value=0.5, low=0.4, high=0.4)


def test_essays_are_drawn_among_those_of_their_prompt():
    prompt_ids = np.array(["b", "a", "b", "c", "b", "a"])
    times = bootstrap.draw_times_by_prompt(prompt_ids, seed=2)
    assert times.shape == (1 + bootstrap.DRAWS, 6) and (times[0] == 1).all()
    for name, size in (("a", 2), ("b", 3), ("c", 1)):
        assert (times[:, prompt_ids == name].sum(axis=1) == size).all()
    assert (times[1:, :2] != 1).any(axis=0).all()


def test_where_no_prompt_has_two_essays_there_is_no_interval():
    times = bootstrap.draw_times_by_prompt(["a", "b"])
    assert times.tolist() == [[1, 1]]
    assert estimate(bootstrap.means(np.array([1.0, 2.0]), times)) == bootstrap.Estimate(value=1.5)
