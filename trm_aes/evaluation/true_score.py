"""
Agreement with the true score: the mean that an essay would get from ever more raters. What is known of it comes from essays
that several people rated.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..model.score_scale import ScoreRange
from .bootstrap import means

# Of the essays that are looked at, so many must have the label that a rule gives. Of ASAP's prompt 8, a rater who is not in the
# data has settled the dispute about every sixth essay.
LEAST_FOLLOWING = 0.75
# By so little a mean is lowered whose half is to go down.
LESS_THAN_A_HALF = 1e-9
LOST_IN_FLOATS = 1e-9


@dataclass(frozen=True)
class LabelRule:
    """
    How labels follow from ratings.

    Args:
        name: `sum` of the ratings; `one`, the rating of one of the raters; the `higher` (highest); their `mean`, rounded
            always up or always down.
        num_ratings: ratings that a label is made of.
    """

    name: Literal["sum", "one", "higher", "mean"]
    num_ratings: int

    @property
    def divisor(self) -> int:
        """By what labels are divided to be on the raters' scale."""
        return self.num_ratings if self.name == "sum" else 1

    def reliability(self, agreement: float | np.ndarray) -> np.ndarray:
        """
        Reliability of the labels, where one rating has the reliability `agreement`: the correlation of two raters, or their
        QWK. The sum and the mean of k ratings have k r / (1 + (k - 1) r) (Spearman 1910, Brown 1910); the higher counts as
        one rating.
        """
        k = self.num_ratings if self.name in ("sum", "mean") else 1
        r = np.asarray(agreement, dtype=float)
        return k * r / (1 + (k - 1) * r)


def find_label_rule(labels: np.ndarray, ratings: np.ndarray, scale: ScoreRange) -> LabelRule | None:
    """
    The rule that most labels follow, found out from the essays that have the usual number of ratings (of those with at least
    two; a third rating, say, that settles a dispute follows rules of its own); None where under three quarters follow any, or
    no essay has two ratings.

    Args:
        labels: `(essays,)`.
        ratings: `(essays, raters)`, NaN where a rater did not rate.
        scale: of the labels.
    """
    counts = np.isfinite(ratings).sum(axis=1)
    if not (counts >= 2).any():
        return None
    usual = int(np.bincount(counts[counts >= 2]).argmax())
    looked_at = counts == usual
    of_essays, given = labels[looked_at], ratings[looked_at]

    def following(expected: np.ndarray) -> float:
        # Sums of tenths are not quite tenths.
        return float(np.mean(np.isclose(of_essays, expected, rtol=0, atol=LOST_IN_FLOATS)))

    # Of rules that explain as much, the first is taken.
    shares = {
        LabelRule("sum", usual): following(np.nansum(given, axis=1)),
        LabelRule("one", usual): max(map(following, given.T)),
        LabelRule("higher", usual): following(np.nanmax(given, axis=1)),
        LabelRule("mean", usual): max(
            following(scale.round(np.nanmean(given, axis=1) - less)) for less in (0, LESS_THAN_A_HALF)
        ),
    }
    rule = max(shares, key=lambda one: shares[one])
    return rule if shares[rule] >= LEAST_FOLLOWING else None


def label_noise_ceiling(agreement: float | np.ndarray, rule: LabelRule) -> np.ndarray:
    """
    The most that a predictor of the true score can be expected to agree with labels, which are noisy: true score and label
    correlate by the square root of the labels' reliability (classical test theory). Compare "Has Automated Essay Scoring
    Reached Sufficient Accuracy?", arXiv 2604.19131.

    Args:
        agreement: of two raters, QWK or r.
        rule: how labels follow from ratings.
    """
    return np.sqrt(np.maximum(0.0, rule.reliability(agreement)))


def disattenuated(correlation: np.ndarray, rater_correlation: np.ndarray, rule: LabelRule) -> np.ndarray:
    """
    Correlation of the prediction with the true score: r over the square root of the labels' reliability (Spearman 1904); NaN
    where raters do not correlate above 0. For labels that are one rating it is RSMTool's.
    """
    ceiling = label_noise_ceiling(rater_correlation, rule)
    return np.where(ceiling > 0, correlation / np.where(ceiling > 0, ceiling, 1), np.nan)


def prmse(predictions: np.ndarray, ratings: np.ndarray, times: np.ndarray) -> np.ndarray:
    """
    Proportional reduction of the mean squared error with which the true score is known, `1 - MSE(T|M) / s_T^2`, by the
    estimators of RSMTool 12.0 (Loukina et al. 2020, https://aclanthology.org/2020.bea-1.2), for any number of ratings an
    essay. It is at most 1 but for sampling error, and below 0 for predictions that are worse than the mean.

    Args:
        predictions: `(essays,)`, on the raters' scale.
        ratings: `(essays, raters)`, NaN where a rater did not rate. Essays without any are left out.
        times: as of [`bootstrap`].

    Returns:
        `(samples,)`; NaN where no essay has two ratings, or the true score does not vary.
    """
    is_rated = np.isfinite(ratings).any(axis=1)
    if not is_rated.any():
        return np.full(len(times), np.nan)
    predictions, ratings, times = predictions[is_rated], ratings[is_rated], times[:, is_rated]
    counts = np.isfinite(ratings).sum(axis=1)
    of_essays = np.nanmean(ratings, axis=1)
    num_essays, num_ratings = times.sum(axis=1), times @ counts
    # Over the degrees of freedom, c_i - 1 an essay.
    within = np.nansum((ratings - of_essays[:, None]) ** 2, axis=1)
    freedom = times @ (counts - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        error_variance = times @ within / freedom
        center = means(of_essays, times * counts)
        between = (times * counts * (of_essays - center[:, None]) ** 2).sum(axis=1)
        true_variance = (between - (num_essays - 1) * error_variance) / (num_ratings - times @ counts**2 / num_ratings)
        error = (times @ (counts * (of_essays - predictions) ** 2) - num_essays * error_variance) / num_ratings
        return np.where(true_variance > 0, 1 - error / true_variance, np.nan)
