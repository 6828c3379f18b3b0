"""
Which essays people should read: how well the scores that are released agree with human ones, by the route that chooses.

A route gives each essay a doubt; the least doubtful are released, and people read the others. Agreement is that *among the
released*: agreement of released and human scores together rises with every essay that a person reads, whatever chooses it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..model.score_scale import ScoreRange
from .agreement import kappa_of_numbers
from .bootstrap import Estimate, estimate

RANDOM, ORACLE = "random", "oracle"
# Shares of the essays at which a route's points lie.
SHARES = np.arange(1, 21) / 20
# Agreement among fewer essays is a guess.
LEAST_RELEASED = 30
# QWK among the released takes so many of each prompt.
LEAST_FOR_QWK = 10
SAMPLES_AT_ONCE = 50
TARGETS = (
    ("exact", 0.7), ("exact", 0.8), ("exact", 0.9), ("adjacent", 0.95), ("adjacent", 0.99),
    ("qwk", 0.8), ("qwk", 0.85), ("qwk", 0.9),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ReviewPoint:
    """Agreement among the released: the `share_released` (0-1) of essays that no person reads again."""

    share_released: float
    qwk: float | None
    exact: float
    adjacent: float


@dataclass(frozen=True, kw_only=True)
class ReviewRoute:
    """
    A way to choose which essays people read.

    Args:
        name: `predicted error`, `confidence`, `random` or `oracle`.
        points: from 30 released essays to all; of fewer essays, all alone.
        area: mean exact agreement among the released, over all shares: higher is better.
    """

    name: str
    points: list[ReviewPoint]
    area: Estimate


@dataclass(frozen=True, kw_only=True)
class ReviewTarget:
    """
    Which share of the essays people must read so that the released reach an agreement.

    Args:
        measure, target: such as `exact` and 0.8.
        share_read: `route -> share` (0-1); None where it is reached by none.
    """

    measure: str
    target: float
    share_read: dict[str, float | None]


@dataclass(frozen=True)
class ScoredEssays:
    """
    Essays with both scores, rounded to the scale.

    Args:
        prompt_ids: of the essays, `(essays,)`.
        gold, rounded: human and predicted scores, in steps above the lowest one of the prompt, `(essays,)`.
    """

    prompt_ids: np.ndarray
    gold: np.ndarray
    rounded: np.ndarray

    @classmethod
    def of_scores(
        cls, prompt_ids: Sequence[str], gold: np.ndarray, predicted: np.ndarray, score_ranges: Mapping[str, ScoreRange]
    ) -> "ScoredEssays":
        """Essays whose scores `(essays,)` are on their prompts' scales; predicted ones need not be rounded."""
        ids, steps = np.asarray(prompt_ids, dtype=object), np.zeros((2, len(gold)), dtype=np.int64)
        for prompt_id in dict.fromkeys(ids):
            rows = ids == prompt_id
            steps[:, rows] = score_ranges[prompt_id].steps(np.stack([gold[rows], predicted[rows]]))
        return cls(ids, *steps)

    @property
    def is_right(self) -> np.ndarray:
        """Whether both scores are equal, `(essays,)`."""
        return self.gold == self.rounded

    @property
    def is_near(self) -> np.ndarray:
        """Whether they are no more than one step apart, `(essays,)`."""
        return np.abs(self.gold - self.rounded) <= 1

    def mean_qwk(self, places: np.ndarray) -> float | None:
        """
        Plain mean over all prompts of QWK among some of the essays; None where a prompt has fewer than 10 of them, or one
        human score throughout.
        """
        kappas = []
        for prompt_id in dict.fromkeys(self.prompt_ids):
            chosen = places[self.prompt_ids[places] == prompt_id]
            if len(chosen) < LEAST_FOR_QWK or np.ptp(self.gold[chosen]) == 0:
                return None
            kappas.append(kappa_of_numbers(self.gold[chosen], self.rounded[chosen]))
        return float(np.mean(kappas))


def released_agreement(doubt: np.ndarray, agrees: np.ndarray, times: np.ndarray | None = None) -> np.ndarray:
    """
    Share of agreeing scores among the least doubtful essay, the two least doubtful ones, and so on, in each sample:
    `(samples, essays)`. Of essays of equal doubt each counts as the share of agreeing ones among them, so that the order in
    which they come makes no difference: with one doubt throughout, the share is the same however many are released.

    Args:
        doubt: in any unit, `(essays,)`.
        agrees: whether each score agrees with the human one, `(essays,)`.
        times: how often each sample has each essay, `(samples, essays)`; one sample, of each once, if absent. Where a sample
            has none so far, the share is NaN.
    """
    order = np.argsort(doubt, kind="stable")
    weights = np.ones((1, len(order))) if times is None else times[:, order]
    sorted_doubt = np.asarray(doubt, dtype=float)[order]
    starts = np.flatnonzero(np.diff(sorted_doubt, prepend=-np.inf) > 0)
    sizes = np.diff(starts, append=len(order))
    agreeing = np.add.reduceat(weights * np.asarray(agrees, dtype=float)[order], starts, axis=1)
    total = np.add.reduceat(weights, starts, axis=1)
    share = np.repeat(agreeing / np.maximum(total, 1), sizes, axis=1)
    released = np.cumsum(weights, axis=1)
    with np.errstate(invalid="ignore"):
        return np.cumsum(weights * share, axis=1) / released


