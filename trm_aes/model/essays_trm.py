# Copyright 2026 The trm-aes authors. Licensed under the Apache License, Version 2.0.
"""What is known of a batch of essays, worked out once a forward pass and handed to all that read it."""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch

# Length of an ordinary essay, in tokens: log lengths are counted from there.
ORDINARY_LENGTH = 256


@dataclass
class EssayBatch:
    """
    Essays, with their prompts before them, as one batch.

    Args:
        input_ids (`torch.LongTensor` of shape `(batch, tokens)`): token ids; may be absent where `inputs_embeds` is given.
        token_type_ids (`torch.LongTensor` of shape `(batch, tokens)`): 0 prompt, 1 essay; all essay if absent.
        inputs_embeds (`torch.Tensor` of shape `(batch, tokens, embedding_size)`): word embeddings in place of the model's.
        attention_mask (`torch.Tensor` of shape `(batch, tokens)`): 0 for padding, on either side; no padding if absent.
        is_prompt, is_essay (`torch.BoolTensor` of shape `(batch, tokens)`): which tokens are whose; padding is neither.
        lengths (`torch.Tensor` of shape `(batch,)`): log lengths (see [`log_lengths`]), in standard deviations from the
            mean of their prompt's essays where the model knows its prompts.
        prompt_indices (`torch.LongTensor` of shape `(batch,)`): places of the essays' prompts in `config.score_ranges`;
            None where the model does not know its prompts.
        text_features (`torch.Tensor` of shape `(batch, features)`): what is countable in their texts, in standard
            deviations from the mean of their prompt's essays; None where the model takes none.
        encoded: a pretrained encoder's states of their word pieces ([`EncoderStates`]); None without such an encoder.
        source: what the recursive states read ([`TokenInput`] or [`LatentInput`]).
    """

    input_ids: Any
    token_type_ids: torch.Tensor | None
    inputs_embeds: torch.Tensor | None
    attention_mask: torch.Tensor | None
    is_prompt: torch.Tensor
    is_essay: torch.Tensor
    lengths: torch.Tensor
    prompt_indices: Any = None
    text_features: Any = None
    encoded: Any = None
    source: Any = None

    @classmethod
    def from_tensors(
        cls,
        input_ids: torch.Tensor | None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
    ) -> "EssayBatch":
        """
        Tells prompt, essay and padding apart: the one place where that is decided.

        Raises:
            ValueError: if there is neither `input_ids` nor `inputs_embeds`, or the mask is not one of tokens.
        """
        tokens = input_ids if inputs_embeds is None else inputs_embeds
        if tokens is None:
            raise ValueError("Give exactly one of `input_ids` and `inputs_embeds`.")
        shape = tokens.shape[:2]
        if attention_mask is not None and attention_mask.dim() != 2:
            raise ValueError(
                f"`attention_mask` must be (batch, tokens), 1 for tokens and 0 for padding; it has "
                f"{attention_mask.dim()} dimensions."
            )
        is_token = (
            torch.ones(shape, dtype=torch.bool, device=tokens.device)
            if attention_mask is None
            else attention_mask.bool()
        )
        if token_type_ids is None:
            is_essay = is_token
        else:
            is_essay = is_token & (token_type_ids == 1)
            # All tokens of a lone segment, which tokenizers number 0, are the essay's.
            is_essay = is_essay | (is_token & ~is_essay.any(dim=1, keepdim=True))
        return cls(
            input_ids=input_ids,
            token_type_ids=token_type_ids,
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            is_prompt=is_token & ~is_essay,
            is_essay=is_essay,
            lengths=log_lengths(is_essay),
        )

    @property
    def is_token(self) -> torch.Tensor:
        """Which places hold a token and not padding: `(batch, tokens)`."""
        return self.is_prompt | self.is_essay

    @property
    def batch_size(self) -> int:
        """How many essays there are. (`len()` would fix their number in an exported graph.)"""
        return self.is_essay.shape[0]

    def select(self, rows: torch.Tensor) -> "EssayBatch":
        """The essays of the given rows, with what their states read."""
        chosen = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, torch.Tensor):
                # A single row may serve the whole batch.
                value = value if len(value) == 1 else value[rows]
            elif value is not None:
                value = value.select(rows)
            chosen[field.name] = value
        return replace(self, **chosen)


def log_lengths(is_essay: torch.Tensor) -> torch.Tensor:
    """Logarithm of the number of an essay's tokens over that of an ordinary essay (256): `(batch,)` in float32."""
    return torch.log(is_essay.float().sum(dim=1).clamp(min=1) / ORDINARY_LENGTH)


def can_wait(device: torch.device) -> bool:
    """
    Whether shapes may follow from what the tensors hold. On an accelerator a little padding is cheaper than waiting to
    learn how much there is, and a compiled graph should not be cut.
    """
    return device.type == "cpu" and not torch.compiler.is_compiling()
