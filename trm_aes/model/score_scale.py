"""Score scales: the scores that a prompt has, and the model's 0-1 scale."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

# Within these bounds every score is a whole number of millionths that a float holds exactly.
MAX_DECIMALS = 6
MAX_SIZE = 10**9


@dataclass(frozen=True)
class ScoreRange:
    """
    The scale of a prompt's scores: those from the lowest to the highest, each a step above the one before; or labels.

    Scores are numbers everywhere but before people: a label's is its place in the list, counted from 1. The grid is exact:
    its scores are worked out in whole numbers, so that 0 to 1 by 0.1 holds 0.3 and not 0.1 + 0.1 + 0.1.

    Args:
        min_score, max_score: lowest and highest score, both attainable.
        step: from one score to the next; the range is a whole number of steps.
        labels: names of the scores, the lowest first. `ScoreRange.of_labels` makes the numbers that belong to them.

    Raises:
        ValueError: if there are no such scores.
    """

    min_score: float
    max_score: float
    step: float = 1.0
    labels: tuple[str, ...] = ()

    def __post_init__(self):
        for value in (self.min_score, self.max_score, self.step):
            if not abs(value) <= MAX_SIZE:
                raise ValueError(f"{value:g} is no size that scores have: at most {MAX_SIZE:,}")
            if round(value, MAX_DECIMALS) != value:
                raise ValueError(f"{value} has more than {MAX_DECIMALS} decimals")
        if not self.min_score < self.max_score:
            raise ValueError(f"{self.max_score:g} is not above {self.min_score:g}")
        if not self.step > 0:
            raise ValueError(f"a step must be above 0, not {self.step:g}")
        lowest, highest, step, _ = self._units
        if (highest - lowest) % step:
            raise ValueError(f"{self.min_score:g} to {self.max_score:g} is no whole number of steps of {self.step:g}")
        if self.labels and (self.min_score, self.max_score, self.step) != (1, len(self.labels), 1):
            raise ValueError(f"{len(self.labels)} labels are the scores 1 to {len(self.labels)}")

    @classmethod
    def of_labels(cls, labels: Sequence[str]) -> "ScoreRange":
        """
        The scale of at least two different labels, the lowest first.

        Raises:
            ValueError: for others, and for labels that are blank or hold a comma.
        """
        names = tuple(str(label).strip() for label in labels)
        if len(names) < 2 or len(set(names)) < len(names) or not all(names) or "," in "".join(names):
            raise ValueError("labels are at least two, all different, none blank and without commas")
        return cls(1.0, float(len(names)), 1.0, names)

    @classmethod
    def from_list(cls, values: Sequence[float | str]) -> "ScoreRange":
        """
        The scale that a configuration gives: `[lowest, highest]`, `[lowest, highest, step]`, or labels.

        Raises:
            ValueError: for anything else.
        """
        if values and all(isinstance(value, str) for value in values):
            return cls.of_labels([str(value) for value in values])
        if len(values) not in (2, 3) or not all(isinstance(value, (int, float)) for value in values):
            raise ValueError("a scale is [lowest, highest], [lowest, highest, step], or labels")
        low, high, *step = (float(value) for value in values)
        return cls(low, high, step[0] if step else 1.0)

    def to_list(self) -> list[float | str]:
        """What [`ScoreRange.from_list`] reads; a step of 1 is left out."""
        if self.labels:
            return list(self.labels)
        return [self.min_score, self.max_score, *([] if self.step == 1 else [self.step])]

    def __str__(self) -> str:
        """`1 to 6`, `4 to 9 by 0.5`, `A1 to C2`."""
        ends = f"{self.format(self.min_score)} to {self.format(self.max_score)}"
        return ends if self.step == 1 else f"{ends} by {self.step:g}"

    @property
    def span(self) -> float:
        """Highest less lowest."""
        return self.max_score - self.min_score

    @property
    def num_steps(self) -> int:
        """Steps from the lowest to the highest score."""
        lowest, highest, step, _ = self._units
        return (highest - lowest) // step

    # ---- To the model's scale and back

    def normalize(self, scores: ArrayLike) -> np.ndarray:
        """Maps scores of this range to 0-1."""
        return (np.asarray(scores, dtype=np.float64) - self.min_score) / self.span

    def denormalize(self, normalized: ArrayLike) -> np.ndarray:
        """Maps 0-1 (values outside are clipped) to scores of this range, not rounded."""
        lowest, highest, _, units = self._units
        return (lowest + np.clip(np.asarray(normalized, dtype=np.float64), 0.0, 1.0) * (highest - lowest)) / units

    # ---- On the grid

    def clip(self, scores: ArrayLike) -> np.ndarray:
        """Scores, those outside moved to the nearer end."""
        return np.clip(np.asarray(scores, dtype=np.float64), self.min_score, self.max_score)

    def steps(self, scores: ArrayLike) -> np.ndarray:
        """
        How many steps above the lowest score the nearest score is, whole numbers from 0 to `num_steps`. Halves go up, as
        raters expect; NumPy would round them to even.
        """
        lowest, _, step, units = self._units
        return np.floor((self.clip(scores) * units - lowest) / step + 0.5).astype(np.int64)

    def round(self, scores: ArrayLike) -> np.ndarray:
        """The nearest scores that this scale has; see [`ScoreRange.steps`]."""
        lowest, _, step, units = self._units
        return (lowest + self.steps(scores) * step) / units

    def holds(self, scores: ArrayLike) -> np.ndarray:
        """Which numbers are scores of this scale."""
        return self.round(np.nan_to_num(scores, nan=self.min_score)) == np.asarray(scores, dtype=np.float64)

    def ends(self, low: float, high: float, score: float) -> tuple[float, float]:
        """
        The lowest and the highest score of this scale in an interval, widened to the score that is given.

        A human score is always one of the scale's, so a set of these is right exactly as often as the interval is; to round
        its ends outward would only make it wider.

        Args:
            low, high: ends of the interval on the 0-1 scale; they may lie outside, and be infinite.
            score: on this scale; where it is rounded to is always in the set.
        """
        nearest, most = int(self.steps(score)), self.num_steps
        # Less than a millionth of a step is lost in floats.
        first = np.ceil(np.clip(low, 0.0, 1.0) * most - 1e-6)
        last = np.floor(np.clip(high, 0.0, 1.0) * most + 1e-6)
        ends = np.array([min(first, nearest), max(last, nearest)]) / most
        return float(self.denormalize(ends[0])), float(self.denormalize(ends[1]))

    # ---- As people write them

    def shown(self, score: float) -> int | float | str:
        """The nearest score as people write it: 6, 6.5, or its label."""
        if self.labels:
            return self.labels[int(self.steps(score))]
        rounded = float(self.round(score))
        return int(rounded) if rounded.is_integer() else rounded

    def format(self, score: float) -> str:
        """[`ScoreRange.shown`] as text."""
        return str(self.shown(score))

    def parse(self, value: object) -> float:
        """
        The number of a score that a person gave: a label, or a number.

        Raises:
            ValueError: if this scale has no such score; it says which there are.
        """
        if self.labels:
            # Tables hold a label that looks like a number as one.
            name = str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()
            if name in self.labels:
                return self.labels.index(name) + 1.0
            raise ValueError(f"{name[:40]!r} is none of the labels {', '.join(self.labels)}")
        score = as_number(value)
        if not self.holds(score):
            raise ValueError(f"{score:g} is not on the scale {self}")
        return score

    @cached_property
    def _units(self) -> tuple[int, int, int, int]:
        """Lowest score, highest and step, as whole numbers of the largest decimal unit that they share; units in 1."""
        values = [Decimal(repr(float(value))) for value in (self.min_score, self.max_score, self.step)]
        units = 10 ** max(0, *(-int(value.normalize().as_tuple().exponent) for value in values))
        lowest, highest, step = (int(value * units) for value in values)
        return lowest, highest, step, units


def as_number(value: object) -> float:
    """
    A cell of a table as a number; it may be infinite or NaN.

    Raises:
        ValueError: if it is none.
    """
    try:
        # Python itself reads `1_0` as 10, and True as 1.
        if isinstance(value, bool) or "_" in str(value):
            raise ValueError
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{str(value)[:40]!r} is not a number") from None


def denormalize_by_prompt(
    normalized: Iterable[float], prompt_ids: Iterable[str], score_ranges: dict[str, ScoreRange]
) -> np.ndarray:
    """Maps essays' 0-1 scores (values outside are clipped) to the ranges of their prompts, not rounded: `(essays,)`."""
    return by_prompt(ScoreRange.denormalize, normalized, prompt_ids, score_ranges)


