"""What a prompt's QWK can be held against: the noise of its labels."""

import numpy as np

# How ASAP's labels came about (the competition's own description, and the data): the sum of both raters, or one score
# on a rater's own scale (rater 1, or the higher).
SUMMED_PROMPTS = ("1", "7", "8")


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
