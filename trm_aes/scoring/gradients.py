"""
What each word piece adds to the recursive head's score: integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365, eq. 1),
as captum computes them.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ..errors import InputError
from ..model.configuration_trm import TRMConfig
from ..model.essays_trm import EssayBatch
from ..model.modeling_trm import TRMForEssayScoring
from .copies import copy_sharing_weights

if TYPE_CHECKING:
    from .scorer import EssayScorer

# Points of the integral (Gauss-Legendre): with these, attributions add up to less than a thousandth of a point on ASAP's essays.
POINTS = 16
# Points whose gradients are in memory at once, at most; and bytes of what is kept for them, at most, for one point and for all.
POINTS_AT_ONCE, MOST_OF_ONE, MOST_AT_ONCE = 4, 8 * 2**30, 2 * 2**30
# Numbers that the gradient keeps for each state, layer and call of the network, in widths of a state (as measured).
KEPT_WIDTHS = 21


@dataclass(frozen=True)
class RecursiveTerms:
    """
    What makes up the recursive head's score of an essay, on the 0-1 scale.

    Args:
        tokens: what each token adds, in the order of `input_ids`; 0 for those that are no word pieces of the essay.
        mean_word: the score of an essay of as many word pieces that are all alike, the mean of this one's; all else that the
            head knows of the essay (its prompt, its length, its text features) is as it is.
        score: the head's score.
    """

    tokens: list[float]
    mean_word: float
    score: float

    @property
    def gap(self) -> float:
        """The score less the sum of the others: what the integral's points miss."""
        return self.score - self.mean_word - sum(self.tokens)


def recursive_terms(scorer: "EssayScorer", inputs: dict[str, torch.Tensor], num_steps: int) -> RecursiveTerms:
    """
    Attributes the recursive head's score to word pieces, on the way from their mean to what they are. A word piece is what the
    latents read of it: the encoder's state, or where there is no encoder the word embedding.

    Args:
        scorer: what scores the essay.
        inputs: of its model for one essay, as [`model_inputs`] gives them.
        num_steps: supervision steps that the scorer takes for it.

    Raises:
        InputError: if the gradient of so long a recursion needs more memory than can be counted on (recursion on token states).
    """
    # It takes a second to import, and a scorer that explains nothing does not need it.
    from captum.attr import IntegratedGradients

    model, others = recursive_part(scorer.model, num_steps), dict(inputs)
    read = _what_is_read(model, others)
    names, given = list(others), tuple(others.values())
    config: Any = model.config

    def score(values: torch.Tensor, *given: torch.Tensor) -> torch.Tensor:
        return model(**{read.name: values}, **dict(zip(names, given, strict=True))).logits[:, 0]

    baseline = read.values.clone()
    baseline[:, read.rows] = read.values[:, read.rows].mean(dim=1, keepdim=True)
    with torch.no_grad():
        mean_word, whole = (float(score(values, *given)) for values in (baseline, read.values))
    found = IntegratedGradients(score).attribute(
        read.values, baseline, additional_forward_args=given, n_steps=POINTS,
        internal_batch_size=_points_at_once(config, read.values.shape[1]),
    )  # fmt: skip
    tokens = torch.zeros(len(read.tokens), dtype=torch.float64)
    tokens[read.tokens.cpu()] = found[0, read.rows].cpu().double().sum(dim=-1)
    return RecursiveTerms(tokens.tolist(), mean_word, whole)


def _points_at_once(config: TRMConfig, num_rows: int) -> int:
    """How many points fit into memory, of a model whose states are its latents or, without latents, the rows that it reads."""
    calls = config.H_cycles * (config.L_cycles + 1) * config.num_hidden_layers
    of_one = 4 * KEPT_WIDTHS * config.hidden_size * calls * (config.num_latents or num_rows)
    if of_one > MOST_OF_ONE:
        raise InputError(
            f"The recursive head's gradient for this essay takes about {of_one / 2**30:.0f} GB: {num_rows:,} tokens go through "
            f"{config.H_cycles} cycles. Explain a shorter essay, or a scorer that reads with latents."
        )
    return max(1, min(POINTS_AT_ONCE, MOST_AT_ONCE // of_one))


@dataclass(frozen=True)
class _Read:
    """
    What the latents of a model read of an essay.

    Args:
        name: of the model's input.
        values (`torch.Tensor` of shape `(1, rows, width)`): that input.
        rows (`torch.BoolTensor` of shape `(rows,)`): which of them stand for the essay's word pieces.
        tokens (`torch.BoolTensor` of shape `(tokens,)`): which tokens these are.
    """

    name: str
    values: torch.Tensor
    rows: torch.Tensor
    tokens: torch.Tensor


def _what_is_read(model: TRMForEssayScoring, inputs: dict[str, torch.Tensor]) -> _Read:
    """What is read, taken out of the model's inputs."""
    essays = EssayBatch.from_tensors(*(inputs[name] for name in ("input_ids", "attention_mask", "token_type_ids")))
    encoder = model.model.encoder
    if encoder is not None:
        states = encoder.normalize(inputs.pop("encoder_states"))
        rows = torch.ones(states.shape[1], dtype=torch.bool, device=states.device)
        return _Read("encoder_states", states, rows, encoder.pieces(essays)[0])
    with torch.no_grad():
        embedded = model.get_input_embeddings()(inputs.pop("input_ids"))
    # All but the separator behind it.
    is_piece = essays.is_essay[0] & essays.is_essay[0].roll(-1)
    is_piece[-1] = False
    return _Read("inputs_embeds", embedded, is_piece, is_piece)


def recursive_part(model: TRMForEssayScoring, num_steps: int) -> TRMForEssayScoring:
    """
    The recursive head alone, on the same weights. Its supervision steps become one of as many H cycles, so that the gradient,
    which the carry between steps does not hand on, goes through all of them; the score is the same.
    """
    alone = copy_sharing_weights(model)
    alone.lexical_head = alone.passage_check = alone.error_model = None
    config = alone.config
    config.H_cycles *= num_steps
    config.num_gradient_cycles, config.num_supervision_steps = config.H_cycles, 1
    return alone
