"""The review curve: what is released, how well it agrees, and what people must read; by hand, and at its bounds."""

import numpy as np
import pytest

from trm_aes.evaluation.bootstrap import draw_times
from trm_aes.evaluation.review import (
    ScoredEssays,
    released_agreement,
    released_areas,
    review_routes,
    review_targets,
    share_to_read,
)
from trm_aes.model.score_scale import ScoreRange


def test_agreement_among_the_released_by_hand():
    doubt, agrees = np.array([0.4, 0.1, 0.3, 0.2]), np.array([False, True, True, False])
    [agreement] = released_agreement(doubt, agrees)
    np.testing.assert_allclose(agreement, [1, 1 / 2, 2 / 3, 1 / 2])
    [area] = released_areas(doubt, agrees)
    assert area == pytest.approx((1 + 1 / 2 + 2 / 3 + 1 / 2) / 4)


def test_essays_of_equal_doubt_count_alike_whatever_their_order():
    agrees = np.array([True, False, False, True, True])
    [agreement] = released_agreement(np.array([0, 0, 0, 1, 1]), agrees)
    np.testing.assert_allclose(agreement, [1 / 3, 1 / 3, 1 / 3, 1 / 2, 3 / 5])


def test_a_sample_of_the_bootstrap_is_the_essays_that_it_has():
    """Compared with the same essays, each written as often as the sample has it."""
    rng = np.random.default_rng(0)
    doubt, agrees, times = rng.permutation(30).astype(float), rng.random(30) < 0.6, draw_times(30, draws=5)
    areas = released_areas(doubt, agrees, times)
    for sample, found in zip(times.astype(int), areas, strict=True):
        # A written-out essay is released with its copies.
        order = np.argsort(doubt)
        copies, right = sample[order], (sample * agrees)[order]
        share = np.cumsum(right)[copies > 0] / np.cumsum(copies)[copies > 0]
        assert found == pytest.approx(np.repeat(share, copies[copies > 0]).mean())


@pytest.fixture(scope="module")
def essays():
    """Four hundred essays of two prompts, and a doubt that knows a little of their errors."""
    rng = np.random.default_rng(1)
    prompt_ids = np.array(["a", "b"] * 200, dtype=object)
    gold = rng.integers(0, 6, 400).astype(float)
    hardness = rng.uniform(0.2, 1.6, 400)
    predicted = gold + hardness * rng.standard_normal(400)
    ranges = {"a": ScoreRange(0, 5), "b": ScoreRange(0, 5)}
    return ScoredEssays.of_scores(prompt_ids, gold, predicted, ranges), hardness


def test_random_routing_is_flat_and_the_oracle_is_the_upper_bound(essays):
    scored, hardness = essays
    routes = {
        route.name: route
        for route in review_routes(scored, {"predicted error": hardness, "wrong way": -hardness}, draw_times(400))
    }
    assert list(routes) == ["predicted error", "wrong way", "random", "oracle"]
    exact, adjacent = scored.is_right.mean(), scored.is_near.mean()
    for point in routes["random"].points:
        assert (point.exact, point.adjacent) == (pytest.approx(exact), pytest.approx(adjacent))
        assert point.qwk == pytest.approx(routes["random"].points[-1].qwk)
    assert routes["random"].area.value == pytest.approx(exact)
    for route in routes.values():
        assert route.points[-1].exact == pytest.approx(exact) and route.points[-1].share_released == 1
        assert route.area.low < route.area.value < route.area.high
        for point, best in zip(route.points, routes["oracle"].points, strict=True):
            assert point.exact <= best.exact + 1e-12 and point.adjacent <= best.adjacent + 1e-12
    # What knows something is better than chance, and its opposite worse.
    assert routes["wrong way"].area.high < exact < routes["predicted error"].area.low
    # Of twenty essays, no prompt has ten for certain: none has a QWK of all prompts there.
    assert all(isinstance(route.points[-1].qwk, float) for route in routes.values())