def by_prompt(
    method: Callable[[ScoreRange, np.ndarray], np.ndarray],
    values: Iterable[float],
    prompt_ids: Iterable[str],
    score_ranges: dict[str, ScoreRange],
) -> np.ndarray:
    """
    What a method of their prompts' scales makes of essays' values: `(essays,)`.

    Args:
        method: `ScoreRange.round`, say, which takes and gives an array.
        values, prompt_ids: of the essays.
        score_ranges: of at least their prompts.
    """
    ids, numbers = np.array(list(prompt_ids), dtype=object), np.array(list(values), dtype=np.float64)
    if len(ids) != len(numbers):
        raise ValueError(f"There are {len(numbers)} values for the prompts of {len(ids)} essays.")
    results = np.empty(len(numbers))
    for prompt_id in dict.fromkeys(ids):
        of_prompt = ids == prompt_id
        results[of_prompt] = method(score_ranges[prompt_id], numbers[of_prompt])
    return results


def shown_by_prompt(
    scores: Iterable[float], prompt_ids: Iterable[str], score_ranges: Mapping[str, ScoreRange]
) -> np.ndarray:
    """Essays' scores as people write them on their prompts' scales, a number or a label: `(essays,)` of objects."""
    shown = [score_ranges[prompt_id].shown(score) for score, prompt_id in zip(scores, prompt_ids, strict=True)]
    return np.array(shown, dtype=object)
