# Copyright 2026 The trm-aes authors. Licensed under the Apache License, Version 2.0.
"""What is particular to each prompt: its register, its scales, and how its text is recognized."""

import torch
from torch import nn

from .configuration_trm import TRMConfig
from .essays_trm import EssayBatch
from .layers_trm import TRMZeroEmbedding

# Two texts whose mean embeddings differ by less than this share of their size cannot be told apart for sure.
MIN_RELATIVE_DISTANCE = 1e-4
# A text whose mean embedding differs by more than this share of its size from a prompt's is another text.
MAX_RELATIVE_DISTANCE = 0.05
# In standard deviations: an essay unlike all that were trained on is no more than this unlike them.
MAX_DEVIATION = 4.0


class TRMPromptEmbedding(nn.Embedding):
    """A vector for each prompt, beside states of unit root mean square."""


class TRMPromptBank(nn.Module):
    """
    What the model knows of each prompt of `config.score_ranges`, in their order. `prompt_indices` are places in it.

    Trained are each prompt's register (a vector that the latents see) and its own weights in the score's head. Told
    before training, by [`set_statistics`], are the mean and standard deviation of its scores on the 0-1 scale, in whose
    units the heads speak, of its essays' log lengths and of their text features, and its signature: the mean embedding of
    its text, by which an essay's prompt is recognized where the caller passes tokens and no `prompt_indices`.
    """

    signatures: torch.Tensor
    score_means: torch.Tensor
    score_stds: torch.Tensor
    length_means: torch.Tensor
    length_stds: torch.Tensor
    feature_means: torch.Tensor
    feature_stds: torch.Tensor

    def __init__(self, config: TRMConfig):
        super().__init__()
        num_prompts = len(config.score_ranges or {})
        self.prompt_ids = list(config.score_ranges or {})
        self.max_signature_tokens = config.max_prompt_tokens
        self.registers = TRMPromptEmbedding(num_prompts, config.hidden_size)
        self.score_weights = TRMZeroEmbedding(num_prompts, config.hidden_size)
        self.score_biases = TRMZeroEmbedding(num_prompts, 1)
        # Of word embeddings, which in some encoders (ELECTRA's kind) are narrower than the states.
        width = getattr(config.encoder, "embedding_size", None) or config.embedding_size or config.hidden_size
        self.register_buffer("signatures", torch.empty(num_prompts, width))
        self.register_buffer("score_means", torch.empty(num_prompts))
        self.register_buffer("score_stds", torch.empty(num_prompts))
        self.register_buffer("length_means", torch.empty(num_prompts))
        self.register_buffer("length_stds", torch.empty(num_prompts))
        if config.text_features:
            self.register_buffer("feature_means", torch.empty(num_prompts, len(config.text_features)))
            self.register_buffer("feature_stds", torch.empty(num_prompts, len(config.text_features)))

    def set_statistics(self, **statistics: torch.Tensor):
        """
        Sets what is known of the prompts before training.

        Args:
            statistics: `signatures` `(num_prompts, embedding_size)`; `score_means` and `score_stds` (0-1 scale),
                `length_means` and `length_stds` (of log lengths), each `(num_prompts,)`; `feature_means` and
                `feature_stds`, `(num_prompts, features)`, where the model takes text features.
        """
        for name, values in statistics.items():
            getattr(self, name).copy_(values)

    # ---- What a known prompt changes

    def standardize(self, essays: EssayBatch, prompt_indices: torch.Tensor, text_features: torch.Tensor | None):
        """
        Completes what is known of essays by their prompts: lengths and text features in units of these.

        Args:
            essays: changed in place.
            prompt_indices (`torch.LongTensor` of shape `(batch,)`): their prompts.
            text_features (`torch.Tensor` of shape `(batch, features)`): as counted, where the model takes them.
        """
        essays.prompt_indices = prompt_indices
        essays.lengths = self.standardize_lengths(essays.lengths, prompt_indices)
        if text_features is not None:
            essays.text_features = self.standardize_features(text_features, prompt_indices)

    def standardize_lengths(self, log_lengths: torch.Tensor, prompt_indices: torch.Tensor) -> torch.Tensor:
        """Log lengths in standard deviations from the mean of their prompts' essays; all `(batch,)`."""
        return (log_lengths - self.length_means[prompt_indices]) / self.length_stds[prompt_indices]

    def standardize_features(self, text_features: torch.Tensor, prompt_indices: torch.Tensor) -> torch.Tensor:
        """
        Text features in standard deviations from the mean of their prompts' essays, four at most; both
        `(batch, features)`, in float32.
        """
        return standardize(text_features, self.feature_means[prompt_indices], self.feature_stds[prompt_indices])

    def score_offsets(self, pooled: torch.Tensor, prompt_indices: torch.Tensor) -> torch.Tensor:
        """What the prompts' own weights add to the score's head: `pooled` `(batch, hidden_size)` to `(batch,)` float32."""
        with torch.autocast(pooled.device.type, enabled=False):
            weights, biases = self.score_weights(prompt_indices).float(), self.score_biases(prompt_indices).float()
            return (pooled.float() * weights).sum(dim=-1) + biases[:, 0]

    def to_unit_scale(self, scores: torch.Tensor, prompt_indices: torch.Tensor) -> torch.Tensor:
        """Scores in standard deviations about their prompts' mean score, to the prompts' 0-1 scales; all `(batch,)`."""
        return self.score_means[prompt_indices] + self.score_stds[prompt_indices] * scores

    # ---- Recognition by text

    def counts_for_signature(self, is_prompt: torch.Tensor) -> torch.Tensor:
        """A prompt's first `max_prompt_tokens` tokens, those that are never cut; `is_prompt` and this `(batch, tokens)`."""
        return is_prompt & (is_prompt.cumsum(dim=1) <= self.max_signature_tokens)

    def signatures_of(self, word_embeddings: torch.Tensor, is_prompt: torch.Tensor) -> torch.Tensor:
        """
        Mean embeddings of the prompts that stand before essays: `(batch, embedding_size)`.

        Args:
            word_embeddings (`torch.Tensor` of shape `(batch, tokens, embedding_size)`).
            is_prompt (`torch.BoolTensor` of shape `(batch, tokens)`): which of them are the prompt's.
        """
        weights = self.counts_for_signature(is_prompt).to(word_embeddings.dtype)
        sums = torch.matmul(weights[:, None], word_embeddings)[:, 0]
        return sums / weights.sum(dim=1, keepdim=True).clamp(min=1)

    def recognize(self, word_embeddings: torch.Tensor, is_prompt: torch.Tensor) -> torch.Tensor:
        """
        The prompts whose texts these are: their indices, `(batch,)`. Arguments are those of [`signatures_of`]. A model's
        only prompt is taken for every essay's.

        Raises:
            ValueError: if a text is no prompt's (an essay that comes alone has none), such a prompt's text is also
                another's, or [`set_statistics`] was never called. (None of it is looked for in a compiled graph.)
        """
        signatures = self.signatures_of(word_embeddings, is_prompt).float()
        distances = (signatures[:, None] - self.signatures.float()).square().sum(dim=-1)  # (batch, num_prompts)
        prompt_indices = distances.argmin(dim=1)
        if not torch.compiler.is_compiling():
            self._check_told_apart(prompt_indices, distances.min(dim=1).values.sqrt())
        return prompt_indices

    def _check_told_apart(self, prompt_indices: torch.Tensor, distances_to_nearest: torch.Tensor):
        known = self.signatures.float()
        if len(known) == 1:
            return
        if not known.any():
            raise ValueError(
                "This model has not been told its prompts' texts (`TRMPromptBank.set_statistics`), so it cannot recognize "
                "them. Pass `prompt_indices`."
            )
        is_far = distances_to_nearest > MAX_RELATIVE_DISTANCE * known.norm(dim=1)[prompt_indices]
        if is_far.any():
            raise ValueError(
                f"Essay {int(is_far.nonzero()[0])} of the batch comes without a prompt that this model knows, and it scores "
                f"several: {', '.join(self.prompt_ids)}. Pass the prompt's text before the essay, as it was in training "
                "(`text` and `text_pair` of a pipeline; `config.prompt_texts` has it), or `prompt_indices`."
            )
        # Pair by pair: the faster way, by a matrix product, is too coarse for texts that differ by a word.
        distances = torch.cdist(known, known, compute_mode="donot_use_mm_for_euclid_dist")
        distances.fill_diagonal_(float("inf"))
        is_same = distances <= MIN_RELATIVE_DISTANCE * known.norm(dim=1).max()
        doubtful = is_same[prompt_indices].any(dim=1)
        if doubtful.any():
            first = prompt_indices[doubtful][0]
            others = [self.prompt_ids[place] for place in is_same[first].nonzero()[:, 0].tolist()]
            raise ValueError(
                f"Prompts {self.prompt_ids[first]!r} and {others[0]!r} cannot be told apart by their texts. Pass "
                "`prompt_indices`: for each essay, its prompt's place in the configuration's `score_ranges`."
            )


def standardize(values: torch.Tensor, means: torch.Tensor, stds: torch.Tensor) -> torch.Tensor:
    """Values in standard deviations from their means, four at most; all of one shape, in float32."""
    return ((values.float() - means.float()) / stds.float()).clamp(-MAX_DEVIATION, MAX_DEVIATION)
