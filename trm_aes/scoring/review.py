"""Which essays people should read: those whose scores are least sure, by a threshold learned on validation essays."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..bounds import check_bounds
from ..errors import InputError

if TYPE_CHECKING:
    from .scorer import EssayScore, EssayScorer

NEEDS_REVIEW = "needs_review"


@dataclass(frozen=True)
class ReviewRule:
    """
    Tells whether a person should read an essay.

    Args:
        scorer: has an error model.
        threshold: the largest doubt (see [`doubt`]) of an essay that is released.
    """

    scorer: "EssayScorer"
    threshold: float

    @classmethod
    def of_share(cls, scorer: "EssayScorer", share: float) -> "ReviewRule":
        """
        The rule by which so large a share of the validation essays needs review. Of other essays the share may be another:
        each is judged by itself.

        Args:
            scorer: what scores.
            share: above 0 and below 1, in whole hundredths.

        Raises:
            InputError: if the share lies outside these bounds or between hundredths, or the scorer has no error model.
        """
        check_bounds({"review_share": share})
        thresholds, _ = _curves(scorer, "review_share")
        place = (1 - share) * (len(thresholds) - 1)
        if abs(place - round(place)) > 1e-6:
            raise InputError(f"`review_share` {share:g}: give whole hundredths, from 0.01 to 0.99.")
        return cls(scorer, float(thresholds[round(place)]))

    @classmethod
    def of_agreement(cls, scorer: "EssayScorer", agreement: float) -> "ReviewRule":
        """
        The rule that releases as many of the validation essays as it can, such that of those which it releases this share has
        the human score exactly.

        Args:
            scorer: what scores.
            agreement: above 0 and at most 1.

        Raises:
            InputError: if the agreement lies outside these bounds or is not reached, or the scorer has no error model.
        """
        check_bounds({"release_agreement": agreement})
        thresholds, reached = _curves(scorer, "release_agreement")
        places = np.flatnonzero(reached >= agreement - 1e-6)
        if not len(places):
            raise InputError(
                f"`release_agreement` {agreement:g}: however few essays {scorer.name} releases, at most {reached.max():.2f} of the "
                "validation essays released had exactly the human score. Choose a lower rate, or let people read all essays."
            )
        return cls(scorer, float(thresholds[places[-1]]))

    def doubt(self, score: "EssayScore", prompt_id: str) -> float:
        """
        How much speaks for a person who reads an essay: the predicted error in steps of the prompt's scale, or what the
        confidence lacks of 1, by what the scorer's `review_by` says.
        """
        if self.scorer.model.config.review_by == "confidence" or score.predicted_error is None:
            return 1 - score.confidence
        return score.predicted_error / self.scorer.score_ranges[prompt_id].step

    def needs_review(self, score: "EssayScore", prompt_id: str) -> bool:
        """
        Whether a person should read an essay that has got this score as one of this prompt: always if of a prompt that was
        added after training (see [`adapt_scorer`]), of whose errors nothing is known.
        """
        if self._is_added(prompt_id):
            return True
        # The threshold is an essay's own doubt: what is lost in floats must not send it to a person.
        return self.doubt(score, prompt_id) > self.threshold + 1e-6

    def _is_added(self, prompt_id: str) -> bool:
        # Limits of advisories are learned of all prompts when training ends, and of none later.
        limits = self.scorer.model.config.advisory_limits
        return limits is not None and prompt_id not in limits


def _curves(scorer: "EssayScorer", option: str) -> tuple[np.ndarray, np.ndarray]:
    error_model = scorer.model.error_model
    if error_model is None:
        raise InputError(
            f"`{option}`: {scorer.name} has no error model, which tells whose scores are least sure. Train it again with this "
            "version, a recipe that keeps prompts apart, and at least 30 validation essays."
        )
    # On the CPU first: an Apple GPU has no double precision.
    return error_model.thresholds.cpu().double().numpy(), error_model.released_agreement.cpu().double().numpy()
