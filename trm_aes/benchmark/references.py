"""What a prompt's QWK can be held against: the raters with each other, and the noise of the labels."""

import numpy as np
import pandas as pd

from ..metrics import quadratic_weighted_kappa
from ..scores import ScoreRange

# How ASAP's labels came about (the competition's own description, and the data): the sum of both raters, or one score
# on a rater's own scale (rater 1, or the higher).
SUMMED_PROMPTS = ("1", "7", "8")


def rater_agreement(essays: pd.DataFrame, prompt_id: str, score_range: ScoreRange) -> float:
    """
    QWK of the two raters of one prompt, over a rater's scale: half the label's where the label is a sum.

    Args:
        essays: with the columns `rater1` and `rater2`.
        prompt_id, score_range: the prompt, and the range of its labels.
    """
    both = essays[["rater1", "rater2"]].dropna().to_numpy().round().astype(int)
    low, high = score_range.min_score, score_range.max_score
    if prompt_id in SUMMED_PROMPTS:
        low, high = low // 2, high // 2
    low, high = min(low, both.min()), max(high, both.max())
    return quadratic_weighted_kappa(both[:, 0], both[:, 1], int(low), int(high))


def label_noise_ceiling(agreement: float, prompt_id: str) -> float:
    """
    The most that a predictor of the true score can be expected to agree with a label, which is noisy.

    With `r` the agreement of two raters, a label that is one rating has the reliability `r`, one that sums two has
    `2 r / (1 + r)` (Spearman-Brown); true score and label correlate by its square root (classical test theory). The
    higher of two ratings counts as one. Compare "Has Automated Essay Scoring Reached Sufficient Accuracy?",
    arXiv 2604.19131.
    """
    reliability = 2 * agreement / (1 + agreement) if prompt_id in SUMMED_PROMPTS else agreement
    return float(np.sqrt(max(0.0, reliability)))
