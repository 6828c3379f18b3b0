"""What a prompt's QWK can be held against: the noise of its labels."""

from trm_aes.evaluation import true_score
from trm_aes.evaluation.true_score import LabelRule

# How ASAP's labels came about (the competition's own description, and the data): the sum of both raters, or one score
# on a rater's own scale (rater 1, or the higher).
SUMMED_PROMPTS = ("1", "7", "8")


def label_noise_ceiling(agreement: float, prompt_id: str) -> float:
    """The ceiling of a prompt of ASAP whose raters agree by `agreement`, see [`true_score.label_noise_ceiling`]."""
    rule = LabelRule("sum" if prompt_id in SUMMED_PROMPTS else "higher", 2)
    return float(true_score.label_noise_ceiling(agreement, rule))
