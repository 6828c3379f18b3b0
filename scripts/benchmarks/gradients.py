"""Integrated gradients (Sundararajan et al. 2017, by captum) of the recursive head, over the encoder states that it reads."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import IntegratedGradients

from trm_aes.model.modeling_trm import TRMForEssayScoring
from trm_aes.scoring.contributions import word_spans
from trm_aes.scoring.inputs import model_inputs
from trm_aes.scoring.scorer import EssayScorer

# With half of them, attributions still add up to a millionth of a point.
STEPS = 16


@dataclass(frozen=True)
class Attribution:
    """
    Attributions to the word pieces of an essay.

    Args:
        spans: where they stand.
        values: what each adds to the recursive head's score, in points of the prompt's scale, `(pieces,)`.
        change: the score less that of the baseline, in points: what the values should add up to.
    """

    spans: list[tuple[int, int]]
    values: np.ndarray
    change: float

    @property
    def gap(self) -> float:
        """By how much the values fail to add up, in points."""
        return float(self.values.sum() - self.change)

    def of_spans(self, spans: list[tuple[int, int]]) -> np.ndarray:
        """What the pieces within each span add together."""
        starts = np.array([start for start, _ in self.spans])
        return np.array([self.values[(starts >= start) & (starts < end)].sum() for start, end in spans])


def integrated_gradients(scorer: EssayScorer, recursive: TRMForEssayScoring, essay: str, prompt_id: str) -> Attribution:
    """
    Attributes the recursive head's score to the states of an essay's word pieces, on the way from their mean to themselves.

    Args:
        scorer: knows the essay's tokens; its model has an encoder.
        recursive: its recursive part, see [`recursive_part`].
        essay, prompt_id: what is scored, and which prompt it answers.
    """
    [encoded] = scorer.encode([essay], [prompt_id])
    # Clones: what was made in inference mode takes no gradient.
    inputs = {name: tensor.clone() for name, tensor in model_inputs(scorer, encoded, prompt_id).items()}
    states = recursive.model.encoder.normalize(inputs.pop("encoder_states"))
    names = list(inputs)

    def score(states: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        return recursive(**dict(zip(names, others, strict=True)), encoder_states=states).logits[:, 0]

    baseline = states.mean(dim=1, keepdim=True).expand_as(states)
    with torch.no_grad():
        change = score(states, *inputs.values()) - score(baseline, *inputs.values())
    values = IntegratedGradients(score).attribute(
        states, baseline, additional_forward_args=tuple(inputs.values()), n_steps=STEPS
    )
    span = scorer.score_ranges[prompt_id].span
    pieces = values.sum(dim=-1)[0].detach().numpy() * span
    return Attribution(word_spans(scorer, essay)[: len(pieces)], pieces, float(change) * span)


def recursive_part(model: TRMForEssayScoring) -> TRMForEssayScoring:
    """
    The recursive head alone, of the same weights in the same memory: all its supervision steps are one, which takes the same
    H cycles, so that the gradient goes through all of them.
    """
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    alone = copy.deepcopy(model, shared)
    alone.lexical_head = alone.passage_check = alone.error_model = None
    config = alone.config
    config.H_cycles *= config.num_supervision_steps
    config.num_gradient_cycles = config.H_cycles
    config.num_supervision_steps = 1
    config.halt_at_inference, config.exit_tolerance = False, None
    return alone
