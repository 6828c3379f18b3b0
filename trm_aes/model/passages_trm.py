# Copyright 2026 The trm-aes authors. Licensed under the Apache License, Version 2.0.
"""The passage check: which passages of an essay are unlike what the prompt's training essays are made of."""

import torch
from torch import nn

from .configuration_trm import TRMConfig
from .essays_trm import EssayBatch
from .layers_trm import TRMZeroEmbedding, word_weights

# Tokens of a passage: enough words to tell a topic by.
PASSAGE_SIZE = 64
# Two neighboring word pieces are one of so many kinds of pairs; a few kinds hold more than one pair.
NUM_PAIRS = 1 << 17
# Primes, so that neighbors that swap places are another kind of pair.
FIRST_FACTOR, SECOND_FACTOR = 1_000_003, 7_919
# What a passage is held against: the words of its prompt's training essays, and their order.
CHECKS = ("topic", "order")
# Nothing lies below it: of a prompt without a limit.
NO_LIMIT = -1e4


# The share of its pairs that must be known for a passage's order to be judged.
MIN_KNOWN = 0.5


class TRMPassageCheck(nn.Module):
    """
    Lowers an essay's score by the share of it that is unlike the training essays, so that text appended to it, or words in
    no order, do not count as writing.

    An essay is looked at in passages of about [`PASSAGE_SIZE`] tokens, in two ways (see `training/fit/passages.py`). A
    passage's topic is linear in its words, and in the mean of an encoder's states where there is one: a discriminant that
    tells the prompt's essays from other text. Its order is the mean, over pairs of neighbors, of
    log p(second | first) / p(second) in essays of all prompts. Hardly any passage of the training essays lies below a
    prompt's limits; one that lies a spread below a limit is wholly unlike them.
    """

    limits: torch.Tensor
    spreads: torch.Tensor
    penalties: torch.Tensor

    def __init__(self, config: TRMConfig):
        super().__init__()
        num_prompts = len(config.score_ranges or {})
        # Of the longest essay.
        self.most_passages = max(1, round(config.max_position_embeddings / PASSAGE_SIZE))
        self.words = TRMZeroEmbedding(config.vocab_size, num_prompts)
        self.states = None if config.encoder is None else TRMZeroEmbedding(num_prompts, config.encoder.hidden_size)
        self.pairs = TRMZeroEmbedding(NUM_PAIRS, 1)
        self.register_buffer("limits", torch.empty(num_prompts, len(CHECKS)))
        self.register_buffer("spreads", torch.empty(num_prompts, len(CHECKS)))
        self.register_buffer("penalties", torch.empty(num_prompts, len(CHECKS)))

    @torch.no_grad()
    def resize(self, vocab_size: int):
        """Forgets the words beyond `vocab_size`; new ones say nothing of a topic."""
        self.words = self.words.resized(vocab_size)

    def forward(self, essays: EssayBatch) -> torch.Tensor:
        """The shares of essays that are unlike the training essays, by topic and by order: `(batch, 2)`, 0 to 1."""
        prompts = essays.prompt_indices
        with torch.autocast(essays.input_ids.device.type, enabled=False):
            ratios, sizes = self.passage_ratios(essays)
            below = (self.limits[prompts][:, None] - ratios) / self.spreads[prompts][:, None]
            weights = sizes / sizes.sum(dim=1, keepdim=True).clamp(min=1)
            return (below.clamp(0, 1) * weights[..., None]).sum(dim=1)

    def penalty(self, shares: torch.Tensor, prompt_indices: torch.Tensor) -> torch.Tensor:
        """What shares `(batch, 2)` cost, `(batch,)`: in standard deviations of the prompt's scores, not negative."""
        return (shares * self.penalties[prompt_indices]).sum(dim=1)

    def passage_ratios(self, essays: EssayBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Topic and order of each passage `(batch, passages, 2)`, and its tokens `(batch, passages)`: zeros where an essay has
        fewer passages than the batch's longest may have.
        """
        ids, is_essay, prompts = essays.input_ids, essays.is_essay, essays.prompt_indices
        passages = number_passages(is_essay).clamp(max=self.most_passages - 1)
        topic, sizes = self._mean(word_weights(self.words, ids, prompts), is_essay, passages)
        if self.states is not None:
            # An essay's word pieces are its tokens but for the separator at the end, so the n-th state is the n-th token's.
            states, is_state = essays.encoded.states.float(), essays.encoded.is_state
            read = (states @ self.states(prompts).float()[:, :, None])[..., 0]  # (batch, pieces)
            of_states = number_places(is_essay.sum(dim=1, keepdim=True), read.shape[1]).clamp(
                max=self.most_passages - 1
            )
            topic = topic + self._mean(read, is_state, of_states)[0]
        is_pair = is_essay[:, :-1] & is_essay[:, 1:]
        pairs = self.pairs(pair_kinds(ids)).float()[..., 0]
        # Pairs that no training essay has say nothing; where hardly any is known, text of another kind is not out of order.
        order, known = self._mean(pairs, is_pair & (pairs != 0), passages[:, 1:])
        order = torch.where(known < MIN_KNOWN * sizes, -NO_LIMIT, order)
        return torch.stack((topic, order), dim=-1), sizes

    def _mean(self, values: torch.Tensor, counts: torch.Tensor, passages: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Means over passages of the values that count, and how many these are: each `(batch, passages)`."""
        weights = counts.float()
        empty = weights.new_zeros(weights.shape[0], self.most_passages)
        sizes = empty.scatter_add(1, passages, weights)
        return empty.scatter_add(1, passages, values * weights) / sizes.clamp(min=1), sizes


def number_passages(is_essay: torch.Tensor) -> torch.Tensor:
    """
    The passage that each token of an essay is in, from 0: `(batch, tokens)`. An essay's passages are as long as one
    another, about [`PASSAGE_SIZE`] tokens. Places that are no token of the essay have a number, too, which means nothing.
    """
    places = (is_essay.cumsum(dim=1) - 1).clamp(min=0)
    lengths = is_essay.sum(dim=1, keepdim=True)
    return number_places(lengths, is_essay.shape[1]).gather(1, places)


def number_places(lengths: torch.Tensor, num_places: int) -> torch.Tensor:
    """The passage of the n-th token of essays of so many tokens: `lengths` `(batch, 1)` to `(batch, num_places)`."""
    lengths = lengths.clamp(min=1)
    passages = torch.div(lengths + PASSAGE_SIZE // 2, PASSAGE_SIZE, rounding_mode="floor").clamp(min=1)
    return torch.div(torch.arange(num_places, device=lengths.device) * passages, lengths, rounding_mode="floor")


def pair_kinds(input_ids: torch.Tensor) -> torch.Tensor:
    """The kind of pair that each token makes with the next one: `(batch, tokens)` to `(batch, tokens - 1)`."""
    return (input_ids[:, :-1] * FIRST_FACTOR + input_ids[:, 1:] * SECOND_FACTOR) % NUM_PAIRS
