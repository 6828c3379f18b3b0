"""
Forms of recursion to compare: what each computes of an essay, and what it learns from. All share the parts of a model that
reads an encoder's states, and its heads; they differ in what comes between.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from trm_aes.model.essays_trm import EssayBatch
from trm_aes.model.initialization_trm import start_weights
from trm_aes.model.latents_trm import LatentInput
from trm_aes.model.layers_trm import TRMLayer, TRMZeroLinear
from trm_aes.model.modeling_trm import TRMForEssayScoring
from trm_aes.model.supervision_trm import pool_states

# What the model is given of a batch.
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "prompt_indices", "text_features", "encoder_states")


@dataclass
class Segment:
    """
    What a segment gives.

    Args:
        scores: after each step that has one, `(batch,)` each, in standard deviations from the mean of the prompt's training
            essays; the last is the answer.
        pooled: what the heads read, `(batch, hidden_size)`.
        carry: detached states for the next segment.
        extra_loss: beside the scores', a scalar.
    """

    scores: list[torch.Tensor]
    pooled: torch.Tensor
    carry: Any
    extra_loss: torch.Tensor | float = 0.0


class Design(nn.Module):
    """
    The plain form: H cycles of L cycles with gradient through all of them, as the model has it. Others replace `segment`.

    Args:
        model: one that reads an encoder's states with latents, and knows its prompts.
        tokenizer: of its essays.
    """

    # Cycles of the model.
    cycles = (1, 1)
    # Each with a loss and an optimizer step of its own, on the same essays, from the carry of the one before.
    num_segments = 1
    epochs = 3

    def __init__(self, model: TRMForEssayScoring, tokenizer: PreTrainedTokenizerBase):
        super().__init__()
        self.model = model
        self.config = model.config
        self.config.H_cycles, self.config.L_cycles = self.cycles
        self.config.num_gradient_cycles = self.cycles[0]

    def forward(self, batch: dict[str, torch.Tensor], carry: Any = None, place: int = 0) -> Segment:
        """
        The segment at a place (0 is the first) of the essays of a batch, whose columns are those that the model takes; `rows`
        beside them says where training essays lie among all, -1 for others; `standardized` has the scores in training.
        """
        essays = self.model.model.prepare_essays(**{name: batch[name] for name in INPUTS})
        return self.segment(essays, carry, place, batch)

    def segment(self, essays: EssayBatch, carry: Any, place: int, batch: dict[str, torch.Tensor]) -> Segment:
        """One segment; arguments as in `forward`."""
        states = self.model.model(essays=essays, carry=carry)
        pooled, score = self.answer(states.last_hidden_state, essays)
        return Segment([score], pooled, states.carry)

    def answer(self, states: torch.Tensor, essays: EssayBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """What the heads read of states `(batch, latents, hidden_size)`, and the score `(batch,)`."""
        pooled = pool_states(states, None, self.config.pooling)
        bank: Any = self.model.model.prompt_bank
        return pooled, self.model.score_head(pooled) + bank.score_offsets(pooled, essays.prompt_indices)

    def net(self, layers: Any = None) -> Callable[[torch.Tensor], torch.Tensor]:
        """The network that latents go through: the model's own layers, or others."""
        layers = self.model.model.layers if layers is None else layers
        places = torch.arange(int(self.config.num_latents or 0))[None]
        positions = self.model.model.rotary_emb(places)

        def net(states: torch.Tensor) -> torch.Tensor:
            for layer in layers:
                states = layer(states, attention_mask=None, position_embeddings=positions)
            return states

        return net

    def start(self, essays: EssayBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """The model's initial z_H and z_L, each `(batch, latents, hidden_size)`."""
        shape = essays.source.embeds.shape
        return self.model.model.initial_z_H.expand(shape), self.model.model.initial_z_L.expand(shape)

    def new(self, module: nn.Module) -> nn.Module:
        """A module beside the model's, its weights started as the model's are."""
        return module.apply(lambda part: start_weights(part, self.config))


class Once(Design):
    """No recursion (H=L=1), the same parameters."""


class OnceLonger(Design):
    """
    No recursion, the same parameters, three times the training: at least what H=L=2 costs, and as many optimizer steps as
    three segments take.
    """

    epochs = 9


class Cycles(Design):
    """H=L=2 with gradient through all cycles: the recipe `default`."""

    cycles = (2, 2)


class Stack(Design):
    """The computation of H=L=2 with other weights in each of its six calls of the network: a plain stack of twelve layers."""

    cycles = (2, 2)

    def __init__(self, model: TRMForEssayScoring, tokenizer: PreTrainedTokenizerBase):
        super().__init__(model, tokenizer)
        high, low = self.cycles
        depth = len(model.model.layers)
        # The model's own layers are the first.
        self.others: Any = nn.ModuleList(
            nn.ModuleList(self.new(TRMLayer(self.config, place)) for place in range(depth))
            for _ in range(high * (low + 1) - 1)
        )

    def segment(self, essays, carry, place, batch):
        z_H, z_L = self.start(essays)
        blocks = iter((self.model.model.layers, *self.others))
        for _ in range(self.cycles[0]):
            for _ in range(self.cycles[1]):
                states = z_L + z_H
                z_L = self.net(next(blocks))(states + essays.source.read(states))
            z_H = self.net(next(blocks))(z_H + z_L)
        pooled, score = self.answer(z_H, essays)
        return Segment([score], pooled, None)


class Equilibrium(Design):
    """
    Deep supervision as EqR has it (arXiv 2605.21488): one state without a hierarchy, started at random, relaxed towards
    what the network makes of it, with noise in training; an optimizer step for each of three segments of two calls.
    """

    num_segments = 3
    relaxation, noise, calls = 0.95, 0.01, 2

    def segment(self, essays, carry, place, batch):
        if carry is None:
            carry = torch.randn(essays.source.embeds.shape)
        state, net = carry, self.net()
        for _ in range(self.calls):
            moved = net(state + essays.source.read(state))
            state = (1 - self.relaxation) * state + self.relaxation * moved
            if self.training:
                state = state + self.noise * torch.randn(state.shape)
        pooled, score = self.answer(state, essays)
        return Segment([score], pooled, state.detach())


class Improvement(Design):
    """
    Another target for each segment (deep improvement supervision, arXiv 2511.16886), coarse to fine: is the score above the
    mean of the prompt's training essays, in which third of their spread, and the score. Each segment is told what the one
    before answered. An optimizer step for each.
    """

    num_segments = 3
    # As quantiles of a normal distribution: scores are in standard deviations.
    thresholds = ((0.0,), (-0.43, 0.43))

    def __init__(self, model: TRMForEssayScoring, tokenizer: PreTrainedTokenizerBase):
        super().__init__(model, tokenizer)
        width = self.config.hidden_size
        self.classify = self.new(nn.ModuleList(nn.Linear(width, len(cuts)) for cuts in self.thresholds))
        self.tell = self.new(nn.ModuleList(nn.Linear(len(cuts), width) for cuts in self.thresholds))

    def segment(self, essays, carry, place, batch):
        states, answered = carry or (None, None)
        if place:
            told = self.tell[place - 1](answered)
            essays.source.identities = essays.source.identities + told[:, None]
        outputs = self.model.model(essays=essays, carry=states)
        pooled, score = self.answer(outputs.last_hidden_state, essays)
        if place == self.num_segments - 1:
            return Segment([score], pooled, None)
        logits = self.classify[place](pooled)
        loss: torch.Tensor | float = 0.0
        if "standardized" in batch:
            is_above = (batch["standardized"][:, None] > torch.tensor(self.thresholds[place])).float()
            loss = nn.functional.binary_cross_entropy_with_logits(logits, is_above)
        return Segment([], pooled, (outputs.carry, 2 * logits.detach().sigmoid() - 1), loss)


class Comparison(Design):
    """
    A second step that reads scored essays of the prompt, as raters compare an essay with others: latents attend to what the
    first step made of 32 training essays of the prompt, and to their scores, most to those that are like the essay. Both
    steps learn the score.
    """

    num_references, refresh_every = 32, 100

    def __init__(self, model: TRMForEssayScoring, tokenizer: PreTrainedTokenizerBase):
        super().__init__(model, tokenizer)
        width = self.config.hidden_size
        self.query = self.new(TRMZeroLinear(width, width, bias=False))
        # Of essays and references alike, so that like ones attend to one another from the start.
        self.likeness = self.new(nn.Linear(width, width, bias=False))
        self.value = self.new(nn.Linear(width, width, bias=False))
        self.score_value = self.new(nn.Linear(1, width, bias=False))
        self.out = self.new(TRMZeroLinear(width, width, bias=False))
        # Of the references, a row a prompt: what the first step made of them, standardized, (prompts, references, width);
        # the means and spreads of that; scores, and places among the training essays.
        self.states: Any = None
        self.means: Any = None
        self.spreads: Any = None
        self.scores: Any = None
        self.rows: Any = None

    def set_references(self, pooled: torch.Tensor, scores: torch.Tensor):
        """Takes what the first step makes of the references, `(prompts, references, width)`, and their scores."""
        self.means, self.spreads = pooled.mean(dim=1), pooled.std(dim=1).clamp(min=1e-3)
        self.states = (pooled - self.means[:, None]) / self.spreads[:, None]
        self.scores = scores

    def segment(self, essays, carry, place, batch):
        outputs = self.model.model(essays=essays)
        first, score = self.answer(outputs.last_hidden_state, essays)
        if self.states is None:  # The references themselves are read by the first step alone.
            return Segment([score], first, None)
        z_H = outputs.last_hidden_state
        net = self.net()
        compared = self.compare(z_H, first, essays.prompt_indices, batch["rows"])
        z_L = net(z_H + essays.source.read(z_H) + compared)
        pooled, second = self.answer(net(z_H + z_L), essays)
        return Segment([score, second], pooled, None)

    def compare(
        self, states: torch.Tensor, pooled: torch.Tensor, prompts: torch.Tensor, rows: torch.Tensor
    ) -> torch.Tensor:
        """
        What latents in these states `(batch, latents, width)`, of essays of which the heads read `pooled`, read of the
        references of their prompts; no essay reads its own score.
        """
        essay = (pooled - self.means[prompts]) / self.spreads[prompts]
        query = self.query(states) + self.likeness(essay)[:, None]
        key = self.likeness(self.states[prompts])
        value = self.value(self.states[prompts]) + self.score_value(self.scores[prompts][..., None])
        heads = (
            part.unflatten(-1, (self.config.num_attention_heads, -1)).transpose(1, 2) for part in (query, key, value)
        )
        is_other = self.rows[prompts] != rows[:, None]  # (batch, references)
        read = nn.functional.scaled_dot_product_attention(*heads, attn_mask=is_other[:, None, None])
        return self.out(read.transpose(1, 2).flatten(2))


class Grains(Design):
    """
    Something new to see at each step: H=3, L=1, whose reads are of words, of sentences, and of tenths of the essay (means of
    the keys and values of their words).
    """

    cycles = (3, 1)
    # Word pieces that end a sentence.
    ends = (".", "!", "?")
    num_parts = 10

    def __init__(self, model: TRMForEssayScoring, tokenizer: PreTrainedTokenizerBase):
        super().__init__(model, tokenizer)
        self.end_ids = torch.tensor(tokenizer.convert_tokens_to_ids(list(self.ends)))
        # Here, and not in the reader, so that it is known which words are left.
        self.word_dropout, self.config.word_dropout_prob = self.config.word_dropout_prob, 0.0

    def segment(self, essays, carry, place, batch):
        z_H, z_L = self.start(essays)
        net = self.net()
        sentences, tenths, is_read = self.parts(essays, essays.source.key.shape[2])
        for source in (
            by_words(essays.source, is_read),
            by_parts(essays.source, sentences, is_read),
            by_parts(essays.source, tenths, is_read),
        ):
            states = z_L + z_H
            z_L = net(states + source.read(states))
            z_H = net(z_H + z_L)
        pooled, score = self.answer(z_H, essays)
        return Segment([score], pooled, None)

    def parts(self, essays: EssayBatch, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """
        The sentence and the tenth of the essay that each word piece is in, and whether it is read, each `(batch, width)`; in
        training a random share is not.
        """
        encoder: Any = self.model.model.encoder
        is_piece = encoder.pieces(essays)
        of_essays = [ids[kept] for ids, kept in zip(essays.input_ids, is_piece, strict=True)]
        pieces = nn.utils.rnn.pad_sequence(of_essays, batch_first=True)
        pieces = nn.functional.pad(pieces, (0, width - pieces.shape[1]))
        places, counts = torch.arange(width), is_piece.sum(dim=1, keepdim=True)
        is_read = places < counts
        if self.training:
            is_read = is_read & ((torch.rand(is_read.shape) >= self.word_dropout) | (places == 0))
        is_end = torch.isin(pieces, self.end_ids).long()
        tenths = (places * self.num_parts // counts).clamp(max=self.num_parts - 1)
        return is_end.cumsum(dim=1) - is_end, tenths, is_read


def by_words(source: LatentInput, is_read: torch.Tensor) -> LatentInput:
    """A source of words, `(batch, words)`, of which only some are read."""
    return LatentInput(source.reader, source.key, source.value, _added_mask(is_read, source.key), source.identities)


def by_parts(source: LatentInput, parts: torch.Tensor, is_read: torch.Tensor) -> LatentInput:
    """
    A source whose keys and values are means over the words of a part that are read.

    Args:
        source: of words.
        parts: the part that each word is in, from 0, `(batch, words)`.
        is_read: which words are, `(batch, words)`.
    """
    counts = torch.zeros(len(parts), int(parts.max()) + 1).scatter_add_(1, parts, is_read.float())
    weights = is_read / counts.gather(1, parts).clamp(min=1)
    mean = torch.zeros(*counts.shape, parts.shape[1]).scatter_(1, parts[:, None], weights[:, None])[:, None]
    mask = _added_mask(counts > 0, source.key)
    return LatentInput(source.reader, mean @ source.key, mean @ source.value, mask, source.identities)


def _added_mask(is_read: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """What is added to the attention's logits, as its plain implementation wants it: `(batch, 1, 1, keys)`."""
    return torch.where(is_read, 0.0, torch.finfo(key.dtype).min)[:, None, None, :]


DESIGNS: dict[str, type[Design]] = {
    "once": Once,
    "once-longer": OnceLonger,
    "stack": Stack,
    "cycles": Cycles,
    "equilibrium": Equilibrium,
    "improvement": Improvement,
    "comparison": Comparison,
    "grains": Grains,
}
CONTROLS = ("once", "once-longer", "stack")
