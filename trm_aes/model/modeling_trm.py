# Copyright 2026 The trm-aes authors. Licensed under the Apache License, Version 2.0.
"""The Tiny Recursive Model (Jolicoeur-Martineau, arXiv 2510.04871) as an essay scorer.

One small network `net` (by default two transformer layers, shared by everything) refines two states for each token, a
latent `z_L` and an answer `z_H`, given the embedded input `x`:

    one L step            z_L <- net(z_L + z_H + x)
    one H cycle           `L_cycles` L steps, then z_H <- net(z_H + z_L)
    one supervision step  `H_cycles` H cycles, the last `num_gradient_cycles` of them with gradient; the heads read z_H,
                          and the carry (z_H, z_L) is handed on detached

With `num_latents` the states belong not to the tokens but to a few latents, and `x` is what these read of the encoded
tokens by cross-attention, with z_L + z_H as the query. Keys and values are computed once, so that recursion is cheap.
With `prompt_registers` the model knows its prompts, and with `lexical_head` a second, linear head scores by words alone.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.dynamic_module_utils import custom_object_save
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.processing_utils import Unpack
from transformers.utils import ModelOutput, TransformersKwargs
from transformers.utils.generic import can_return_tuple, is_flash_attention_requested, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .configuration_trm import TRMConfig


@dataclass
class TRMModelOutput(ModelOutput):
    """
    Output of one supervision step.

    Args:
        last_hidden_state (`torch.Tensor` of shape `(batch, tokens or latents, hidden_size)`): the answer state `z_H`.
        carry (`torch.Tensor` of shape `(batch, 2, tokens or latents, hidden_size)`): z_H and z_L, detached, for the next
            supervision step.
        hidden_states, attentions: outputs of every call of every layer, in order, where asked for.
    """

    last_hidden_state: torch.FloatTensor | None = None
    carry: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None


@dataclass
class TRMEssayScoringOutput(ModelOutput):
    """
    Output of [`TRMForEssayScoring`].

    Args:
        loss (`torch.Tensor` of shape `()`, where `labels` are given):
            Mean over supervision steps and essays of the squared error plus the weighted halting loss.
        logits (`torch.Tensor` of shape `(batch, 1)`):
            Normalized score: 0 is the lowest score of the prompt, 1 the highest. Not clipped.
        halt_logits (`torch.Tensor` of shape `(batch,)`):
            Logit of "the score rounds to the gold score", at the step whose score is reported.
        step_logits, step_halt_logits (`torch.Tensor` of shape `(batch, steps)`):
            Both after each supervision step; an essay that has halted repeats its last value.
        steps_used (`torch.LongTensor` of shape `(batch,)`):
            Supervision steps taken by each essay.
        carry (`torch.Tensor` of shape `(batch, 2, tokens or latents, hidden_size)`):
            z_H and z_L, detached: pass it back to take further steps.
        hidden_states, attentions: those of the last supervision step, where asked for.
    """

    loss: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    halt_logits: torch.FloatTensor | None = None
    step_logits: torch.FloatTensor | None = None
    step_halt_logits: torch.FloatTensor | None = None
    steps_used: torch.LongTensor | None = None
    carry: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None


def rms_norm(hidden_states: torch.Tensor, eps: float) -> torch.Tensor:
    """Root-mean-square normalization over the last dimension, without weights, as in the published model."""
    return nn.functional.rms_norm(hidden_states, (hidden_states.shape[-1],), eps=eps)


def rotate_half(x: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


def apply_rotary_pos_emb(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotates `x` `(batch, heads, tokens, head_dim)` by position (RoFormer, arXiv 2104.09864), in float32."""
    rotated = x.float() * cos + rotate_half(x.float()) * sin
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
    """Attention written out: the reference for the faster implementations, and the one that returns weights."""
    weights = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        weights = weights + attention_mask
    weights = nn.functional.softmax(weights, dim=-1, dtype=torch.float32).to(query.dtype)
    weights = nn.functional.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


class TRMRotaryEmbedding(nn.Module):
    """Cosines and sines of the rotary position embedding, each `(batch, 1, tokens, head_dim)` in float32."""

    def __init__(self, config: TRMConfig):
        super().__init__()
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.theta = config.rope_theta
        self.register_buffer("inv_freq", self.inverse_frequencies(), persistent=False)

    def inverse_frequencies(self) -> torch.Tensor:
        exponents = torch.arange(0, self.head_dim, 2, dtype=torch.float) / self.head_dim
        return 1.0 / self.theta**exponents

    @torch.no_grad()
    def forward(self, position_ids: torch.LongTensor) -> tuple[torch.Tensor, torch.Tensor]:
        angles = position_ids[:, None, :, None].float() * self.inv_freq.float()
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos(), angles.sin()


# Transformers initializes the modules of custom code one by one, and passes over those that hold no weight of their own:
# what a weight starts from must follow from the class of the very module that holds it.


class TRMResidualLinear(nn.Linear):
    """The projection that ends a residual branch."""


class TRMZeroEmbedding(nn.Embedding):
    """An embedding that starts at zero."""


