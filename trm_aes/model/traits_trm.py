# Copyright 2026 The trm-aes authors. Licensed under the Apache License, Version 2.0.
"""Scores of traits (organization, conventions, …) beside the score of the whole essay."""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig

from .configuration_trm import TRMConfig
from .heads_trm import NUM_COUNTS, LexicalInputs
from .layers_trm import TRMZeroEmbedding


class TRMTraitHead(nn.Module):
    """
    Scores the traits of the configuration, each in the prompts that have it; such a trait and prompt are a *pair*.

    A pair has a linear model of its own of all that the lexical head reads, where the model has that head. Where traits are
    among the `auxiliary_targets`, the auxiliary head's predictions from the recursion's answer join in, with the recursive
    head's share in the score. Both speak in standard deviations from the mean of the prompt's training essays; `means` and
    `stds`, which calibration changes, put that on the trait's 0-1 scale.
    """

    places: torch.Tensor
    means: torch.Tensor
    stds: torch.Tensor

    def __init__(self, config: TRMConfig):
        super().__init__()
        self.config = config
        self.traits = list(config.traits or {})
        num_pairs = len(pairs_of(config))
        targets = config.auxiliary_targets or []
        self.targets = [targets.index(trait) for trait in self.traits] if set(self.traits) <= set(targets) else None
        self.words: Any = None
        self.counts: Any = None
        self.features: Any = None
        self.states: Any = None
        if config.lexical_head:
            self.words = _zeros(config.vocab_size, num_pairs)
            self.counts = _zeros(num_pairs, NUM_COUNTS)
            if config.text_features:
                self.features = _zeros(num_pairs, len(config.text_features))
            if config.encoder is not None:
                self.states = _zeros(num_pairs, 2 * config.encoder.hidden_size)
        self.register_buffer("means", torch.empty(num_pairs))
        self.register_buffer("stds", torch.empty(num_pairs))
        # Follows from the configuration.
        self.register_buffer("places", self.places_of_pairs(), persistent=False)

    def places_of_pairs(self) -> torch.Tensor:
        """The place of each prompt's pair with each trait among all pairs, -1 for none: `(prompts, traits)`."""
        place_of = {pair: place for place, pair in enumerate(pairs_of(self.config))}
        prompts = self.config.score_ranges or {}
        return torch.tensor([[place_of.get((trait, prompt), -1) for trait in self.traits] for prompt in prompts])

    @property
    def lexical_share(self) -> float:
        """The share of the linear models in the scores of traits, 0 to 1."""
        if self.targets is None:
            return 1.0
        return 0.0 if self.words is None else self.config.lexical_share

    @torch.no_grad()
    def resize(self, vocab_size: int):
        """Forgets the words beyond `vocab_size`, or gives new ones a weight of zero."""
        if self.words is not None:
            self.words = self.words.resized(vocab_size)

    def forward(
        self,
        prompt_indices: torch.Tensor,
        inputs: LexicalInputs | None,
        auxiliary: torch.Tensor | None,
        penalties: torch.Tensor | None,
    ) -> torch.Tensor:
        """
        Scores on the traits' 0-1 scales, not clipped: `(batch, traits)` in float32, NaN where the prompt lacks the trait.

        Args:
            prompt_indices (`torch.LongTensor` of shape `(batch,)`): the essays' prompts.
            inputs: what the lexical head reads; None without one.
            auxiliary (`torch.Tensor` of shape `(batch, targets)`): of the auxiliary head; None without one.
            penalties (`torch.Tensor` of shape `(batch,)`): what passages unlike the training essays take from every score, in
                standard deviations; None without a passage check.
        """
        with torch.autocast(prompt_indices.device.type, enabled=False):
            places = self.places[prompt_indices]
            has_trait, pairs = places >= 0, places.clamp(min=0)
            scores = torch.zeros_like(pairs, dtype=torch.float32)
            if inputs is not None and self.words is not None:
                scores = scores + self.lexical_share * self._linear(inputs, pairs)
            if auxiliary is not None and self.targets is not None:
                scores = scores + (1 - self.lexical_share) * auxiliary[:, self.targets].float()
            if penalties is not None:
                scores = scores - penalties.float()[:, None]
            scores = self.means[pairs].float() + self.stds[pairs].float() * scores
            return torch.where(has_trait, scores, torch.nan)

    def _linear(self, inputs: LexicalInputs, pairs: torch.Tensor) -> torch.Tensor:
        """What the pairs' own models say, `(batch, traits)`, in standard deviations."""
        # Of all pairs first: to look weights of words up costs more than to multiply them.
        of_words = (inputs.shares[..., None] * self.words(inputs.input_ids).float()).sum(dim=1)
        scores = of_words.gather(1, pairs)
        for weights, values in (
            (self.counts, inputs.counts),
            (self.features, inputs.features),
            (self.states, inputs.moments),
        ):
            if weights is not None and values is not None:
                scores = scores + (weights(pairs).float() * values.float()[:, None]).sum(dim=-1)
        return scores


def _zeros(num_embeddings: int, embedding_dim: int) -> TRMZeroEmbedding:
    """An embedding for whose making no random number is drawn: all other weights start as they would without traits."""
    return TRMZeroEmbedding(num_embeddings, embedding_dim, _weight=torch.zeros(num_embeddings, embedding_dim))


def pairs_of(config: PreTrainedConfig) -> list[tuple[str, str]]:
    """Traits and prompts that have them, `(trait, prompt_id)`, in the order of the trait head's weights."""
    return [(trait, prompt_id) for trait, ranges in (config.traits or {}).items() for prompt_id in ranges]
