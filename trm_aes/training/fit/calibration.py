"""What ends the training of a model that knows its prompts: scores and confidences matched to the validation essays."""

import pandas as pd
import torch

from ...evaluation.calibration import apply_calibrations, fit_calibrations, fit_shift
from ...model.modeling_trm import TRMForEssayScoring
from ...model.score_scale import ScoreRange, by_prompt, denormalize_by_prompt
from ...scoring.scorer import RawScores


@torch.no_grad()
def calibrate(model: TRMForEssayScoring, raw: RawScores, essays: pd.DataFrame, ranges: dict[str, ScoreRange]) -> dict:
    """
    Fits what a trained model says to its validation essays: lets its scores spread as the gold ones do, prompt by prompt
    (see [`fit_calibrations`]), and its confidences be right on average.

    Args:
        raw: the model's outputs for the validation essays.
        essays: their `prompt_id` and gold `score`, on the prompts' own scales.
        ranges: of the prompts, in the order of the model's configuration.

    Returns:
        What was changed: `scores`, a line for each prompt, and `halting_bias`, what was added to the halting head's.
    """
    gold = by_prompt(ScoreRange.normalize, essays["score"], essays["prompt_id"], ranges)
    lines = fit_calibrations(essays["prompt_id"], raw.normalized, gold)
    bank = model.model.prompt_bank
    for place, prompt_id in enumerate(ranges):
        if prompt_id in lines:
            bank.score_means[place] = lines[prompt_id].apply(bank.score_means[place].item())
            bank.score_stds[place] *= lines[prompt_id].slope
    calibrated = apply_calibrations(lines, essays["prompt_id"], raw.normalized)
    scores = denormalize_by_prompt(calibrated, essays["prompt_id"], ranges)
    is_right = by_prompt(ScoreRange.round, scores, essays["prompt_id"], ranges) == essays["score"].to_numpy()
    shift = fit_shift(raw.confidence, is_right)
    model.halt_head.bias.add_(shift)
    return {"scores": {prompt_id: vars(line) for prompt_id, line in lines.items()}, "halting_bias": shift}
