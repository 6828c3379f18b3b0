# Copyright 2026 The trm-aes authors. Licensed under the Apache License, Version 2.0.
"""What a TRM is made of: embeddings, the layer of the shared network, convolutions over the tokens, and linear heads."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs

from .configuration_trm import TRMConfig


def rms_norm(hidden_states: torch.Tensor, eps: float) -> torch.Tensor:
    """Root-mean-square normalization over the last dimension, without weights, as in the published model; shape kept."""
    return nn.functional.rms_norm(hidden_states, (hidden_states.shape[-1],), eps=eps)


def rotate_half(x: torch.Tensor) -> torch.Tensor:
    """Turns each pair of features `(x_i, x_{i + d/2})` by a quarter: `(..., head_dim)` to the same shape."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


def apply_rotary_pos_emb(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """
    Rotates `x` by position (RoFormer, arXiv 2104.09864), in float32: `(..., head_dim)` to the same shape, to which the
    cosines and sines `(..., head_dim)` are broadcast.
    """
    rotated = torch.addcmul(x.float() * cos, rotate_half(x.float()), sin)
    return rotated.to(x.dtype)


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs,
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Attention written out: the reference for the faster implementations, and the one that returns weights.

    Args:
        module: the attention layer; dropout follows its training mode.
        query (`torch.Tensor` of shape `(batch, heads, queries, head_dim)`).
        key, value (`torch.Tensor` of shape `(batch, heads, keys, head_dim)`).
        attention_mask (`torch.Tensor` broadcastable to `(batch, heads, queries, keys)`): added to the scores.
        scaling: of the scores.
        dropout: of the weights.

    Returns:
        The output `(batch, queries, heads, head_dim)` and the weights `(batch, heads, queries, keys)`.
    """
    weights = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        weights = weights + attention_mask
    # In float32: in half precision the sum over a thousand keys loses its last digits.
    weights = nn.functional.softmax(weights, dim=-1, dtype=torch.float32).to(query.dtype)
    weights = nn.functional.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


class TRMRotaryEmbedding(nn.Module):
    """The cosines and sines of the rotary position embedding."""

    inv_freq: torch.Tensor

    def __init__(self, config: TRMConfig):
        super().__init__()
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.theta = config.rope_theta
        self.register_buffer("inv_freq", self.inverse_frequencies(), persistent=False)

    def inverse_frequencies(self) -> torch.Tensor:
        """`theta^(-2i / head_dim)` for each pair of features: `(head_dim / 2,)`."""
        exponents = torch.arange(0, self.head_dim, 2, dtype=torch.float) / self.head_dim
        return 1.0 / self.theta**exponents

    @torch.no_grad()
    def forward(self, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`position_ids` `(batch, states)` to cosines and sines, each `(batch, 1, 1, states, head_dim)` in float32."""
        angles = position_ids[:, None, None, :, None].float() * self.inv_freq.float()
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos(), angles.sin()


# Transformers initializes the modules of custom code one by one, and passes over those that hold no weight of their own:
# what a weight starts from must follow from the class of the very module that holds it.


class TRMResidualLinear(nn.Linear):
    """The projection that ends a residual branch; `config.residual_initialization` says what it starts from."""


class TRMZeroEmbedding(nn.Embedding):
    """An embedding that starts at zero."""

    @torch.no_grad()
    def resized(self, num_embeddings: int) -> "TRMZeroEmbedding":
        """One of so many rows: those beyond are forgotten, new ones are zero."""
        old = self.weight
        resized = TRMZeroEmbedding(num_embeddings, self.embedding_dim, device=old.device, dtype=old.dtype)
        resized.weight.zero_()
        num_kept = min(num_embeddings, self.num_embeddings)
        resized.weight[:num_kept] = old[:num_kept]
        return resized


def word_weights(words: nn.Embedding, input_ids: torch.Tensor, prompt_indices: torch.Tensor) -> torch.Tensor:
    """
    The weight of each token's word piece for the prompt of its essay: `(batch, tokens)` in float32.

    Args:
        words (`nn.Embedding` of `num_prompts` columns): a row for each word piece.
        input_ids (`torch.LongTensor` of shape `(batch, tokens)`): the tokens.
        prompt_indices (`torch.LongTensor` of shape `(batch,)`): the essays' prompts.
    """
    of_all_prompts = words(input_ids).float()  # (batch, tokens, num_prompts)
    return of_all_prompts.gather(2, prompt_indices[:, None, None].expand(*input_ids.shape, 1))[..., 0]


class TRMZeroLinear(nn.Linear):
    """A linear layer that starts at zero."""


class TRMEmbeddings(nn.Module):
    """Word and segment embeddings, projected to the width of the states where the two differ."""

    def __init__(self, config: TRMConfig):
        super().__init__()
        width = config.embedding_size or config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.token_type_embeddings = TRMZeroEmbedding(config.type_vocab_size, config.hidden_size)
        is_factorized = width != config.hidden_size
        self.projection = nn.Linear(width, config.hidden_size, bias=False) if is_factorized else nn.Identity()
        self.dropout = nn.Dropout(config.embedding_dropout_prob)
        self.word_dropout = config.word_dropout_prob

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """
        Embeds tokens: `(batch, tokens, hidden_size)`.

        Args:
            input_ids, token_type_ids (`torch.LongTensor` of shape `(batch, tokens)`): all of segment 0 if not given.
            inputs_embeds (`torch.Tensor` of shape `(batch, tokens, embedding_size)`): in place of the words' own.
        """
        if inputs_embeds is None:
            inputs_embeds = self.word_embeddings(input_ids)
        if token_type_ids is None:
            token_type_ids = torch.zeros(inputs_embeds.shape[:2], dtype=torch.long, device=inputs_embeds.device)
        if self.training and self.word_dropout:
            # Whole words, so that no essay is known by a few of them.
            kept = torch.rand(inputs_embeds.shape[:2], device=inputs_embeds.device) >= self.word_dropout
            inputs_embeds = inputs_embeds * kept.to(inputs_embeds.dtype).unsqueeze(-1)
        projected = self.projection(inputs_embeds)
        return self.dropout(projected + self.token_type_embeddings(token_type_ids).to(projected.dtype))

    def distinct(
        self, input_ids: torch.Tensor, token_type_ids: torch.Tensor | None, is_token: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Embeds each distinct token once, since a batch says the same words again and again.

        Args:
            input_ids, token_type_ids (`torch.LongTensor` of shape `(batch, tokens)`): as for [`forward`].
            is_token (`torch.BoolTensor` of shape `(batch, tokens)`): false where nothing stands; that is embedded as zeros.

        Returns:
            The distinct tokens `(distinct, hidden_size)`, and the place of each token among them, `(batch, tokens)`.
        """
        num_segments = self.token_type_embeddings.num_embeddings
        kinds = input_ids * num_segments + (0 if token_type_ids is None else token_type_ids)
        kinds, places = torch.where(is_token, kinds, -1).unique(return_inverse=True)
        words, segments = kinds.clamp(min=0) // num_segments, kinds.clamp(min=0) % num_segments
        embedded = self(words[None], segments[None])[0]
        return embedded * (kinds >= 0).to(embedded.dtype)[:, None], places


class TRMAttention(nn.Module):
    """Bidirectional multi-head self-attention with rotary positions and no biases."""

    def __init__(self, config: TRMConfig, layer_idx: int):
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_dim**-0.5
        self.is_causal = False
        self.qkv_proj = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=False)
        self.o_proj = TRMResidualLinear(config.hidden_size, config.hidden_size, bias=False)

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """
        Mixes states.

        Args:
            hidden_states (`torch.Tensor` of shape `(batch, states, hidden_size)`).
            attention_mask: as the attention implementation wants it (see `create_bidirectional_mask`).
            position_embeddings: cosines and sines, see [`TRMRotaryEmbedding`].

        Returns:
            The mixed states `(batch, states, hidden_size)`, and the weights `(batch, heads, states, states)` where the
            implementation gives them.
        """
        shape = hidden_states.shape[:-1]
        qkv = self.qkv_proj(hidden_states).view(*shape, 3, -1, self.head_dim).transpose(1, 3)
        # Each (batch, heads, states, head_dim); queries and keys are rotated together.
        query, key = apply_rotary_pos_emb(qkv[:, :, :2], *position_embeddings).unbind(dim=2)
        value = qkv[:, :, 2]
        attention: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        output, weights = attention(
            self,
            query,
            key,
            value,
            attention_mask,
            scaling=self.scaling,
            dropout=self.config.attention_probs_dropout_prob if self.training else 0.0,
            **kwargs,
        )
        return self.o_proj(output.reshape(*shape, -1)), weights


class TRMMLP(nn.Module):
    """SwiGLU feed-forward layer (Shazeer, arXiv 2002.05202) without biases."""

    def __init__(self, config: TRMConfig):
        super().__init__()
        self.gate_up_proj = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.down_proj = TRMResidualLinear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`(batch, states, hidden_size)` to the same shape: `W_down (SiLU(W_gate x) * W_up x)`."""
        gate, up = self.gate_up_proj(hidden_states).chunk(2, dim=-1)
        return self.down_proj(nn.functional.silu(gate) * up)


class TRMLayer(GradientCheckpointingLayer):
    """Post-norm transformer layer: `x = RMSNorm(x + Attention(x))`, then `x = RMSNorm(x + SwiGLU(x))`."""

    def __init__(self, config: TRMConfig, layer_idx: int):
        super().__init__()
        self.self_attn = TRMAttention(config, layer_idx)
        self.mlp = TRMMLP(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.eps = config.rms_norm_eps

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        **kwargs: Unpack[TransformersKwargs],
    ) -> torch.Tensor:
        """`(batch, states, hidden_size)` to the same shape; the other arguments are those of [`TRMAttention`]."""
        attended, _ = self.self_attn(hidden_states, attention_mask, position_embeddings, **kwargs)
        hidden_states = rms_norm(hidden_states + self.dropout(attended), self.eps)
        return rms_norm(hidden_states + self.dropout(self.mlp(hidden_states)), self.eps)


class TRMTokenMixer(nn.Module):
    """Residual convolutions over the tokens, `x = RMSNorm(x + Linear(SiLU(Conv(x))))`; padding counts as zeros."""

    def __init__(self, config: TRMConfig):
        super().__init__()
        width, kernel = config.hidden_size, config.convolution_size
        layers = range(config.num_convolutions)
        self.convolutions: Any = nn.ModuleList(
            [nn.Conv1d(width, width, kernel, padding="same", bias=False) for _ in layers]
        )
        self.projections = nn.ModuleList([TRMResidualLinear(width, width, bias=False) for _ in layers])
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.eps = config.rms_norm_eps

    def forward(
        self, tokens: torch.Tensor, is_token: torch.Tensor, convolved: torch.Tensor | None = None
    ) -> torch.Tensor:
        """
        `(batch, tokens, hidden_size)` to the same shape.

        Args:
            tokens: embedded tokens.
            is_token (`torch.BoolTensor` of shape `(batch, tokens)`): false where nothing stands (padding, gaps).
            convolved: what the first convolution makes of them, where that is known, see [`convolve_distinct`].
        """
        kept = is_token.to(tokens.dtype).unsqueeze(-1)  # (batch, tokens, 1)
        for convolution, projection in zip(self.convolutions, self.projections, strict=True):
            if convolved is None:
                # A convolution wants (batch, hidden_size, tokens).
                convolved = convolution((tokens * kept).transpose(1, 2)).transpose(1, 2)
            tokens = rms_norm(tokens + self.dropout(projection(nn.functional.silu(convolved))), self.eps)
            convolved = None
        return tokens

    def convolve_distinct(self, embedded: torch.Tensor, places: torch.Tensor) -> torch.Tensor | None:
        """
        What the first convolution makes of the tokens `embedded[places]`, where each distinct token is multiplied with
        each of the kernel's matrices once, and a token's output is the sum of what its neighbors give.

        Args:
            embedded (`torch.Tensor` of shape `(distinct, hidden_size)`).
            places (`torch.LongTensor` of shape `(1, tokens)`): where half a kernel of zeros is at both ends.

        Returns:
            `(1, tokens, hidden_size)`; None without a convolution.
        """
        if not self.convolutions:
            return None
        kernel = self.convolutions[0].weight  # (hidden_size, hidden_size, size)
        width, _, size = kernel.shape
        # A distinct token has a row for each of its places in a kernel: (distinct * size, hidden_size).
        products = (embedded @ kernel.permute(1, 2, 0).reshape(width, -1)).view(-1, width)
        before = (size - 1) // 2
        neighbors = nn.functional.pad(places[0], (before, size - 1 - before)).unfold(0, size, 1)  # (tokens, size)
        rows = neighbors * size + torch.arange(size, device=places.device)
        return nn.functional.embedding_bag(rows, products, mode="sum")[None]


class TRMHead(nn.Linear):
    """Linear head with one output, computed in float32: half a score point of 0-60 is below bfloat16's resolution."""

    def __init__(self, hidden_size: int, initial_bias: float):
        super().__init__(hidden_size, 1)
        self.initial_bias = initial_bias

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """`(batch, hidden_size)` to `(batch,)` in float32."""
        with torch.autocast(pooled.device.type, enabled=False):
            # A product of matrix and vector is rounded by where in memory the weights lie, which loading changes.
            return (pooled.float() * self.weight.float().squeeze(0)).sum(dim=-1) + self.bias.float().squeeze(0)