def released_areas(doubt: np.ndarray, agrees: np.ndarray, times: np.ndarray | None = None) -> np.ndarray:
    """
    Mean of [`released_agreement`] over all shares of essays that can be released, `(samples,)`: higher is better. Arguments
    are the same.
    """
    order = np.argsort(doubt, kind="stable")
    weights = np.ones((1, len(order))) if times is None else times[:, order]
    agreement = np.nan_to_num(released_agreement(doubt, agrees, times))
    return (weights * agreement).sum(axis=1) / weights.sum(axis=1)


def review_routes(essays: ScoredEssays, doubts: Mapping[str, np.ndarray], times: np.ndarray) -> list[ReviewRoute]:
    """
    Each route, then routing at random and the oracle, which knows the errors.

    Args:
        essays: that are routed.
        doubts: `name -> doubt of each essay`, `(essays,)`.
        times: how often each sample of the bootstrap has each essay, for the areas' intervals.
    """
    return [_route(name, doubt, essays, times) for name, doubt in _with_bounds(essays, doubts).items()]


def review_targets(essays: ScoredEssays, doubts: Mapping[str, np.ndarray]) -> list[ReviewTarget]:
    """
    Which share people must read so that the released reach a target of [`TARGETS`]: the smallest by which they do, with at
    least 30 released. Of QWK only the shares of a route's points are tried. Arguments as of [`review_routes`].
    """
    agrees = {"exact": essays.is_right, "adjacent": essays.is_near}
    routes = _with_bounds(essays, doubts)
    points = {name: _points(name, doubt, essays) for name, doubt in routes.items()}

    def share_read(name: str, measure: str, target: float) -> float | None:
        if measure in agrees:
            return share_to_read(routes[name], agrees[measure], target)
        reached = [point.share_released for point in points[name] if point.qwk is not None and point.qwk >= target]
        return 1 - max(reached) if reached else None

    return [
        ReviewTarget(
            measure=measure, target=target, share_read={name: share_read(name, measure, target) for name in routes}
        )
        for measure, target in TARGETS
    ]


def share_to_read(doubt: np.ndarray, agrees: np.ndarray, target: float) -> float | None:
    """
    The smallest share of essays (0-1) that people must read so that at least `target` of the released scores agree; None
    where no 30 essays can be released so, nor all of fewer.
    """
    [agreement] = released_agreement(doubt, agrees)
    numbers = np.arange(1, len(agreement) + 1)
    reached = numbers[(agreement >= target - 1e-12) & (numbers >= min(LEAST_RELEASED, len(agreement)))]
    return float(1 - reached[-1] / len(agreement)) if len(reached) else None


def _with_bounds(essays: ScoredEssays, doubts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    # Equal doubt: whoever is chosen at random, this agreement is expected.
    at_random = np.zeros(len(essays.gold))
    return {**doubts, RANDOM: at_random, ORACLE: np.abs(essays.gold - essays.rounded)}


def _points(name: str, doubt: np.ndarray, essays: ScoredEssays) -> list[ReviewPoint]:
    [exact], [adjacent] = (released_agreement(doubt, agrees) for agrees in (essays.is_right, essays.is_near))
    order = np.argsort(doubt, kind="stable")
    released = np.round(SHARES * len(order)).astype(int)
    return [
        ReviewPoint(
            share_released=float(share),
            # By chance, any part of the essays is as good as all of them.
            qwk=essays.mean_qwk(order if name == RANDOM else order[:number]),
            exact=float(exact[number - 1]),
            adjacent=float(adjacent[number - 1]),
        )
        for share, number in zip(SHARES, released, strict=True)
        if number >= min(LEAST_RELEASED, len(order))
    ]


def _route(name: str, doubt: np.ndarray, essays: ScoredEssays, times: np.ndarray) -> ReviewRoute:
    # All samples at once would take several times the memory of `times`.
    blocks = np.array_split(times, -(-len(times) // SAMPLES_AT_ONCE))
    areas = np.concatenate([released_areas(doubt, essays.is_right, block) for block in blocks])
    return ReviewRoute(name=name, points=_points(name, doubt, essays), area=estimate(areas))
