"""All measures of agreement of one prompt, each with the samples of the bootstrap."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..model.score_scale import ScoreRange
from .bootstrap import correlations, kappas, means, standardized_differences, vary
from .raters import RaterPairSamples
from .true_score import LabelRule, disattenuated, label_noise_ceiling, prmse


@dataclass(frozen=True)
class PromptScores:
    """
    What is known of the scores of one prompt's essays.

    Args:
        scale: of the prompt.
        gold: human scores, `(essays,)`.
        predicted: predicted scores, on the scale, clipped and not rounded, `(essays,)`.
        references: `name -> scores of a simpler scorer`, `(essays,)`, NaN where it has none: `length`, `ridge`.
        ratings: of the raters, `(essays, raters)`, NaN where a rater did not rate.
    """

    scale: ScoreRange
    gold: np.ndarray
    predicted: np.ndarray
    references: Mapping[str, np.ndarray] = field(default_factory=dict)
    ratings: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def rounded(self) -> np.ndarray:
        """Predicted scores, rounded to scores of the scale."""
        return self.scale.round(self.predicted)

    @property
    def errors(self) -> np.ndarray:
        """Predicted less human score, not rounded."""
        return self.predicted - self.gold


def agreement_measures(scores: PromptScores, times: np.ndarray) -> dict[str, np.ndarray]:
    """
    `qwk`, `exact`, `adjacent` of rounded predictions; `qwk_continuous`, `pearson`, `rmse` and `smd` of those that are not, as
    RSMTool has them; and the QWK of each reference, rounded, as `length_qwk` and `ridge_qwk`, where it has scored all essays.

    Args:
        scores: of a prompt.
        times: as of [`bootstrap`].

    Returns:
        `measure -> (samples,)`. QWK, r and SMD are NaN where the human scores do not vary.
    """
    gold, rounded = scores.gold, scores.rounded
    steps = np.abs(scores.scale.steps(rounded) - scores.scale.steps(gold))
    varies = vary(gold, times)
    measures = {
        "qwk": np.where(varies, kappas(gold, rounded, times), np.nan),
        "qwk_continuous": np.where(varies, kappas(gold, scores.predicted, times), np.nan),
        "exact": means((steps == 0).astype(float), times),
        "adjacent": means((steps <= 1).astype(float), times),
        "pearson": correlations(gold, scores.predicted, times),
        "rmse": np.sqrt(means(scores.errors**2, times)),
        "smd": standardized_differences(gold, scores.predicted, times),
    }
    for name, reference in scores.references.items():
        if np.isfinite(reference).all():
            agreement = kappas(gold, scores.scale.round(reference), times)
            measures[f"{name}_qwk"] = np.where(varies, agreement, np.nan)
    return measures


def rater_measures(
    scores: PromptScores,
    raters: RaterPairSamples,
    rule: LabelRule | None,
    times: np.ndarray,
) -> dict[str, np.ndarray]:
    """
    What follows from two raters' agreement: `rater_qwk`; `degradation_qwk` and `degradation_pearson`, the raters' agreement
    less that of scorer and label; and, where it is known how labels follow from ratings, `disattenuated_pearson`, `prmse` and
    `ceiling_qwk`. All but PRMSE, which takes any number of ratings, are of the essays that both raters have rated: those that are
    read twice are often not like the others.

    Args:
        scores: of a prompt.
        raters: the two.
        rule: how labels follow from ratings; None where that is not known.
        times: as of [`bootstrap`].
    """
    qwk, pearson = raters.measures["qwk"], raters.measures["pearson"]
    both = PromptScores(scores.scale, scores.gold[raters.both], scores.predicted[raters.both])
    agreement = agreement_measures(both, times[:, raters.both])
    measures = {
        "rater_qwk": qwk,
        "degradation_qwk": qwk - agreement["qwk"],
        "degradation_pearson": pearson - agreement["pearson"],
    }
    if rule is not None:
        measures["disattenuated_pearson"] = disattenuated(agreement["pearson"], pearson, rule)
        measures["prmse"] = prmse(scores.predicted / rule.divisor, scores.ratings, times)
        measures["ceiling_qwk"] = label_noise_ceiling(qwk, rule)
    return measures
