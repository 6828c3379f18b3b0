"""What a model with prompt registers is told of each prompt before training: its text, and its scales."""

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from ...data.dataset import EssayDataset
from ...errors import InputError
from ...model.essay_tokens import encode_essays
from ...model.modeling_trm import TRMForEssayScoring, log_length

# A prompt whose training essays all have one score or one length still needs a unit.
MIN_SPREAD = 0.02
# Two texts whose mean embeddings are nearer than this cannot be told apart for sure.
MIN_DISTANCE = 1e-6


@torch.no_grad()
def describe_prompts(model: TRMForEssayScoring, data: EssayDataset, tokenizer: PreTrainedTokenizerBase):
    """
    Tells the model how to recognize each prompt, and the mean and spread of its training essays' scores and log lengths.

    Raises:
        InputError: if two prompts have the same text, or a prompt has no training essay.
    """
    prompts = model.model.prompts
    signatures = _signatures(model, data, tokenizer)
    distances = torch.cdist(signatures, signatures) + torch.eye(len(signatures))
    if (distances < MIN_DISTANCE).any():
        first, second = (list(data.score_ranges)[i] for i in (distances < MIN_DISTANCE).nonzero()[0].tolist())
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
            statistics[f"{name}_stds"].append(max(values.std(), MIN_SPREAD))
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
