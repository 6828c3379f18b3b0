# Copyright 2026 The trm-aes authors. Licensed under the Apache License, Version 2.0.
"""The first layers of a pretrained encoder, whose states of the essay's tokens the latents read."""

from dataclasses import dataclass

import torch
from torch import nn

from .configuration_trm import TRMConfig
from .essays_trm import EssayBatch, can_wait
from .layers_trm import rms_norm

# Tokens that a CPU reads at once.
TOKENS_AT_ONCE = 2048


@dataclass
class EncoderStates:
    """
    A pretrained encoder's states of essays, padded on the right.

    Args:
        states (`torch.Tensor` of shape `(batch, pieces, encoder width)`): of the essay's word pieces alone, normalized to a
            root mean square of 1.
        is_state (`torch.BoolTensor` of shape `(batch, pieces)`): which of them stand for a word piece.
    """

    states: torch.Tensor
    is_state: torch.Tensor

    def select(self, rows: torch.Tensor) -> "EncoderStates":
        """Those of the given rows of the batch."""
        return EncoderStates(self.states[rows], self.is_state[rows])

    def drop(self, share: float) -> "EncoderStates":
        """Without a random share of the states, so that no essay is known by a few of them; an essay's first one stays."""
        kept = self.is_state & (torch.rand(self.is_state.shape, device=self.is_state.device) >= share)
        kept[:, 0] = self.is_state[:, 0]
        return EncoderStates(self.states, kept)

    def moments(self) -> torch.Tensor:
        """Mean and standard deviation over an essay's states: `(batch, 2 * encoder width)` in float32."""
        weights = self.is_state.to(torch.float32)[..., None]
        number = weights.sum(dim=1).clamp(min=1)
        states = self.states.float()
        mean = (states * weights).sum(dim=1) / number
        square = (states.square() * weights).sum(dim=1) / number
        variance = (square - mean.square()).clamp(min=0)
        # A root has no gradient at 0, the variance of a single state: it would be NaN in all that is trained.
        varies = variance > 0
        return torch.cat((mean, torch.where(varies, variance, 1).sqrt() * varies), dim=1)


