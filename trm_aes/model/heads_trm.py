# Copyright 2026 The trm-aes authors. Licensed under the Apache License, Version 2.0.
"""Heads beside the recursive score's: a linear one in closed form, and one of what is learned beside the score."""

from dataclasses import dataclass

import torch
from torch import nn

from .configuration_trm import TRMConfig
from .essays_trm import EssayBatch
from .layers_trm import TRMZeroEmbedding, word_weights
from .prompts_trm import standardize


@dataclass(frozen=True)
class LexicalInputs:
    """
    What linear heads read of a batch of essays.

    Args:
        input_ids (`torch.LongTensor` of shape `(batch, tokens)`): word pieces.
        shares (`torch.Tensor` of shape `(batch, tokens)`), counts (of shape `(batch, 3)`): see [`lexical_features`].
        features (`torch.Tensor` of shape `(batch, features)`): standardized text features; None where the model takes none.
        moments (`torch.Tensor` of shape `(batch, 2 * encoder width)`): standardized means and spreads of an encoder's states;
            None without one.
    """

    input_ids: torch.Tensor
    shares: torch.Tensor
    counts: torch.Tensor
    features: torch.Tensor | None
    moments: torch.Tensor | None


class TRMLexicalHead(nn.Module):
    """
    Scores an essay without recursion: a linear model of `1 + log(count)` for each word piece, the length, and the number
    of distinct word pieces (see [`lexical_features`]), with weights for each prompt. Where the model has them, text
    features and the mean and spread of a pretrained encoder's states are in it, too.
    """

    state_means: torch.Tensor
    state_stds: torch.Tensor

    def __init__(self, config: TRMConfig):
        super().__init__()
        num_prompts = len(config.score_ranges or {})
        self.words = TRMZeroEmbedding(config.vocab_size, num_prompts)
        self.counts = TRMZeroEmbedding(num_prompts, NUM_COUNTS)
        self.features = TRMZeroEmbedding(num_prompts, len(config.text_features)) if config.text_features else None
        self.states = None
        if config.encoder is not None:
            num_moments = 2 * config.encoder.hidden_size
            self.states = TRMZeroEmbedding(num_prompts, num_moments)
            self.register_buffer("state_means", torch.empty(num_prompts, num_moments))
            self.register_buffer("state_stds", torch.empty(num_prompts, num_moments))

    @torch.no_grad()
    def resize(self, vocab_size: int):
        """Forgets the words beyond `vocab_size`, or gives new ones a weight of zero."""
        self.words = self.words.resized(vocab_size)

    def forward(self, essays: EssayBatch, inputs: LexicalInputs | None = None) -> torch.Tensor:
        """
        Scores essays: `(batch,)` in float32, in standard deviations from their prompts' mean scores.

        Args:
            essays: a batch.
            inputs: what [`inputs_of`] gives of them, where that is worked out already.
        """
        prompt_indices, inputs = essays.prompt_indices, inputs or self.inputs_of(essays)
        with torch.autocast(inputs.shares.device.type, enabled=False):
            words = word_weights(self.words, inputs.input_ids, prompt_indices)
            scores = (inputs.shares * words).sum(dim=1)
            scores = scores + (inputs.counts * self.counts(prompt_indices).float()).sum(dim=1)
            if self.features is not None:
                scores = scores + (inputs.features * self.features(prompt_indices).float()).sum(dim=1)
            if self.states is not None:
                scores = scores + (inputs.moments * self.states(prompt_indices).float()).sum(dim=1)
            return scores

    def inputs_of(self, essays: EssayBatch) -> LexicalInputs:
        """What this head reads of essays."""
        ids, moments = essays.input_ids, None
        shares, counts = lexical_features(ids, essays.is_essay, essays.lengths, self.words.num_embeddings)
        with torch.autocast(shares.device.type, enabled=False):
            if self.states is not None:
                moments = self.standardize_moments(essays.encoded.moments(), essays.prompt_indices)
        return LexicalInputs(ids, shares, counts, essays.text_features, moments)

    def standardize_moments(self, moments: torch.Tensor, prompt_indices: torch.Tensor) -> torch.Tensor:
        """
        Means and spreads of an encoder's states (see [`EncoderStates.moments`]) in standard deviations from the mean of
        their prompts' essays, four at most: `(batch, 2 * encoder width)` in float32.
        """
        return standardize(moments, self.state_means[prompt_indices], self.state_stds[prompt_indices])


