"""What a model with prompt registers is told of each prompt: its text and scales before training, calibration after it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedTokenizerBase

from ..calibration import Calibration, fit_calibrations
from ..data.builder import EssayDataset
from ..errors import InputError
from ..modeling_trm import TRMForEssayScoring, log_length
from ..scores import ScoreRange
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
def calibrate(
    model: TRMForEssayScoring,
    normalized: np.ndarray,
    prompt_ids: Sequence[str],
    scores: Sequence[float],
    ranges: dict[str, ScoreRange],
) -> dict[str, Calibration]:
    """
    Lets the model's validation scores spread as the gold ones do, prompt by prompt: see [`fit_calibrations`].

    Args:
        normalized: the model's scores of the validation essays, 0-1.
        prompt_ids, scores: their prompts and gold scores, on the prompts' own scales.
        ranges: of the prompts, in the order of the model's configuration.

    Returns:
        What was changed, by prompt.
    """
    frame = pd.DataFrame({"prompt_id": list(prompt_ids), "score": list(scores)})
    normalized = np.asarray(normalized, dtype=float).reshape(-1)
    gold = np.array([ranges[p].normalize(s) for p, s in zip(frame["prompt_id"], frame["score"], strict=True)])
    calibrations = fit_calibrations(frame["prompt_id"], normalized, gold)
    prompts = model.model.prompts
    for place, prompt_id in enumerate(ranges):
        if prompt_id in calibrations:
            line = calibrations[prompt_id]
            prompts.score_means[place] = line.intercept + line.slope * prompts.score_means[place]
            prompts.score_stds[place] *= line.slope
    return calibrations