class TRMEmbeddings(nn.Module):
    """Word and segment embeddings, projected to the width of the states where the two differ."""

    def __init__(self, config: TRMConfig):
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.embedding_size, padding_idx=config.pad_token_id)
        self.token_type_embeddings = TRMZeroEmbedding(config.type_vocab_size, config.hidden_size)
        factorized = config.embedding_size != config.hidden_size
        self.projection = (
            nn.Linear(config.embedding_size, config.hidden_size, bias=False) if factorized else nn.Identity()
        )
        self.dropout = nn.Dropout(config.embedding_dropout_prob)
        self.word_dropout = config.word_dropout_prob

    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
    ) -> torch.Tensor:
        if inputs_embeds is None:
            inputs_embeds = self.word_embeddings(input_ids)
        if token_type_ids is None:
            token_type_ids = torch.zeros(inputs_embeds.shape[:2], dtype=torch.long, device=inputs_embeds.device)
        if self.training and self.word_dropout:
            kept = torch.rand(inputs_embeds.shape[:2], device=inputs_embeds.device) >= self.word_dropout
            inputs_embeds = inputs_embeds * kept.to(inputs_embeds.dtype).unsqueeze(-1)
        projected = self.projection(inputs_embeds)
        return self.dropout(projected + self.token_type_embeddings(token_type_ids).to(projected.dtype))


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
        shape = hidden_states.shape[:-1]
        qkv = self.qkv_proj(hidden_states).view(*shape, 3, -1, self.head_dim)
        query, key, value = (part.transpose(1, 2) for part in qkv.unbind(dim=2))
        query = apply_rotary_pos_emb(query, *position_embeddings)
        key = apply_rotary_pos_emb(key, *position_embeddings)
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
        attended, _ = self.self_attn(hidden_states, attention_mask, position_embeddings, **kwargs)
        hidden_states = rms_norm(hidden_states + self.dropout(attended), self.eps)
        return rms_norm(hidden_states + self.dropout(self.mlp(hidden_states)), self.eps)