def test_a_prompt_without_enough_released_essays_has_no_qwk():
    scored = ScoredEssays(np.array(["a"] * 60 + ["b"] * 60), np.arange(120) % 4, np.arange(120) % 4)
    [route, *_] = review_routes(scored, {"by prompt": np.arange(120.0)}, draw_times(120, draws=10))
    # Of fewer than 30 released essays there is no point: the first is a quarter.
    assert [point.share_released for point in route.points] == pytest.approx(np.arange(5, 21) / 20)
    assert [point.qwk for point in route.points] == [None] * 7 + [1.0] * 9


def test_of_fewer_than_thirty_essays_the_route_says_what_all_give():
    scored = ScoredEssays(np.array(["a"] * 20), np.arange(20) % 4, np.arange(20) % 4)
    [route, *_] = review_routes(scored, {"by place": np.arange(20.0)}, draw_times(20, draws=10))
    assert [point.share_released for point in route.points] == [1.0]


def test_what_people_must_read_by_hand():
    # Of 40 essays the 32 least doubtful are right.
    agrees, doubt = np.arange(40) < 32, np.arange(40.0)
    assert share_to_read(doubt, agrees, 0.8) == 0
    assert share_to_read(doubt, agrees, 1.0) == pytest.approx(8 / 40)
    assert share_to_read(doubt, agrees, 0.9) == pytest.approx(1 - 35 / 40)
    # The other way around no 30 of them agree as well.
    assert share_to_read(-doubt, agrees, 0.9) is None
    # Of fewer than 30 essays only all can be released.
    assert share_to_read(doubt[:9], np.ones(9, dtype=bool), 1.0) == 0
    assert share_to_read(doubt[:9], np.arange(9) < 8, 1.0) is None


def test_targets_are_reached_at_chance_only_by_all_essays(essays):
    scored, hardness = essays
    targets = review_targets(scored, {"predicted error": hardness})
    assert [(target.measure, target.target) for target in targets] == [
        ("exact", 0.7), ("exact", 0.8), ("exact", 0.9), ("adjacent", 0.95), ("adjacent", 0.99),
        ("qwk", 0.8), ("qwk", 0.85), ("qwk", 0.9),
    ]  # fmt: skip
    for target in targets:
        shares = target.share_read
        assert shares["random"] in (None, 0)
        if shares["predicted error"] is not None:
            assert shares["oracle"] <= shares["predicted error"]
    assert targets[0].share_read["predicted error"] is not None


def test_what_people_must_read_for_a_qwk_by_hand():
    # Of 100 essays the 40 most doubtful got the scale's other end.
    gold = np.arange(100) % 4
    scored = ScoredEssays(np.array(["a"] * 100), gold, np.where(np.arange(100) < 60, gold, 3 - gold))
    read = {target.target: target.share_read for target in review_targets(scored, {"by place": np.arange(100.0)})[-3:]}
    points = {
        point.share_released: point.qwk
        for point in review_routes(scored, {"by place": np.arange(100.0)}, draw_times(100, draws=5))[0].points
    }
    assert points[0.6] == 1 and points[0.65] < 0.9 and points[0.65] > 0.8
    assert read[0.9]["by place"] == pytest.approx(0.4) and read[0.8]["by place"] < 0.4
    assert read[0.9]["random"] is None


def test_scores_are_compared_in_steps_of_their_scales():
    ranges = {"a": ScoreRange(4, 9, 0.5), "b": ScoreRange.of_labels(["A1", "A2", "B1"])}
    scored = ScoredEssays.of_scores(["a", "b", "a"], np.array([6.5, 3, 4]), np.array([6.2, 1.2, 4.3]), ranges)
    assert scored.gold.tolist() == [5, 2, 0] and scored.rounded.tolist() == [4, 0, 1]
    assert scored.is_right.tolist() == [False] * 3 and scored.is_near.tolist() == [True, False, True]
