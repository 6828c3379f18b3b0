# Copyright 2026 The trm-aes authors. Licensed under the Apache License, Version 2.0.
"""
What the recursive states read at each step, in two kinds with one interface:

    TokenInput    a state for each token, and `x` is the embedded token, as published
    LatentInput   a few latents have states, and `x` is what they read of the tokens by cross-attention

Both have `embeds` (batch, states, hidden_size), `num_states`, `mask` (batch, states) or None, `position_ids`,
`read(states)` and `select(rows)`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils.generic import is_flash_attention_requested

from .configuration_trm import TRMConfig
from .essays_trm import EssayBatch, can_wait
from .layers_trm import TRMEmbeddings, TRMTokenMixer, TRMZeroLinear, eager_attention_forward, rms_norm


@dataclass
class TokenInput:
    """
    Embedded tokens, which every state reads its own of.

    Args:
        embeds (`torch.Tensor` of shape `(batch, tokens, hidden_size)`).
        mask (`torch.Tensor` of shape `(batch, tokens)`): 0 for padding; None without any.
        position_ids (`torch.LongTensor` of shape `(batch or 1, tokens)`): by default tokens counted without padding.
    """

    embeds: torch.Tensor
    mask: torch.Tensor | None
    position_ids: torch.Tensor

    @property
    def num_states(self) -> int:
        """One for each token."""
        return self.embeds.shape[1]

    def read(self, states: torch.Tensor) -> torch.Tensor:
        """`x`, whatever the states are: `(batch, tokens, hidden_size)`."""
        return self.embeds

    def select(self, rows: torch.Tensor) -> "TokenInput":
        """That of the given rows of the batch; positions that serve the whole batch are kept as they are."""
        positions = self.position_ids if len(self.position_ids) == 1 else self.position_ids[rows]
        return TokenInput(self.embeds[rows], None if self.mask is None else self.mask[rows], positions)


def count_positions(attention_mask: torch.Tensor | None, num_states: int, device: torch.device) -> torch.Tensor:
    """Positions of tokens, counted without padding: `(batch, tokens)`, or `(1, num_states)` where there is no mask."""
    if attention_mask is None:
        return torch.arange(num_states, device=device)[None]
    return (attention_mask.long().cumsum(dim=-1) - 1).clamp(min=0)


class TRMLatentReader(nn.Module):
    """
    What latents read of the tokens: multi-head cross-attention (Perceiver, arXiv 2103.03206), normalized, beside the
    latents' own embeddings, to which are added the essay's length, its text features, and its prompt's register. Those
    take part in every read and not in the initial states, which no gradient reaches.

    The tokens are word embeddings mixed by convolutions, or the states of a pretrained encoder, as they are.
    """

    def __init__(self, config: TRMConfig):
        super().__init__()
        self.config = config
        width = config.hidden_size if config.encoder is None else config.encoder.hidden_size
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_dim**-0.5
        self.is_causal = False
        self.eps = config.rms_norm_eps
        self.latents = nn.Parameter(torch.empty(config.num_latents, config.hidden_size))
        # Attention averages, so it cannot count.
        self.length = nn.Parameter(torch.empty(config.hidden_size))
        num_features = len(config.text_features or ())
        self.features = TRMZeroLinear(num_features, config.hidden_size, bias=False) if num_features else None
        self.mixer: Any = TRMTokenMixer(config) if config.encoder is None else None
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.kv_proj = nn.Linear(width, 2 * config.hidden_size, bias=False)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def read_words(
        self, essays: EssayBatch, embeddings: TRMEmbeddings, registers: torch.Tensor | None
    ) -> "LatentInput":
        """
        Embeds and mixes words, once for all steps.

        Args:
            essays: their words, and which tokens are whose.
            embeddings: of the words.
            registers (`torch.Tensor` of shape `(batch, hidden_size)`): of the essays' prompts, where the model knows
                them. They say more of a prompt than its text, which is not read then.
        """
        is_read = essays.is_token if registers is None else essays.is_essay  # (batch, tokens)
        inputs = (essays.input_ids, essays.token_type_ids, essays.inputs_embeds)
        if can_wait(is_read.device):
            packing = TRMPacking(is_read, gap=self.config.convolution_size // 2)
            packed: list[Any] = [None if values is None else packing.pack(values) for values in inputs]
            convolved = None
            if essays.inputs_embeds is None and not self.training:
                distinct, places = embeddings.distinct(packed[0], packed[1], packing.is_token)
                embeds, convolved = distinct[places], self.mixer.convolve_distinct(distinct, places)
            else:
                embeds = embeddings(*packed)
            encoded = packing.unpack(self.encode_words(embeds, packing.is_token, convolved))
            is_read = packing.unpacked_mask
        else:
            embeds = embeddings(*inputs)  # (batch, tokens, hidden_size)
            encoded = self.encode_words(embeds, is_read)  # (batch, tokens, 2 * hidden_size)
        return self._input(encoded, is_read, essays, registers)

    def read_states(self, essays: EssayBatch, registers: torch.Tensor | None) -> "LatentInput":
        """As [`read_words`], of a pretrained encoder's states."""
        read = essays.encoded if not self.training else essays.encoded.drop(self.config.word_dropout_prob)
        states, is_read = read.states, read.is_state
        if can_wait(is_read.device):
            packing = TRMPacking(is_read, gap=0)
            encoded, is_read = packing.unpack(self.kv_proj(packing.pack(states))), packing.unpacked_mask
        else:
            encoded = self.kv_proj(states)
        return self._input(encoded, is_read, essays, registers)

    def _input(
        self, encoded: torch.Tensor, is_read: torch.Tensor, essays: EssayBatch, registers: torch.Tensor | None
    ) -> "LatentInput":
        key, value = self.split_heads(encoded)
        identities = self.identities(essays.lengths, essays.text_features, registers).to(encoded.dtype)
        token_mask: Any
        if is_flash_attention_requested(self.config):
            token_mask = is_read[:, None, None, :]  # the reader goes by SDPA then, see `forward`
        else:
            token_mask = create_bidirectional_mask(
                config=self.config,
                inputs_embeds=identities,
                attention_mask=is_read.to(torch.long),
                encoder_hidden_states=encoded,
            )
        return LatentInput(self, key, value, token_mask, identities)

    def encode_words(
        self, tokens: torch.Tensor, is_token: torch.Tensor, convolved: torch.Tensor | None = None
    ) -> torch.Tensor:
        """
        Keys and values of words: `(batch, tokens, 2 * hidden_size)`.

        Args:
            tokens (`torch.Tensor` of shape `(batch, tokens, hidden_size)`): embedded.
            is_token (`torch.BoolTensor` of shape `(batch, tokens)`): which of them stand for anything.
            convolved: see [`TRMTokenMixer`].
        """
        return self.kv_proj(self.mixer(tokens, is_token, convolved))

    def split_heads(self, encoded: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values, each `(batch, heads, tokens, head_dim)`, of `encoded` `(batch, tokens, 2 * hidden_size)`."""
        key, value = encoded.view(*encoded.shape[:-1], 2, -1, self.head_dim).unbind(dim=2)
        return key.transpose(1, 2), value.transpose(1, 2)

    def identities(
        self, lengths: torch.Tensor, text_features: torch.Tensor | None, registers: torch.Tensor | None
    ) -> torch.Tensor:
        """
        What the latents of each essay know of themselves and of it: `(batch, num_latents, hidden_size)`.

        Args:
            lengths (`torch.Tensor` of shape `(batch,)`): log lengths, standardized where the prompt is known.
            text_features (`torch.Tensor` of shape `(batch, features)`): standardized, where the model takes them.
            registers (`torch.Tensor` of shape `(batch, hidden_size)`): of the essays' prompts, where known.
        """
        of_essay = lengths[:, None] * self.length
        if self.features is not None and text_features is not None:
            of_essay = of_essay + self.features(text_features.to(self.features.weight.dtype))
        if registers is not None:
            of_essay = of_essay + registers
        return self.latents + of_essay[:, None]

    def forward(self, states: torch.Tensor, source: "LatentInput") -> torch.Tensor:
        """What latents in these states read: `(batch, num_latents, hidden_size)`, as the states are."""
        query = self.q_proj(states + source.identities)  # (batch, num_latents, hidden_size)
        # (batch, heads, num_latents, head_dim)
        query = query.view(*states.shape[:-1], -1, self.head_dim).transpose(1, 2)
        implementation = self.config._attn_implementation
        if is_flash_attention_requested(self.config):
            # Its kernels want as many queries as keys where there is padding; a few latents lose nothing by it.
            implementation = "sdpa"
        attention: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(implementation, eager_attention_forward)
        output, _ = attention(
            self, query, source.key, source.value, source.token_mask, scaling=self.scaling, dropout=0.0
        )
        return source.identities + rms_norm(self.o_proj(output.reshape(states.shape)), self.eps)


@dataclass
class LatentInput:
    """
    Encoded tokens, which latents read by cross-attention. Keys and values are the same at every step, and computed once.

    Args:
        reader: computes a read.
        key, value (`torch.Tensor` of shape `(batch, heads, tokens, head_dim)`): of the tokens.
        token_mask: the attention mask over them, as the attention implementation wants it; None without padding.
        identities (`torch.Tensor` of shape `(batch, num_latents, hidden_size)`): see [`TRMLatentReader.identities`].
    """

    reader: TRMLatentReader
    key: torch.Tensor
    value: torch.Tensor
    token_mask: torch.Tensor | None
    identities: torch.Tensor
    # No latent is padding.
    mask: None = None

    @property
    def embeds(self) -> torch.Tensor:
        """A tensor of the states' shape, type and device: `(batch, num_latents, hidden_size)`."""
        return self.identities

    @property
    def num_states(self) -> int:
        """One for each latent."""
        return self.identities.shape[1]

    @property
    def position_ids(self) -> torch.Tensor:
        """The latents' places, `(1, num_latents)`: they tell latents apart, and say nothing of the text."""
        return count_positions(None, self.num_states, self.identities.device)

    def read(self, states: torch.Tensor) -> torch.Tensor:
        """`x`: what the states `(batch, num_latents, hidden_size)` read, of the same shape."""
        return self.reader(states, self)

    def select(self, rows: torch.Tensor) -> "LatentInput":
        """That of the given rows of the batch."""
        mask = None if self.token_mask is None else self.token_mask[rows]
        return LatentInput(self.reader, self.key[rows], self.value[rows], mask, self.identities[rows])


class TRMPacking:
    """
    The tokens of a batch in one row, essay after essay, so that no work is done on padding.

    Args:
        is_token (`torch.BoolTensor` of shape `(batch, tokens)`): which to keep.
        gap: places before, between and after essays, so that a convolution does not see a neighbor. What stands there means
            nothing.
    """

    def __init__(self, is_token: torch.Tensor, gap: int):
        lengths = is_token.sum(dim=1)  # (batch,)
        ranks = is_token.cumsum(dim=1) - 1  # a token's place in its own essay: (batch, tokens)
        starts = ((lengths + gap).cumsum(dim=0) - lengths)[:, None]  # an essay's place in the row: (batch, 1)
        places = (ranks + starts)[is_token]  # (kept tokens,)
        self.length = _round_up(int(lengths.sum()) + gap * (len(lengths) + 1))
        self.width = _round_up(int(lengths.max()))
        self.is_token = is_token.new_zeros(1, self.length)  # which places of the row hold a token
        self.is_token[0, places] = True
        # Both ways rows are looked up and not put in their places, which would take a second pass over them.
        self._sources = places.new_zeros(self.length)
        self._sources[places] = is_token.flatten().nonzero()[:, 0]
        columns = torch.arange(self.width, device=is_token.device)
        self._unpacked_sources = (starts + columns).clamp(max=self.length - 1)  # (batch, width)
        self.unpacked_mask = columns < lengths[:, None]  # (batch, width)

    def pack(self, values: torch.Tensor) -> torch.Tensor:
        """`(batch, tokens, ...)` to `(1, length, ...)`."""
        return values.flatten(0, 1).index_select(0, self._sources)[None]

    def unpack(self, values: torch.Tensor) -> torch.Tensor:
        """`(1, length, size)` to `(batch, width, size)`; what stands behind an essay's end means nothing."""
        kept = values[0].index_select(0, self._unpacked_sources.flatten())
        return kept.view(*self._unpacked_sources.shape, -1)


def _round_up(size: int) -> int:
    """
    Rounds to one of a few sizes, by an eighth at most: oneDNN keeps what it has compiled for each shape, up to hundreds of
    MiB where no two batches have the same.
    """
    grain = 1 << max(0, size.bit_length() - 4)
    return -(-size // grain) * grain