# Of a constant, the length, and the distinct word pieces.
NUM_COUNTS = 3


def lexical_features(
    input_ids: torch.Tensor, is_essay: torch.Tensor, lengths: torch.Tensor, vocab_size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    What the lexical head sees of essays, in training and in scoring.

    Args:
        input_ids, is_essay (`torch.Tensor` of shape `(batch, tokens)`): word pieces, and which of them count.
        lengths (`torch.Tensor` of shape `(batch,)`): standardized log lengths.
        vocab_size: the number of word pieces that there are.

    Returns:
        Both in float32: `(batch, tokens)`, each token's share of its word piece's feature, so that the `c` places of a
        word piece add up to `1 + log(c)`, and zero for tokens that do not count; and `(batch, 3)`: 1, the length, and
        the number of distinct word pieces in hundreds.
    """
    counted = is_essay.float()
    counts = counted.new_zeros(input_ids.shape[0], vocab_size).scatter_add_(1, input_ids, counted)
    count = counts.gather(1, input_ids).clamp(min=1)  # of each token's word piece: (batch, tokens)
    shares = counted * (1 + count.log()) / count
    # The `c` places of a word piece are one word piece; to look through the vocabulary takes longer.
    num_distinct = (counted / count).sum(dim=1).round() / 100
    return shares, torch.stack((torch.ones_like(num_distinct), lengths.float(), num_distinct), dim=1)


class TRMAuxiliaryHead(nn.Module):
    """
    Predicts what is learned beside the score (`config.auxiliary_targets`: raters' own scores, traits), each with weights
    shared by all prompts and weights of the prompt's own. It speaks in standard deviations from the mean of the prompt's
    training essays.
    """

    target_means: torch.Tensor
    target_stds: torch.Tensor

    def __init__(self, config: TRMConfig):
        super().__init__()
        num_prompts, num_targets = len(config.score_ranges or {}), len(config.auxiliary_targets or ())
        self.shared = nn.Linear(config.hidden_size, num_targets)
        self.weights = TRMZeroEmbedding(num_prompts, num_targets * config.hidden_size)
        self.biases = TRMZeroEmbedding(num_prompts, num_targets)
        self.register_buffer("target_means", torch.empty(num_prompts, num_targets))
        self.register_buffer("target_stds", torch.empty(num_prompts, num_targets))

    def forward(self, pooled: torch.Tensor, prompt_indices: torch.Tensor) -> torch.Tensor:
        """`pooled` `(batch, hidden_size)` to `(batch, targets)`, in float32."""
        with torch.autocast(pooled.device.type, enabled=False):
            pooled = pooled.float()
            weights = self.weights(prompt_indices).float().unflatten(1, (-1, pooled.shape[-1]))
            own = (weights * pooled[:, None]).sum(dim=-1) + self.biases(prompt_indices).float()
            return nn.functional.linear(pooled, self.shared.weight.float(), self.shared.bias.float()) + own

    def loss(self, predicted: torch.Tensor, labels: torch.Tensor, prompt_indices: torch.Tensor) -> torch.Tensor:
        """
        Mean squared error, in standard deviations, over the targets that an essay has; a scalar, 0 where none has any.

        Args:
            predicted (`torch.Tensor` of shape `(batch, targets)`): see [`forward`].
            labels (`torch.Tensor` of shape `(batch, targets)`): as they were given, NaN for those that are missing.
        """
        is_given = labels.isfinite()
        labels = torch.where(is_given, labels, 0.0)
        labels = (labels - self.target_means[prompt_indices]) / self.target_stds[prompt_indices]
        errors = (predicted - labels).square() * is_given
        return errors.sum() / is_given.sum().clamp(min=1)