class TRMTokenEncoder(nn.Module):
    """Residual convolutions over the tokens, `x = RMSNorm(x + Linear(SiLU(Conv(x))))`; padding counts as zeros."""

    def __init__(self, config: TRMConfig):
        super().__init__()
        width, kernel = config.hidden_size, config.encoder_kernel_size
        layers = range(config.num_encoder_layers)
        self.convolutions = nn.ModuleList([nn.Conv1d(width, width, kernel, padding="same", bias=False) for _ in layers])
        self.projections = nn.ModuleList([TRMResidualLinear(width, width, bias=False) for _ in layers])
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.eps = config.rms_norm_eps

    def forward(self, tokens: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        is_token = None if attention_mask is None else attention_mask.to(tokens.dtype).unsqueeze(-1)
        for convolution, projection in zip(self.convolutions, self.projections, strict=True):
            inputs = tokens if is_token is None else tokens * is_token
            mixed = convolution(inputs.transpose(1, 2)).transpose(1, 2)
            tokens = rms_norm(tokens + self.dropout(projection(nn.functional.silu(mixed))), self.eps)
        return tokens


@dataclass
class TRMReading:
    """
    What latents read from, the same at every step: keys and values of the tokens, each `(batch, heads, tokens, head_dim)`,
    the attention mask over them, and what the latents know of themselves and the essay, `(batch, num_latents, hidden_size)`.
    """

    key: torch.Tensor
    value: torch.Tensor
    attention_mask: torch.Tensor | None
    identities: torch.Tensor

    def select(self, rows: torch.LongTensor) -> "TRMReading":
        """That of the given rows of the batch."""
        mask = self.attention_mask
        return TRMReading(self.key[rows], self.value[rows], None if mask is None else mask[rows], self.identities[rows])


class TRMLatentReader(nn.Module):
    """
    What latents read of the encoded tokens: multi-head cross-attention (Perceiver, arXiv 2103.03206), normalized, beside
    the latents' own embeddings, to which the essay's length and its prompt's register are added. Those take part in
    every read and not in the initial states, which no gradient reaches.
    """

    def __init__(self, config: TRMConfig):
        super().__init__()
        self.config = config
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_dim**-0.5
        self.is_causal = False
        self.latents = nn.Parameter(torch.empty(config.num_latents, config.hidden_size))
        # Attention averages, so it cannot count.
        self.length = nn.Parameter(torch.empty(config.hidden_size))
        self.encoder = TRMTokenEncoder(config)
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.kv_proj = nn.Linear(config.hidden_size, 2 * config.hidden_size, bias=False)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def encode(self, tokens: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        """Keys and values of the tokens: `(batch, tokens, 2 * hidden_size)`."""
        return self.kv_proj(self.encoder(tokens, attention_mask))

    def split_heads(self, encoded: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values, each `(batch, heads, tokens, head_dim)`."""
        key, value = encoded.view(*encoded.shape[:-1], 2, -1, self.head_dim).unbind(dim=2)
        return key.transpose(1, 2), value.transpose(1, 2)

    def identities(self, log_lengths: torch.Tensor, registers: torch.Tensor | None) -> torch.Tensor:
        """
        What the latents of each essay know of themselves and of it: `(batch, num_latents, hidden_size)`.

        Args:
            log_lengths (`torch.Tensor` of shape `(batch,)`): see [`log_length`]; standardized where the prompt is known.
            registers (`torch.Tensor` of shape `(batch, hidden_size)`): of the essays' prompts.
        """
        of_essay = log_lengths[:, None] * self.length
        if registers is not None:
            of_essay = of_essay + registers
        return self.latents + of_essay[:, None]

    def forward(self, states: torch.Tensor, reading: TRMReading) -> torch.Tensor:
        query = self.q_proj(states + reading.identities).view(*states.shape[:-1], -1, self.head_dim).transpose(1, 2)
        implementation = self.config._attn_implementation
        if is_flash_attention_requested(self.config):
            # Its kernels want as many queries as keys where there is padding; a few latents lose nothing by it.
            implementation = "sdpa"
        attention: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(implementation, eager_attention_forward)
        key, value, mask = reading.key, reading.value, reading.attention_mask
        output, _ = attention(self, query, key, value, mask, scaling=self.scaling, dropout=0.0)
        return reading.identities + rms_norm(self.o_proj(output.reshape(states.shape)), self.config.rms_norm_eps)


def log_length(is_token: torch.Tensor) -> torch.Tensor:
    """Logarithm of the number of tokens, over that of an ordinary essay (256): `(batch,)` in float32."""
    return torch.log(is_token.float().sum(dim=1).clamp(min=1) / 256)


def _round_up(size: int) -> int:
    """
    To one of a few sizes, by an eighth at most: oneDNN keeps what it has compiled for each shape, up to hundreds of MiB
    where no two batches have the same.
    """
    grain = 1 << max(0, size.bit_length() - 4)
    return -(-size // grain) * grain


class TRMPacking:
    """
    The tokens of a batch in one row, essay after essay with zeros between, so that no work is done on padding.

    Args:
        is_token (`torch.BoolTensor` of shape `(batch, tokens)`): which to keep.
        gap (`int`): zeros before, between and after essays.
    """

    def __init__(self, is_token: torch.BoolTensor, gap: int):
        self.is_token = is_token
        lengths = is_token.sum(dim=1)
        ranks = is_token.cumsum(dim=1) - 1
        starts = (lengths + gap).cumsum(dim=0) - lengths
        self.places = (ranks + starts[:, None])[is_token]
        self.length = _round_up(int(lengths.sum()) + gap * (len(lengths) + 1))
        self.width = _round_up(int(lengths.max()))
        rows = torch.arange(len(lengths), device=is_token.device)[:, None]
        self.unpacked_places = (ranks + rows * self.width)[is_token]
        self.unpacked_mask = torch.arange(self.width, device=is_token.device) < lengths[:, None]

    def pack(self, values: torch.Tensor) -> torch.Tensor:
        """`(batch, tokens, ...)` to `(1, length, ...)`."""
        kept = values[self.is_token]
        return kept.new_zeros(self.length, *kept.shape[1:]).index_copy(0, self.places, kept)[None]

    def unpack(self, values: torch.Tensor) -> torch.Tensor:
        """`(1, length, size)` to `(batch, width, size)`, padded on the right."""
        kept = values[0].index_select(0, self.places)
        batch_size = len(self.is_token)
        unpacked = kept.new_zeros(batch_size * self.width, kept.shape[-1]).index_copy(0, self.unpacked_places, kept)
        return unpacked.view(batch_size, self.width, -1)


class TRMPromptEmbedding(nn.Embedding):
    """A vector for each prompt, beside states of unit root mean square."""


class TRMPrompts(nn.Module):
    """
    What is particular to each prompt of `score_ranges`, in their order: how to recognize it, its register, its weights in
    the score's head, and the mean and standard deviation of its scores on the 0-1 scale, in whose units the heads speak.
    So are those of its essays' log length. [`describe`] tells all of them before training.
    """

    def __init__(self, config: TRMConfig):
        super().__init__()
        num_prompts = len(config.score_ranges)
        self.num_recognized_by = config.max_prompt_tokens
        self.registers = TRMPromptEmbedding(num_prompts, config.hidden_size)
        self.head = TRMZeroEmbedding(num_prompts, config.hidden_size)
        self.head_bias = TRMZeroEmbedding(num_prompts, 1)
        self.register_buffer("signatures", torch.empty(num_prompts, config.embedding_size))
        self.register_buffer("score_means", torch.empty(num_prompts))
        self.register_buffer("score_stds", torch.empty(num_prompts))
        self.register_buffer("length_means", torch.empty(num_prompts))
        self.register_buffer("length_stds", torch.empty(num_prompts))

    def counts_for_recognition(self, is_prompt: torch.BoolTensor) -> torch.BoolTensor:
        """A prompt's first `max_prompt_tokens` tokens, those that are never cut; `is_prompt` and this `(batch, tokens)`."""
        return is_prompt & (is_prompt.cumsum(dim=1) <= self.num_recognized_by)

    def sign(self, word_embeddings: torch.Tensor, is_prompt: torch.BoolTensor) -> torch.Tensor:
        """
        Mean embedding of the tokens that count for recognition: `(batch, embedding_size)`.

        Args:
            word_embeddings (`torch.Tensor` of shape `(batch, tokens, embedding_size)`).
            is_prompt (`torch.BoolTensor` of shape `(batch, tokens)`): which of them are the prompt's.
        """
        weights = self.counts_for_recognition(is_prompt).to(word_embeddings.dtype)
        sums = torch.matmul(weights[:, None], word_embeddings)[:, 0]
        return sums / weights.sum(dim=1, keepdim=True).clamp(min=1)

    def recognize(self, word_embeddings: torch.Tensor, is_prompt: torch.BoolTensor) -> torch.LongTensor:
        """Places of the prompts in `score_ranges`, `(batch,)`: those whose text is nearest. Arguments: see [`sign`]."""
        signatures = self.sign(word_embeddings, is_prompt).float()
        return (signatures[:, None] - self.signatures.float()).square().sum(dim=-1).argmin(dim=1)

    def describe(self, **statistics: torch.Tensor):
        """Tells `signatures`, `score_means` and `score_stds` (0-1), `length_means` and `length_stds` of all prompts."""
        for name, values in statistics.items():
            getattr(self, name).copy_(values)

    def standardize_length(self, log_lengths: torch.Tensor, prompts: torch.LongTensor) -> torch.Tensor:
        """[`log_length`]s of essays in standard deviations from their prompts' mean: `(batch,)`."""
        return (log_lengths - self.length_means[prompts]) / self.length_stds[prompts]

    def adjust(self, pooled: torch.Tensor, prompts: torch.LongTensor) -> torch.Tensor:
        """What the prompts' own weights add to the score's head: `(batch,)` in float32."""
        with torch.autocast(pooled.device.type, enabled=False):
            return (pooled.float() * self.head(prompts).float()).sum(dim=-1) + self.head_bias(prompts).float()[:, 0]


class TRMLexicalHead(nn.Module):
    """
    Scores an essay by which words it has: a linear model of `1 + log(count)` for each word piece, the length, and the
    number of distinct word pieces, with weights for each prompt.
    """

    def __init__(self, config: TRMConfig):
        super().__init__()
        num_prompts = len(config.score_ranges)
        self.words = TRMZeroEmbedding(config.vocab_size, num_prompts)
        # Of a constant, the standardized log length, and the distinct word pieces in hundreds.
        self.counts = TRMZeroEmbedding(num_prompts, 3)

    @torch.no_grad()
    def resize(self, vocab_size: int):
        """Forgets the words beyond `vocab_size`, or gives new ones a weight of zero."""
        old = self.words.weight
        words = TRMZeroEmbedding(vocab_size, old.shape[1], device=old.device, dtype=old.dtype)
        words.weight.zero_()
        kept = min(vocab_size, len(old))
        words.weight[:kept] = old[:kept]
        self.words = words

    def forward(
        self,
        input_ids: torch.LongTensor,
        is_essay: torch.BoolTensor,
        lengths: torch.Tensor,
        prompts: torch.LongTensor,
    ) -> torch.Tensor:
        """
        Args:
            input_ids, is_essay (`torch.Tensor` of shape `(batch, tokens)`): words, and which of them count.
            lengths (`torch.Tensor` of shape `(batch,)`): standardized log lengths.
            prompts (`torch.LongTensor` of shape `(batch,)`): as places in `score_ranges`.

        Returns:
            `(batch,)` in float32, in standard deviations from the prompt's mean score.
        """
        counted = is_essay.float()
        counts = counted.new_zeros(input_ids.shape[0], self.words.num_embeddings).scatter_add(1, input_ids, counted)
        count = counts.gather(1, input_ids).clamp(min=1)
        weights = counted * (1 + count.log()) / count
        distinct = (counts > 0).sum(dim=1) / 100
        with torch.autocast(counted.device.type, enabled=False):
            words = self.words(input_ids).float().gather(2, prompts[:, None, None].expand(*input_ids.shape, 1))
            features = torch.stack((torch.ones_like(distinct), lengths.float(), distinct), dim=1)
            return (weights * words[..., 0]).sum(dim=1) + (features * self.counts(prompts).float()).sum(dim=1)


class TRMHead(nn.Linear):
    """Linear head with one output, computed in float32: half a score point of 0-60 is below bfloat16's resolution."""

    def __init__(self, hidden_size: int, initial_bias: float):
        super().__init__(hidden_size, 1)
        self.initial_bias = initial_bias

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        with torch.autocast(pooled.device.type, enabled=False):
            # A product of matrix and vector is rounded by where in memory the weights lie, which loading changes.
            return (pooled.float() * self.weight.float().squeeze(0)).sum(dim=-1) + self.bias.float().squeeze(0)


class TRMPreTrainedModel(PreTrainedModel):
    config_class = TRMConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    # A plain mean over the batch: the Trainer itself must divide by the number of accumulation steps.
    accepts_loss_kwargs = False
    # Those that are entered by their forward pass alone, and do not hold the word embeddings: what FSDP shards apart.
    _no_split_modules = ["TRMLayer", "TRMLexicalHead"]
    # A score's last digits are beyond bfloat16.
    _keep_in_fp32_modules_strict = ["prompts", "lexical_head", "score_head", "halt_head"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    _can_record_outputs = {"hidden_states": TRMLayer, "attentions": TRMAttention}

    def save_pretrained(self, save_directory: str | os.PathLike, *args, **kwargs):
        """As `PreTrainedModel.save_pretrained`; the saved configuration names a class for `AutoModel` too."""
        if self.base_model._auto_class is not None and self.base_model is not self:
            os.makedirs(save_directory, exist_ok=True)
            custom_object_save(self.base_model, save_directory, config=self.config)
        super().save_pretrained(save_directory, *args, **kwargs)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        config = self.config
        if isinstance(module, TRMRotaryEmbedding):
            init.copy_(module.inv_freq, module.inverse_frequencies())
        elif isinstance(module, TRMModel):
            for state in (module.initial_z_H, module.initial_z_L):
                init.trunc_normal_(state, std=1.0, a=-2.0, b=2.0)
        elif isinstance(module, TRMLatentReader):
            init.trunc_normal_(module.latents, std=1.0, a=-2.0, b=2.0)
            init.normal_(module.length, std=0.5)
        elif isinstance(module, TRMPrompts):
            init.zeros_(module.signatures)
            init.constant_(module.score_means, 0.5)
            init.ones_(module.score_stds)
            init.zeros_(module.length_means)
            init.ones_(module.length_stds)
        elif isinstance(module, TRMPromptEmbedding):
            init.normal_(module.weight, std=0.5)
        elif isinstance(module, TRMHead):
            init.normal_(module.weight, std=config.initializer_range)
            init.constant_(module.bias, module.initial_bias)
        elif isinstance(module, TRMResidualLinear) and config.residual_initialization == "zeros":
            init.zeros_(module.weight)
        elif isinstance(module, (nn.Linear, nn.Conv1d)):
            # LeCun's: keeps the variance of what goes through.
            std = 1.0 / math.sqrt(module.weight[0].numel())
            init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
        elif isinstance(module, TRMZeroEmbedding):
            init.zeros_(module.weight)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=config.embedding_initializer_range)


def _check_inputs(input_ids: torch.Tensor | None, inputs_embeds: torch.Tensor | None):
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError("Give exactly one of `input_ids` and `inputs_embeds`.")


def _may_wait(device: torch.device) -> bool:
    """
    Whether shapes may follow from what the tensors hold. On an accelerator a little padding is cheaper than waiting to
    learn how much there is, and a compiled graph should not be cut.
    """
    return device.type == "cpu" and not torch.compiler.is_compiling()


def split_segments(
    shape: torch.Size,
    attention_mask: torch.Tensor | None,
    token_type_ids: torch.LongTensor | None,
    device: torch.device,
) -> tuple[torch.BoolTensor, torch.BoolTensor]:
    """Which tokens are the prompt's (segment 0) and which the essay's, `(batch, tokens)`; all of a lone segment are the essay's."""
    is_token = torch.ones(shape, dtype=torch.bool, device=device) if attention_mask is None else attention_mask.bool()
    if token_type_ids is None:
        return torch.zeros_like(is_token), is_token
    is_essay = is_token & (token_type_ids == 1)
    is_essay = is_essay | (is_token & ~is_essay.any(dim=1, keepdim=True))
    return is_token & ~is_essay, is_essay


class TRMModel(TRMPreTrainedModel):
    """The recursive network without heads. One call of `forward` is one supervision step."""

    def __init__(self, config: TRMConfig):
        super().__init__(config)
        self.embeddings = TRMEmbeddings(config)
        self.rotary_emb = TRMRotaryEmbedding(config)
        self.layers = nn.ModuleList([TRMLayer(config, i) for i in range(config.num_hidden_layers)])
        self.reader = TRMLatentReader(config) if config.num_latents else None
        self.prompts = TRMPrompts(config) if config.prompt_registers else None
        # Drawn once and never trained, but saved: a checkpoint must go on from the states it was trained with.
        self.register_buffer("initial_z_H", torch.empty(config.hidden_size))
        self.register_buffer("initial_z_L", torch.empty(config.hidden_size))
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding):
        self.embeddings.word_embeddings = value

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        carry: torch.Tensor | None = None,
        prompts: torch.LongTensor | None = None,
        reading: TRMReading | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> TRMModelOutput:
        """
        Takes one supervision step.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch, tokens)`): token ids, or give `inputs_embeds`.
            attention_mask (`torch.Tensor` of shape `(batch, tokens)`): 1 for tokens, 0 for padding (on either side).
            token_type_ids (`torch.LongTensor` of shape `(batch, tokens)`): 0 prompt, 1 essay.
            position_ids (`torch.LongTensor` of shape `(batch, tokens)`): by default tokens are counted without padding.
            inputs_embeds (`torch.FloatTensor` of shape `(batch, tokens, embedding_size)`): instead of `input_ids`.
            carry (`torch.Tensor` of shape `(batch, 2, tokens or latents, hidden_size)`): z_H and z_L of the step before;
                initial states if absent.
            prompts (`torch.LongTensor` of shape `(batch,)`): with `prompt_registers`, the essays' prompts as places in
                `score_ranges`; recognized by their text if absent.
            reading ([`TRMReading`]): with `num_latents`, that of these essays, from [`read_tokens`]; made if absent.

        Raises:
            ValueError: if not exactly one of `input_ids` and `inputs_embeds` is given, or the sequence is longer than
                `max_position_embeddings`.
        """
        _check_inputs(input_ids, inputs_embeds)
        batch_size, num_tokens = (input_ids if inputs_embeds is None else inputs_embeds).shape[:2]
        if num_tokens > self.config.max_position_embeddings:
            raise ValueError(
                f"The sequence has {num_tokens} tokens, more than `max_position_embeddings` "
                f"({self.config.max_position_embeddings}): truncate it, or raise that value and train with it."
            )
        if self.reader is None:
            x = self.embeddings(input_ids, token_type_ids, inputs_embeds)
            num_states, state_mask = num_tokens, attention_mask
            if position_ids is None:
                position_ids = self._count_positions(attention_mask, num_tokens, x.device)

            def read(states: torch.Tensor) -> torch.Tensor:
                return x
        else:
            num_states, state_mask = self.config.num_latents, None
            position_ids = self._count_positions(None, num_states, self.initial_z_H.device)
            if reading is None:
                reading = self.read_tokens(input_ids, attention_mask, token_type_ids, inputs_embeds, prompts)
            x = reading.identities

            def read(states: torch.Tensor) -> torch.Tensor:
                return self.reader(states, reading)

        call = {
            "attention_mask": create_bidirectional_mask(config=self.config, inputs_embeds=x, attention_mask=state_mask),
            "position_embeddings": self.rotary_emb(position_ids),
            **kwargs,
        }
        if carry is None:
            z_H, z_L = (
                state.to(x.dtype).expand(batch_size, num_states, -1) for state in (self.initial_z_H, self.initial_z_L)
            )
        else:
            z_H, z_L = carry.unbind(dim=1)

        num_gradient_cycles = min(self.config.num_gradient_cycles, self.config.H_cycles)
        with torch.no_grad():
            for _ in range(self.config.H_cycles - num_gradient_cycles):
                z_H, z_L = self._h_cycle(z_H, z_L, read, call)
        if torch.is_autocast_enabled(x.device.type):
            # Older PyTorch (2.6, say) goes on using the low-precision weights that were cast without gradient.
            torch.clear_autocast_cache()
        for _ in range(num_gradient_cycles):
            z_H, z_L = self._h_cycle(z_H, z_L, read, call)
        return TRMModelOutput(last_hidden_state=z_H, carry=torch.stack((z_H.detach(), z_L.detach()), dim=1))

    def read_tokens(
        self,
        input_ids: torch.LongTensor | None,
        attention_mask: torch.Tensor | None,
        token_type_ids: torch.LongTensor | None,
        inputs_embeds: torch.Tensor | None,
        prompts: torch.LongTensor | None,
    ) -> TRMReading:
        """What the latents read of these tokens; arguments as of `forward`. Needs `num_latents`."""
        tokens = input_ids if inputs_embeds is None else inputs_embeds
        is_prompt, is_essay = split_segments(tokens.shape[:2], attention_mask, token_type_ids, tokens.device)
        log_lengths = log_length(is_essay)
        if self.prompts is None:
            is_read, registers = is_prompt | is_essay, None
        else:
            if prompts is None:
                prompts = self.recognize_prompts(input_ids, attention_mask, token_type_ids, inputs_embeds)
            is_read, registers = is_essay, self.prompts.registers(prompts)
            log_lengths = self.prompts.standardize_length(log_lengths, prompts)
        identities = self.reader.identities(log_lengths, registers)
        if _may_wait(is_read.device):
            packing = TRMPacking(is_read, gap=self.config.encoder_kernel_size // 2)
            packed = [None if t is None else packing.pack(t) for t in (input_ids, token_type_ids, inputs_embeds)]
            x = self.embeddings(*packed)
            encoded = packing.unpack(self.reader.encode(x, packing.pack(is_read)))
            is_read = packing.unpacked_mask
        else:
            x = self.embeddings(input_ids, token_type_ids, inputs_embeds)
            encoded = self.reader.encode(x, is_read)
        key, value = self.reader.split_heads(encoded)
        identities = identities.to(x.dtype)
        if is_flash_attention_requested(self.config):
            token_mask = is_read[:, None, None, :]
        else:
            token_mask = create_bidirectional_mask(
                config=self.config,
                inputs_embeds=identities,
                attention_mask=is_read.to(torch.long),
                encoder_hidden_states=encoded,
            )
        return TRMReading(key, value, token_mask, identities)

    @torch.no_grad()
    def recognize_prompts(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
    ) -> torch.LongTensor | None:
        """The essays' prompts by their text, as places in `score_ranges`: `(batch,)`; None without `prompt_registers`."""
        if self.prompts is None:
            return None
        _check_inputs(input_ids, inputs_embeds)
        tokens = input_ids if inputs_embeds is None else inputs_embeds
        is_prompt, is_essay = split_segments(tokens.shape[:2], attention_mask, token_type_ids, tokens.device)
        # An essay that comes without its prompt is the best hint at it that there is.
        is_prompt = is_prompt | (is_essay & ~is_prompt.any(dim=1, keepdim=True))
        if _may_wait(tokens.device):
            # The essays, most of the tokens, need not be embedded.
            counts = self.prompts.counts_for_recognition(is_prompt).any(dim=0)
            width = int((counts * torch.arange(1, len(counts) + 1)).max())
            is_prompt, tokens = is_prompt[:, :width], tokens[:, :width]
        embedded = self.embeddings.word_embeddings(tokens) if inputs_embeds is None else tokens
        return self.prompts.recognize(embedded, is_prompt)

    def _h_cycle(
        self, z_H: torch.Tensor, z_L: torch.Tensor, read: Callable, call: dict
    ) -> tuple[torch.Tensor, torch.Tensor]:
        for _ in range(self.config.L_cycles):
            z_L = self._net(z_L + z_H + read(z_L + z_H), call)
        return self._net(z_H + z_L, call), z_L

    def _net(self, hidden_states: torch.Tensor, call: dict) -> torch.Tensor:
        for layer in self.layers:
            hidden_states = layer(hidden_states, **call)
        return hidden_states

    @staticmethod
    def _count_positions(
        attention_mask: torch.Tensor | None, num_tokens: int, device: torch.device
    ) -> torch.LongTensor:
        if attention_mask is None or attention_mask.dim() != 2:
            return torch.arange(num_tokens, device=device)[None]
        return (attention_mask.long().cumsum(dim=-1) - 1).clamp(min=0)


class TRMForEssayScoring(TRMPreTrainedModel):
    """A [`TRMModel`] with a regression head (the score) and a halting head (is the score right yet?)."""

    def __init__(self, config: TRMConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        if config.num_labels != 1:
            raise ValueError(f"An essay scorer has one output: `num_labels` must be 1, got {config.num_labels}.")
        self.model = TRMModel(config)
        self.score_head = TRMHead(config.hidden_size, initial_bias=0.0 if config.prompt_registers else 0.5)
        # Published: halting starts improbable, so that training begins with all supervision steps.
        self.halt_head = TRMHead(config.hidden_size, initial_bias=-5.0)
        self.lexical_head = TRMLexicalHead(config) if config.lexical_head else None
        self.post_init()

    def resize_token_embeddings(self, *args, **kwargs) -> nn.Embedding:
        """As `PreTrainedModel.resize_token_embeddings`; the lexical head's words follow."""
        embeddings = super().resize_token_embeddings(*args, **kwargs)
        if self.lexical_head is not None:
            self.lexical_head.resize(self.config.vocab_size)
        return embeddings

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        labels: torch.FloatTensor | None = None,
        score_spans: torch.FloatTensor | None = None,
        carry: torch.Tensor | None = None,
        num_supervision_steps: int | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> TRMEssayScoringOutput:
        """
        Takes the configured number of supervision steps; labels have no part in the prediction.

        Args:
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds: see [`TRMModel`].
            labels (`torch.FloatTensor` of shape `(batch,)` or `(batch, 1)`): gold scores, scaled to 0-1 by prompt.
            score_spans (`torch.FloatTensor` of shape `(batch,)`): highest less lowest score of each essay's prompt;
                only the halting head's loss uses it (see `halting_tolerance`).
            carry (`torch.Tensor`): that of an earlier call on the same essays.
            num_supervision_steps (`int`): steps to take in this call; the configuration's number if absent.
        """
        steps = self.config.num_supervision_steps if num_supervision_steps is None else num_supervision_steps
        if steps < 1:
            raise ValueError(f"`num_supervision_steps` must be at least 1, got {steps}.")
        prompts = self.model.recognize_prompts(input_ids, attention_mask, token_type_ids, inputs_embeds)
        tensors = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
            "position_ids": position_ids,
            "inputs_embeds": inputs_embeds,
            "prompts": prompts,
        }
        reading = None
        if self.model.reader is not None:
            reading = self.model.read_tokens(input_ids, attention_mask, token_type_ids, inputs_embeds, prompts)
        lexical = self._lexical_scores(input_ids, attention_mask, token_type_ids, prompts)
        may_leave = not self.training and (self.config.halt_at_inference or self.config.exit_tolerance is not None)
        running = None  # rows of the essays that still recurse; None while all do
        step_scores, step_halts = [], []
        for _ in range(steps):
            if running is None:
                scores, halts, outputs = self._supervision_step(tensors, carry, reading, **kwargs)
                state = (scores, halts, outputs.carry)
                steps_used = torch.full_like(scores, len(step_scores) + 1, dtype=torch.long)
            else:
                scores, halts, outputs = self._supervision_step(
                    _select_rows(tensors, running),
                    carry[running],
                    None if reading is None else reading.select(running),
                    **kwargs,
                )
                updates = (scores, halts, outputs.carry)
                state = tuple(old.index_copy(0, running, new) for old, new in zip(state, updates, strict=True))
                steps_used = steps_used.index_add(0, running, torch.ones_like(running))
            scores, halts, carry = state
            step_scores.append(scores)
            step_halts.append(halts)
            if may_leave and len(step_scores) < steps:
                share = 1.0 if lexical is None else 0.5
                still = self._goes_on(halts, [share * before for before in step_scores[-2:]])
                if not still.any():
                    break
                running = None if still.all() else still.nonzero().squeeze(-1)

        recursive, step_halt_logits = torch.stack(step_scores, dim=1), torch.stack(step_halts, dim=1)
        step_logits = recursive if lexical is None else (recursive + lexical) / 2
        loss = None
        if labels is not None:
            unit = 1.0 if prompts is None else self.model.prompts.score_stds[prompts, None]
            loss = self.supervision_loss(recursive, step_halt_logits, labels, score_spans, lexical, unit)
        return TRMEssayScoringOutput(
            loss=loss,
            logits=step_logits[:, -1:],
            halt_logits=halts,
            step_logits=step_logits,
            step_halt_logits=step_halt_logits,
            steps_used=steps_used,
            carry=carry,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _goes_on(self, halts: torch.Tensor, last_scores: list[torch.Tensor]) -> torch.BoolTensor:
        """
        Which essays take another step, `(batch,)`. One that has left keeps its halting logit and no longer moves, so it
        stays out.
        """
        goes_on = torch.ones_like(halts, dtype=torch.bool)
        if self.config.halt_at_inference:
            goes_on &= halts.sigmoid() <= self.config.halting_threshold
        if self.config.exit_tolerance is not None and len(last_scores) == 2:
            goes_on &= (last_scores[1] - last_scores[0]).abs() > self.config.exit_tolerance
        return goes_on

    def _supervision_step(
        self, tensors: dict[str, torch.Tensor | None], carry: torch.Tensor | None, reading: TRMReading | None, **kwargs
    ) -> tuple[torch.Tensor, torch.Tensor, TRMModelOutput]:
        outputs = self.model(**tensors, carry=carry, reading=reading, **kwargs)
        state_mask = None if self.config.num_latents else tensors["attention_mask"]
        pooled = self._pool(outputs.last_hidden_state, state_mask)
        scores = self.score_head(pooled)
        if tensors["prompts"] is not None:
            scores = scores + self.model.prompts.adjust(pooled, tensors["prompts"])
            scores = self._to_unit_scale(scores, tensors["prompts"])
        return scores, self.halt_head(pooled), outputs

    def _to_unit_scale(self, scores: torch.Tensor, prompts: torch.LongTensor) -> torch.Tensor:
        """From standard deviations about the prompt's mean score to its 0-1 scale; `(batch,)`."""
        return self.model.prompts.score_means[prompts] + self.model.prompts.score_stds[prompts] * scores

    def _lexical_scores(
        self,
        input_ids: torch.LongTensor | None,
        attention_mask: torch.Tensor | None,
        token_type_ids: torch.LongTensor | None,
        prompts: torch.LongTensor | None,
    ) -> torch.Tensor | None:
        """0-1, `(batch, 1)`; None without a lexical head, or without words."""
        if self.lexical_head is None or input_ids is None:
            return None
        _, is_essay = split_segments(input_ids.shape, attention_mask, token_type_ids, input_ids.device)
        lengths = self.model.prompts.standardize_length(log_length(is_essay), prompts)
        return self._to_unit_scale(self.lexical_head(input_ids, is_essay, lengths, prompts), prompts)[:, None]

    def _pool(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        """Mean over tokens that are not padding, or the first of them: `(batch, hidden_size)` in float32."""
        hidden_states = hidden_states.float()
        if attention_mask is None:
            attention_mask = hidden_states.new_ones(hidden_states.shape[:2])
        if self.config.pooling == "cls":
            first = attention_mask.long().argmax(dim=1)
            return hidden_states[torch.arange(len(first), device=first.device), first]
        weights = attention_mask.to(hidden_states.dtype).unsqueeze(-1)
        return (hidden_states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)

    def supervision_loss(
        self,
        step_scores: torch.Tensor,
        step_halt_logits: torch.Tensor,
        labels: torch.Tensor,
        score_spans: torch.Tensor | None = None,
        lexical_scores: torch.Tensor | None = None,
        unit: torch.Tensor | float = 1.0,
    ) -> torch.Tensor:
        """
        Mean over steps and essays of `((score - label) / unit)^2 + halting_loss_weight * BCE(halt logit, "is right")`,
        where an essay "is right" at a step if its score rounds to the gold score. The two heads' squared errors are
        added, not that of their mean: each is to score as well as it can alone.

        Args:
            step_scores, step_halt_logits (`torch.Tensor` of shape `(batch, steps)`): of the recursive head.
            labels (`torch.Tensor` of shape `(batch,)` or `(batch, 1)`): 0-1.
            score_spans (`torch.Tensor` of shape `(batch,)`): highest less lowest score of each essay's prompt.
            lexical_scores (`torch.Tensor` of shape `(batch, 1)`): of the lexical head, where there is one.
            unit (`torch.Tensor` of shape `(batch, 1)`): standard deviation of the prompt's scores, so that all prompts
                weigh alike.
        """
        labels = labels.reshape(-1, 1).to(step_scores.dtype)
        loss = ((step_scores - labels) / unit).square().mean()
        scores = step_scores
        if lexical_scores is not None:
            loss = loss + ((lexical_scores - labels) / unit).square().mean()
            scores = (step_scores + lexical_scores) / 2
        tolerance = self.config.halting_tolerance
        if score_spans is not None:
            tolerance = 0.5 / score_spans.reshape(-1, 1).to(scores.dtype)
        is_right = ((scores - labels).detach().abs() < tolerance).to(step_halt_logits.dtype)
        halting_loss = nn.functional.binary_cross_entropy_with_logits(step_halt_logits, is_right)
        return loss + self.config.halting_loss_weight * halting_loss


def _select_rows(tensors: dict[str, torch.Tensor | None], rows: torch.LongTensor) -> dict[str, torch.Tensor | None]:
    """The given rows of each tensor; one row that serves the whole batch (say, shared positions) is kept as it is."""
    return {name: tensor if tensor is None or len(tensor) == 1 else tensor[rows] for name, tensor in tensors.items()}


__all__ = ["TRMForEssayScoring", "TRMModel", "TRMPreTrainedModel"]
