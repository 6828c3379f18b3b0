"""The path of the recursion: what an essay's score would be, had the recursion stopped earlier."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ..model.modeling_trm import TRMForEssayScoring
from .copies import copy_sharing_weights
from .inputs import model_inputs

if TYPE_CHECKING:
    from .scorer import EssayScorer


@dataclass(frozen=True)
class TrajectoryPoint:
    """
    Where the score stands at one point of the recursion.

    Args:
        step: the supervision step, from 1.
        cycle: the H cycle in it, from 1.
        score: on the prompt's scale, not rounded, as if the recursion had stopped here.
        confidence: the halting head's probability (0-1) that this score, rounded, is the score a human would give. It is one at
            the end of the supervision steps that the model was trained with; the head has learned to judge no other states.
    """

    step: int
    cycle: int
    score: float
    confidence: float


@torch.inference_mode()
def trajectory_of(scorer: "EssayScorer", essay: str, prompt_id: str, num_steps: int | None) -> list[TrajectoryPoint]:
    """
    The points of an essay's recursion, in order.

    Args:
        scorer: what scores it.
        essay: its text, one that can be scored.
        prompt_id: a prompt that the scorer knows.
        num_steps: supervision steps, at least 1, all of which are taken; as many as the scorer takes for this essay if None.
    """
    [encoded] = scorer.encode([essay], [prompt_id])
    inputs = model_inputs(scorer, encoded, prompt_id)
    if num_steps is None:
        num_steps = int(scorer.model(**inputs).steps_used)
    model, scale = by_single_cycles(scorer.model), scorer.score_ranges[prompt_id]
    points, carry = [], None
    for step in range(1, num_steps + 1):
        for cycle in range(1, scorer.model.config.H_cycles + 1):
            outputs = model(**inputs, carry=carry, num_supervision_steps=1)
            carry = outputs.carry
            score = float(scale.denormalize(outputs.logits[0, 0].item()))
            points.append(TrajectoryPoint(step, cycle, score, float(outputs.halt_logits[0].float().sigmoid())))
    return points


def by_single_cycles(model: TRMForEssayScoring) -> TRMForEssayScoring:
    """
    A model with the same weights in the same memory, one supervision step of which is one H cycle. The carry hands on all that
    the next cycle needs, so as many calls as the model has cycles are one step of the model.
    """
    single = copy_sharing_weights(model)
    single.config.H_cycles = 1
    return single
