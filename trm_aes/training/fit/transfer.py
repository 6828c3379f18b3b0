"""Prompts that a trained model has never seen: what it starts from, before any of their essays has a score."""

import math

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from ...model.configuration_trm import TRMConfig
from ...model.modeling_trm import TRMForEssayScoring
from ...model.passages_trm import CHECKS, NO_LIMIT
from .prompts import signature_of

# What is known of the prompts trained on counts as much as so many of a new prompt's essays. From 0 to 30 nothing changes by
# more than 0.003 of QWK (docs/lab/experiments.md).
PRIOR_ESSAYS = 10


@torch.no_grad()
def with_prompts(
    model: TRMForEssayScoring,
    tokenizer: PreTrainedTokenizerBase,
    score_ranges: dict[str, list[float | str]],
    prompt_texts: dict[str, str],
) -> TRMForEssayScoring:
    """
    A copy of a model that scores more prompts. Of each new one it knows the mean of all that it knows of its other prompts
    (registers, weights of the heads, means and spreads), and the text; on the prompts it knew it scores as before.

    Args:
        model: with a prompt bank.
        tokenizer: the model's.
        score_ranges, prompt_texts: those of the new prompts alone, as in a [`TRMConfig`].
    """
    settings = model.config.to_dict()
    settings["score_ranges"] = {**settings["score_ranges"], **score_ranges}
    settings["prompt_texts"] = {**(settings["prompt_texts"] or {}), **prompt_texts}
    grown = TRMForEssayScoring(TRMConfig.from_dict(settings))
    order = list(grown.config.score_ranges)
    places = torch.tensor([order.index(prompt_id) for prompt_id in model.config.score_ranges])
    weights = model.state_dict()
    for name, values in grown.state_dict().items():
        old = weights[name].cpu()
        if values.shape == old.shape:
            values.copy_(old)
            continue
        # The one dimension that counts prompts.
        dimension = next(d for d in range(values.dim()) if values.shape[d] != old.shape[d])
        values.copy_(old.mean(dimension, keepdim=True).expand_as(values))
        values.index_copy_(dimension, places, old)
    if grown.passage_check is not None:
        # What is off topic for a prompt is not known from others; words in no order are the same for all, so the limit is the
        # mean over the prompts that have one.
        new = [order.index(prompt_id) for prompt_id in prompt_texts]
        limits, order_check = grown.passage_check.limits, CHECKS.index("order")
        known = limits[places, order_check]
        known = known[known > NO_LIMIT]
        limits[new, order_check] = known.mean() if len(known) else NO_LIMIT
        limits[new, CHECKS.index("topic")] = NO_LIMIT
    if grown.error_model is not None:
        # How far its human scores may lie from the expected ones is known from validation essays alone.
        grown.error_model.quantiles[[order.index(prompt_id) for prompt_id in prompt_texts]] = math.inf
    bank, max_tokens = grown.model.prompt_bank, min(tokenizer.model_max_length, grown.config.max_position_embeddings)
    for prompt_id, text in prompt_texts.items():
        signature = signature_of(grown, tokenizer, text, max_tokens, grown.config.max_prompt_tokens)
        bank.signatures[order.index(prompt_id)] = signature
    return grown.eval()


@torch.no_grad()
def set_spreads(
    means: torch.Tensor, stds: torch.Tensor, place: int, values: np.ndarray, known: torch.Tensor, least: float = 0.0
):
    """
    Sets mean and spread of something that is measured of essays for a new prompt: those of its few essays, drawn toward
    those of the known prompts as if these were [`PRIOR_ESSAYS`] essays more.

    Args:
        means, stds (`torch.Tensor` of shape `(prompts,)` or `(prompts, measures)`): what the model keeps; changed in place.
            What never varies has an infinite spread, and keeps it.
        place: of the new prompt.
        values: of its essays, `(essays,)` or `(essays, measures)`.
        known (`torch.Tensor` of shape `(known prompts,)`): places of the prompts that the model was trained on.
        least: the smallest spread.
    """
    known_means, known_stds = means[known].double().numpy(), stds[known].double().numpy()
    varies = np.isfinite(known_stds)
    variance = np.where(varies, known_stds, 0.0) ** 2
    variance = variance.sum(axis=0) / np.maximum(varies.sum(axis=0), 1)
    share = len(values) / (len(values) + PRIOR_ESSAYS)
    mean = share * values.mean(axis=0) + (1 - share) * known_means.mean(axis=0)
    spread = np.maximum(np.sqrt(share * values.var(axis=0) + (1 - share) * variance), least)
    means[place] = torch.as_tensor(mean)
    stds[place] = torch.as_tensor(np.where(varies.any(axis=0), spread, np.inf))
