"""What a model with prompt registers is told of each prompt before training: its text's signature, and its scales."""

from collections.abc import Iterable, Sequence

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
MIN_MEASURED_SPREAD = 1e-6


@torch.no_grad()
def set_prompt_statistics(model: TRMForEssayScoring, data: EssayDataset, tokenizer: PreTrainedTokenizerBase):
    """
    Sets what the model's prompt bank knows of each prompt: how its text is recognized, and the mean and spread of its
    training essays' scores (0-1), log lengths and text features.

    Raises:
        InputError: if a prompt has no training essay.
    """
    has_features = bool(model.config.text_features)
    columns = ["prompt_id", "score", "token_type_ids", *(["text_features"] if has_features else [])]
    train = data.splits["train"].select_columns(columns).to_pandas()
    statistics: dict[str, list] = {"score_means": [], "score_stds": [], "length_means": [], "length_stds": []}
    if has_features:
        statistics |= {"feature_means": [], "feature_stds": []}
    essays_of = dict(list(train.groupby("prompt_id")))
    for prompt_id, score_range in data.score_ranges.items():
        essays = essays_of.get(prompt_id)
        if essays is None:
            raise InputError(f"{data.folder}: prompt {prompt_id!r} has no training essay.")
        scores = score_range.normalize(essays["score"].to_numpy())
        lengths = essay_lengths(essays["token_type_ids"])
        for name, values in (("score", scores), ("length", lengths)):
            statistics[f"{name}_means"].append(values.mean())
            statistics[f"{name}_stds"].append(max(values.std(), MIN_SPREAD))
        if has_features:
            features = np.stack(essays["text_features"].to_list())
            for name, values in zip(("means", "stds"), means_and_spreads(features), strict=True):
                statistics[f"feature_{name}"].append(values)
    model.model.prompt_bank.set_statistics(
        **{name: torch.tensor(np.array(values)) for name, values in statistics.items()}
    )
    set_signatures(model, data, tokenizer)


@torch.no_grad()
def set_signatures(model: TRMForEssayScoring, data: EssayDataset, tokenizer: PreTrainedTokenizerBase):
    """Sets how prompts are recognized by their texts: by the word embeddings that the model has now."""
    limits = data.card["token_limits"]
    texts = (data.prompt_texts[prompt_id] for prompt_id in data.score_ranges)
    signatures = [
        signature_of(model, tokenizer, text, limits["max_tokens"], limits["max_prompt_tokens"]) for text in texts
    ]
    model.model.prompt_bank.set_statistics(signatures=torch.stack(signatures))


def means_and_spreads(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Means and standard deviations of measures `(essays, measures)` of training essays, each `(measures,)`. What never varies
    says nothing: its spread is infinite, so that in this unit any value is the mean.
    """
    spreads = values.std(axis=0)
    return values.mean(axis=0), np.where(spreads > MIN_MEASURED_SPREAD, spreads, np.inf)


def essay_lengths(token_type_ids: Iterable[Sequence[int]]) -> np.ndarray:
    """Log lengths of essays, given the segments of their tokens, as the model works them out: `(essays,)`."""
    # One by one: the model, too, sees an essay's length alone.
    essay_tokens = [torch.ones(1, int(np.sum(segments)), dtype=torch.bool) for segments in token_type_ids]
    return np.array([log_lengths(is_essay).item() for is_essay in essay_tokens])


@torch.no_grad()
def signature_of(
    model: TRMForEssayScoring, tokenizer: PreTrainedTokenizerBase, text: str, max_tokens: int, max_prompt_tokens: int
) -> torch.Tensor:
    """The signature of a prompt's text as it comes before an essay, by which it is recognized: `(embedding_size,)`."""
    [encoded] = encode_essays(tokenizer, [text], [""], max_tokens, max_prompt_tokens)
    words = model.get_input_embeddings()(torch.tensor([encoded.input_ids], device=model.device))
    is_prompt = torch.tensor([encoded.token_type_ids], device=model.device) == 0
    return model.model.prompt_bank.signatures_of(words, is_prompt)[0]
