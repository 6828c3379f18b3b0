"""What a model with prompt registers is told of each prompt before training: its text's signature, and its scales."""

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from ...data.dataset import EssayDataset
from ...errors import InputError
from ...model.essay_tokens import encode_essays
from ...model.essays_trm import log_lengths
from ...model.modeling_trm import TRMForEssayScoring

# A prompt whose training essays all have one score or one length still needs a unit.
MIN_SPREAD = 0.02


@torch.no_grad()
def set_prompt_statistics(model: TRMForEssayScoring, data: EssayDataset, tokenizer: PreTrainedTokenizerBase):
    """
    Sets what the model's prompt bank knows of each prompt: how its text is recognized, and the mean and spread of its
    training essays' scores (0-1) and log lengths.

    Raises:
        InputError: if a prompt has no training essay.
    """
    train = data.splits["train"].select_columns(["prompt_id", "score", "token_type_ids"]).to_pandas()
    statistics: dict[str, list[float]] = {"score_means": [], "score_stds": [], "length_means": [], "length_stds": []}
    for prompt_id, score_range in data.score_ranges.items():
        essays = train[train["prompt_id"] == prompt_id]
        if essays.empty:
            raise InputError(f"{data.folder}: prompt {prompt_id!r} has no training essay.")
        scores = score_range.normalize(essays["score"].to_numpy())
        # One by one: the model, too, sees an essay's length alone.
        essay_tokens = [torch.ones(1, int(np.sum(segments)), dtype=torch.bool) for segments in essays["token_type_ids"]]
        lengths = np.array([log_lengths(is_essay).item() for is_essay in essay_tokens])
        for name, values in (("score", scores), ("length", lengths)):
            statistics[f"{name}_means"].append(values.mean())
            statistics[f"{name}_stds"].append(max(values.std(), MIN_SPREAD))
    model.model.prompt_bank.set_statistics(
        signatures=_signatures(model, data, tokenizer),
        **{name: torch.tensor(values) for name, values in statistics.items()},
    )


def _signatures(model: TRMForEssayScoring, data: EssayDataset, tokenizer: PreTrainedTokenizerBase) -> torch.Tensor:
    """Of the prompts' texts as they come before an essay: `(num_prompts, embedding_size)`."""
    limits = data.card["token_limits"]
    signatures = []
    for prompt_id in data.score_ranges:
        text = data.prompt_texts[prompt_id]
        [encoded] = encode_essays(tokenizer, [text], [""], limits["max_tokens"], limits["max_prompt_tokens"])
        words = model.get_input_embeddings()(torch.tensor([encoded.input_ids]))
        is_prompt = torch.tensor([encoded.token_type_ids]) == 0
        signatures.append(model.model.prompt_bank.signatures_of(words, is_prompt)[0])
    return torch.stack(signatures)
