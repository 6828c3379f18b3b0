"""The paired bootstrap, against scikit-learn's kappa on essays drawn one by one."""

import numpy as np
import pytest

from trm_aes.evaluation.agreement import quadratic_weighted_kappa
from trm_aes.evaluation.bootstrap import kappas
from trm_aes.evaluation.difference import Difference, paired_scores, qwk_difference
from trm_aes.model.score_scale import ScoreRange


def scored(number, seed, lowest=2, highest=12, errors=(1.0, 2.0)):
    rng = np.random.default_rng(seed)
    gold = rng.integers(lowest, highest + 1, number).astype(float)
    first, second = (gold + rng.normal(0, error, number) for error in errors)
    return paired_scores(gold, first, second, ScoreRange(lowest, highest))


def test_scores_are_clipped_and_rounded_halves_up():
    scores = paired_scores([1, 2, 3], [0.2, 2.5, 3.4], [-4, 1.49, 9], ScoreRange(1, 4))
    assert scores.tolist() == [[1, 1, 1], [2, 3, 1], [3, 3, 4]]


def test_kappa_by_moments_is_kappa():
    scores = scored(50, seed=0)
    drawn = np.random.default_rng(1).multinomial(50, np.full(50, 1 / 50), size=5)
    expected = [quadratic_weighted_kappa(scores[:, 0], scores[:, 1], 2, 12, times) for times in drawn]
    assert kappas(scores[:, 0], scores[:, 1], drawn) == pytest.approx(expected)
    # One score throughout, on both sides and on one.
    once = np.array([[3]])
    assert kappas(np.array([7]), np.array([7]), once) == 1 and kappas(np.array([7]), np.array([8]), once) == 0


def test_interval_is_that_of_essays_drawn_one_by_one():
    groups = [scored(60, seed=2), scored(40, 3, 0, 4, errors=(0.5, 0.6))]
    ranges = [(2, 12), (0, 4)]

    def mean_difference(parts):
        return np.mean(
            [
                quadratic_weighted_kappa(part[:, 0], part[:, 1], *bounds)
                - quadratic_weighted_kappa(part[:, 0], part[:, 2], *bounds)
                for part, bounds in zip(parts, ranges, strict=True)
            ]
        )

    rng = np.random.default_rng(4)
    drawn = [mean_difference([part[rng.integers(0, len(part), len(part))] for part in groups]) for _ in range(1000)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    found = qwk_difference(groups)
    assert found.mean == pytest.approx(mean_difference(groups))
    # Both ends are known to about a twentieth of the interval from so many draws.
    assert (found.low, found.high) == pytest.approx((low, high), abs=(high - low) / 10)
    assert found.low < found.mean < found.high
    assert qwk_difference(groups) == found and qwk_difference(groups, seed=1) != found


def test_trainings_are_of_the_same_essays():
    """Of two trainings that say the same the interval is that of one: they tell nothing more of other essays."""
    once = scored(300, seed=6)
    twice = once[:, [0, 1, 1, 2, 2]]
    assert qwk_difference([once]) == qwk_difference([twice])
    other = scored(300, seed=6, errors=(1.5, 2.0))
    both = np.column_stack([once[:, :2], other[:, 1], once[:, 2], other[:, 2]])
    found = [qwk_difference([group]).mean for group in (once, other, both)]
    assert found[2] == pytest.approx((found[0] + found[1]) / 2)


def test_one_scorer_does_not_differ_from_itself():
    scores = scored(80, seed=5)
    assert qwk_difference([scores[:, [0, 1, 1]]]) == Difference(0, 0, 0)


def test_half_points_and_tenths_have_the_interval_of_whole_points():
    whole = scored(60, seed=6)
    expected = qwk_difference([whole])
    for step in (0.5, 0.1):
        scaled = paired_scores(*(step * whole).T, ScoreRange(2 * step, round(12 * step, 1), step))
        found = qwk_difference([scaled])
        assert (found.mean, found.low, found.high) == pytest.approx((expected.mean, expected.low, expected.high))
    # What floats lose is no disagreement.
    assert kappas(np.array([0.3, 0.3]), np.array([0.3, 0.3]), np.array([[1, 6]])) == 1
