"""What a model with prompt registers is told of each prompt: its text and scales before training, calibration after it."""

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedTokenizerBase

from ..calibration import apply_calibrations, fit_calibrations, fit_shift
from ..data.builder import EssayDataset
from ..errors import InputError
from ..modeling_trm import TRMForEssayScoring, log_length
from ..scorer import RawScores
from ..scores import ScoreRange, denormalize_by_prompt, round_scores
from ..tokenization import encode_essays

# A prompt whose training essays all have one score or one length still needs a unit.
LEAST_SPREAD = 0.02
# Two texts whose mean embeddings are nearer than this cannot be told apart for sure.
LEAST_DISTANCE = 1e-6


@torch.no_grad()
def describe_prompts(model: TRMForEssayScoring, data: EssayDataset, tokenizer: PreTrainedTokenizerBase):
    """
    Tells the model how to recognise each prompt, and the mean and spread of its training essays' scores and log lengths.

    Raises:
        InputError: if two prompts have the same text, or a prompt has no training essay.
    """
    prompts = model.model.prompts
    signatures = _signatures(model, data, tokenizer)
    distances = torch.cdist(signatures, signatures) + torch.eye(len(signatures))
    if (distances < LEAST_DISTANCE).any():
        first, second = (list(data.score_ranges)[i] for i in (distances < LEAST_DISTANCE).nonzero()[0].tolist())
        raise InputError(
            f"Prompts {first!r} and {second!r} have the same text, by which this recipe tells prompts apart. Give them "
            "different texts, or one prompt_id."
        )
    train = data.splits["train"].select_columns(["prompt_id", "score", "token_type_ids"]).to_pandas()
    statistics = {"score_means": [], "score_stds": [], "length_means": [], "length_stds": []}
    for prompt_id, score_range in data.score_ranges.items():
        essays = train[train["prompt_id"] == prompt_id]
        if essays.empty:
            raise InputError(f"{data.folder}: prompt {prompt_id!r} has no training essay.")
        scores = score_range.normalize(essays["score"].to_numpy())
        counts = [torch.ones(1, int(np.sum(segments))) for segments in essays["token_type_ids"]]
        lengths = np.array([log_length(count).item() for count in counts])
        for name, values in (("score", scores), ("length", lengths)):
            statistics[f"{name}_means"].append(values.mean())
            statistics[f"{name}_stds"].append(max(values.std(), LEAST_SPREAD))
    prompts.describe(signatures=signatures, **{name: torch.tensor(values) for name, values in statistics.items()})


def _signatures(model: TRMForEssayScoring, data: EssayDataset, tokenizer: PreTrainedTokenizerBase) -> torch.Tensor:
    """Of the prompts' texts as they come before an essay: `(prompts, embedding_size)`."""
    limits = data.card["token_limits"]
    signatures = []
    for prompt_id in data.score_ranges:
        text = data.prompt_texts[prompt_id]
        [encoded] = encode_essays(tokenizer, [text], [""], limits["max_tokens"], limits["max_prompt_tokens"])
        ids = torch.tensor([encoded.input_ids])
        is_prompt = torch.tensor([encoded.token_type_ids]) == 0
        signatures.append(model.model.prompts.sign(model.get_input_embeddings()(ids), is_prompt)[0])
    return torch.stack(signatures)


@torch.no_grad()
def calibrate(model: TRMForEssayScoring, raw: RawScores, essays: pd.DataFrame, ranges: dict[str, ScoreRange]) -> dict:
    """
    Fits what a trained model says to its validation essays: lets its scores spread as the gold ones do, prompt by prompt
    (see [`fit_calibrations`]), and its probabilities be right on average.

    Args:
        raw: the model's outputs for the validation essays.
        essays: their `prompt_id` and gold `score`, on the prompts' own scales.
        ranges: of the prompts, in the order of the model's configuration.

    Returns:
        What was changed: `scores`, a line for each prompt, and `halting_bias`, what was added to the halting head's.
    """
    gold = np.array([ranges[p].normalize(s) for p, s in zip(essays["prompt_id"], essays["score"], strict=True)])
    lines = fit_calibrations(essays["prompt_id"], raw.normalized, gold)
    prompts = model.model.prompts
    for place, prompt_id in enumerate(ranges):
        if prompt_id in lines:
            prompts.score_means[place] = lines[prompt_id].apply(prompts.score_means[place].item())
            prompts.score_stds[place] *= lines[prompt_id].slope
    calibrated = apply_calibrations(lines, essays["prompt_id"], raw.normalized)
    scores = denormalize_by_prompt(calibrated, essays["prompt_id"], ranges)
    is_right = round_scores(scores) == essays["score"].to_numpy()
    shift = fit_shift(raw.probability, is_right)
    model.halt_head.bias += shift
    return {"scores": {prompt_id: vars(line) for prompt_id, line in lines.items()}, "halting_bias": shift}