class TRMPretrainedEncoder(nn.Module):
    """
    Reads essays in windows, each between the tokens [CLS] and [SEP], as the encoder was pretrained. Windows of a long
    essay follow one another without overlap. The prompt is not read: a prompt's register says more of it.

    Where none of the encoder's weights are trained it has no dropout and costs no memory for gradients.
    """

    def __init__(self, config: TRMConfig):
        super().__init__()
        # Not above: whoever imports the auto classes may be importing this module on their behalf.
        from transformers import AutoModel

        # The configuration has checked that they are there.
        self.cls_token_id, self.sep_token_id = int(config.cls_token_id or 0), int(config.sep_token_id or 0)
        self.pad_token_id = config.pad_token_id or 0
        self.eps = config.rms_norm_eps
        self.transformer = AutoModel.from_config(config.encoder)
        # Nothing reads it; without it the weights of encoders with and without one have the same names.
        if getattr(self.transformer, "pooler", None) is not None:
            self.transformer.pooler = None
        # Some encoders (RoBERTa's kind) count positions from behind the padding index.
        padding = getattr(getattr(self.transformer, "embeddings", None), "padding_idx", None)
        self.window_size = config.encoder.max_position_embeddings - 2 - (0 if padding is None else padding + 1)

    @property
    def is_trained(self) -> bool:
        """Whether any of the encoder's weights takes a gradient."""
        return any(weight.requires_grad for weight in self.parameters())

    def train(self, mode: bool = True) -> "TRMPretrainedEncoder":
        """As `nn.Module.train`; an encoder that is not trained stays in evaluation mode."""
        return super().train(mode and self.is_trained)

    def pieces(self, essays: EssayBatch) -> torch.Tensor:
        """
        Which tokens are word pieces of the essay, `(batch, tokens)`: the separator at its end is not. A row that holds
        nothing else keeps it, so that there is something to read.
        """
        is_piece = essays.is_essay & (essays.input_ids != self.sep_token_id)
        return is_piece | (essays.is_essay & ~is_piece.any(dim=1, keepdim=True))

    def forward(self, essays: EssayBatch) -> EncoderStates:
        """The states of essays, which come as `input_ids`."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.is_trained):
            return self.given(self.read(essays), essays)

    def given(self, states: torch.Tensor, essays: EssayBatch) -> EncoderStates:
        """
        States that [`read`] gave, now or before, as the latents read them.

        Args:
            states (`torch.Tensor` of shape `(batch, pieces, encoder width)`): not normalized; of any precision. Padding may
                be longer than the longest essay of the batch, whose longest may have halted.

        Raises:
            ValueError: if they are fewer than the longest essay of the batch has word pieces.
        """
        counts = self.pieces(essays).sum(dim=1)
        if can_wait(states.device):
            longest = int(counts.max())
            if states.shape[1] < longest:
                raise ValueError(
                    f"`encoder_states` has {states.shape[1]} states for essays of up to {longest} word pieces."
                )
            states = states[:, :longest]
        is_state = torch.arange(states.shape[1], device=states.device) < counts[:, None]
        return EncoderStates(self.normalize(states), is_state)

    def normalize(self, states: torch.Tensor) -> torch.Tensor:
        """States, in the precision of the encoder's weights, of a root mean square of 1; the shape is kept."""
        return rms_norm(states.to(self.transformer.get_input_embeddings().weight.dtype), self.eps)

    def read(self, essays: EssayBatch) -> torch.Tensor:
        """
        The encoder's states of the essays' word pieces, not normalized: `(batch, pieces, encoder width)`, as many as the longest
        essay has, or as there are tokens where to count them would be to wait for the device.
        """
        input_ids, is_piece = essays.input_ids, self.pieces(essays)
        batch_size, num_tokens = input_ids.shape
        counts = is_piece.sum(dim=1)  # (batch,)
        size, longest = self.window_size, int(counts.max()) if can_wait(input_ids.device) else num_tokens
        # In a graph of any length, windows are all of one size; elsewhere the last one is as short as it can be.
        width = (longest + size - 1) // size * size if torch.compiler.is_compiling() else longest
        places = is_piece.cumsum(dim=1) - 1  # a piece's place among its essay's: (batch, tokens)
        # Pieces alone, from the left: (batch, width). What is no piece goes to one place more, which is cut off.
        places = torch.where(is_piece, places, width)
        pieces = input_ids.new_full((batch_size, width + 1), self.pad_token_id)
        pieces = pieces.scatter(1, places, input_ids)[:, :width]
        if can_wait(input_ids.device):
            return self._read_by_length(pieces, counts.tolist())
        is_state = torch.arange(width, device=input_ids.device) < counts[:, None]
        if torch.compiler.is_compiling():
            states = self._encode(pieces.reshape(-1, size), is_state.reshape(-1, size))
            return states.reshape(batch_size, width, states.shape[-1])[:, :longest]
        windows = [
            self._encode(pieces[:, start : start + size], is_state[:, start : start + size])
            for start in range(0, longest, size)
        ]
        return torch.cat(windows, dim=1)

    def _read_by_length(self, pieces: torch.Tensor, counts: list[int]) -> torch.Tensor:
        """
        States of essays, `(batch, width, encoder width)`, zeros behind their ends: windows of like length are read
        together, so that there is little padding, and few at once, so that what is worked on stays in a CPU's cache.

        Args:
            pieces (`torch.LongTensor` of shape `(batch, width)`): word pieces, from the left.
            counts: how many of them each essay has.
        """
        batch_size, width = pieces.shape
        # How long each window is, and where it starts in the row of all essays.
        windows = [
            (min(self.window_size, count - start), row * width + start)
            for row, count in enumerate(counts)
            for start in range(0, count, self.window_size)
        ]
        windows.sort(reverse=True)
        states, places = [], []
        while windows:
            longest = windows[0][0]
            size = max(1, TOKENS_AT_ONCE // (longest + 2))
            lengths, starts = torch.tensor(windows[:size]).T
            windows = windows[size:]
            columns = torch.arange(longest)
            is_state = columns < lengths[:, None]
            of_window = (starts[:, None] + columns).clamp(max=pieces.numel() - 1)
            states.append(self._encode(pieces.flatten()[of_window], is_state)[is_state])
            places.append(of_window[is_state])
        found = torch.cat(states)
        return (
            found.new_zeros(pieces.numel(), found.shape[-1])
            .index_copy_(0, torch.cat(places), found)
            .view(batch_size, width, -1)
        )

    def _encode(self, pieces: torch.Tensor, is_state: torch.Tensor) -> torch.Tensor:
        # [CLS], the pieces, and [SEP] right behind the last of them.
        counts = is_state.sum(dim=1, keepdim=True)  # (batch, 1)
        cls = pieces.new_full((pieces.shape[0], 1), self.cls_token_id)
        padding = pieces.new_full((pieces.shape[0], 1), self.pad_token_id)
        tokens = torch.cat((cls, pieces, padding), dim=1)
        tokens = tokens.scatter(1, counts + 1, torch.full_like(counts, self.sep_token_id).to(tokens.dtype))
        mask = torch.arange(tokens.shape[1], device=tokens.device) < counts + 2
        states = self.transformer(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        return states[:, 1:-1]
