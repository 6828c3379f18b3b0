# Copyright 2026 The trm-aes authors. Licensed under the Apache License, Version 2.0.
"""
Supervision steps: taken one after the other, until an essay may leave; what the heads read after each; and the loss of
their scores.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from transformers import PreTrainedConfig

from .essays_trm import EssayBatch
from .outputs_trm import TRMModelOutput


class SupervisionStep(NamedTuple):
    """
    What one step gives: the recursive head's scores (0-1 scale) and halting logits, each `(batch,)`; what the heads read,
    `(batch, hidden_size)`; the model's output.
    """

    scores: torch.Tensor
    halt_logits: torch.Tensor
    pooled: torch.Tensor
    outputs: TRMModelOutput


@dataclass
class StepRecord:
    """
    What the steps of one call gave: the recursive head's scores and halting logits after each, `(batch, steps)`; the other
    fields as in [`TRMEssayScoringOutput`], and as of the last step that each essay took.
    """

    recursive_scores: torch.Tensor
    halt_logits: torch.Tensor
    pooled: torch.Tensor
    steps_used: torch.Tensor
    carry: torch.Tensor
    last: TRMModelOutput


def take_supervision_steps(
    step: Callable[[EssayBatch, torch.Tensor | None], SupervisionStep],
    essays: EssayBatch,
    carry: torch.Tensor | None,
    num_steps: int,
    goes_on: Callable[[Sequence[torch.Tensor], torch.Tensor], torch.Tensor] | None = None,
) -> StepRecord:
    """
    Takes supervision steps; essays that halt leave the batch, and repeat their last values. Where all have halted the model is
    not called any more.

    Args:
        step: takes one step with essays and their carry.
        essays: all of the batch.
        carry: that of an earlier call on the same essays, None at the start.
        num_steps: at most so many, 1 or more.
        goes_on: which essays take another step, `(batch,)`, by the scores after each step so far and the last halting
            logits; None where none may leave.
    """
    scores, halts, pooled, outputs = step(essays, carry)
    carry, steps_used = outputs.carry, torch.ones_like(scores, dtype=torch.long)
    scores_by_step, halts_by_step = [scores], [halts]
    for _ in range(num_steps - 1):
        stays = goes_on(scores_by_step, halts) if goes_on else None
        if stays is None or stays.all():
            scores, halts, pooled, outputs = step(essays, carry)
            carry, steps_used = outputs.carry, steps_used + 1
        elif stays.any():
            rows = stays.nonzero().squeeze(-1)
            *new, outputs = step(essays.select(rows), carry[rows])
            scores, halts, pooled = (
                old.index_copy(0, rows, values) for old, values in zip((scores, halts, pooled), new, strict=True)
            )
            carry, steps_used = carry.index_copy(0, rows, outputs.carry), steps_used + stays
        scores_by_step.append(scores)
        halts_by_step.append(halts)
    return StepRecord(
        torch.stack(scores_by_step, dim=1), torch.stack(halts_by_step, dim=1), pooled, steps_used, carry, outputs
    )


def takes_another_step(
    config: PreTrainedConfig, scores_by_step: Sequence[torch.Tensor], halts: torch.Tensor, lexical: torch.Tensor | None
) -> torch.Tensor:
    """
    Which essays take another step, `(batch,)`. One that has left keeps its halting logit and no longer moves, so it stays
    out.

    Args:
        config: of the model, a [`TRMConfig`]: has the rules.
        scores_by_step: the recursive head's after each step so far, `(batch,)` each.
        halts: halting logits after the last, `(batch,)`.
        lexical: the linear head's scores, `(batch, 1)`, where there is one.
    """
    goes_on = torch.ones_like(halts, dtype=torch.bool)
    if config.halt_at_inference:
        goes_on &= halts.sigmoid() <= config.halting_threshold
    if config.exit_tolerance is not None and len(scores_by_step) > 1:
        last_two = combine_heads(torch.stack(list(scores_by_step[-2:]), dim=1), lexical, config.lexical_share)
        before, after = last_two.unbind(dim=1)
        goes_on &= ~has_settled(before, after, config.exit_tolerance)
    return goes_on


def has_settled(before, after, tolerance: float):
    """
    The exit rule: whether scores (0-1 scale) have moved by no more than the tolerance from one step to the next. Takes
    tensors and NumPy arrays of one shape, so that scoring and the choice of the tolerance go by the same rule.
    """
    return abs(after - before) <= tolerance


def pool_states(states: torch.Tensor, mask: torch.Tensor | None, pooling: str) -> torch.Tensor:
    """
    What the heads read of `z_H` `(batch, states, hidden_size)`: its mean over states that are not padding (`mean`), or the
    first of them (`cls`); `(batch, hidden_size)` in float32.
    """
    states = states.float()
    if mask is None:
        mask = states.new_ones(states.shape[:2])
    if pooling == "cls":
        first = mask.long().argmax(dim=1)
        return states[torch.arange(len(first), device=first.device), first]
    weights = mask.to(states.dtype).unsqueeze(-1)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def combine_heads(recursive: torch.Tensor, lexical: torch.Tensor | None, lexical_share: float) -> torch.Tensor:
    """
    The score that both heads give together: the recursive one's where there is no other.

    Args:
        recursive: scores after each step, `(batch, steps)`.
        lexical: `(batch, 1)`, the same whatever the step.
        lexical_share: 0 to 1.
    """
    if lexical is None:
        return recursive
    return (1 - lexical_share) * recursive + lexical_share * lexical


def supervision_loss(
    config: PreTrainedConfig,
    step_scores: torch.Tensor,
    step_halt_logits: torch.Tensor,
    labels: torch.Tensor,
    score_spans: torch.Tensor | None = None,
    lexical_scores: torch.Tensor | None = None,
    unit: torch.Tensor | float = 1.0,
) -> torch.Tensor:
    """
    Mean over steps and essays of `((score - label) / unit)^2 + halting_loss_weight * BCE(halt logit, "is right")`, where an
    essay "is right" at a step if its score rounds to the gold score. The two heads' squared errors are added, not that of
    their mean: each is to score as well as it can alone.

    Args:
        config: of the model, a [`TRMConfig`]: has the weight of the halting loss, its tolerance, and the share of the lexical head.
        step_scores, step_halt_logits: of the recursive head, `(batch, steps)`.
        labels: 0-1, `(batch,)` or `(batch, 1)`.
        score_spans: steps from lowest to highest score of each essay's prompt, `(batch,)`.
        lexical_scores: of the lexical head, where there is one, `(batch, 1)`.
        unit: standard deviation of the prompt's scores, so that all prompts weigh alike: `(batch,)` or `(batch, 1)`, or a
            number.

    Returns:
        A scalar.
    """
    labels = labels.reshape(-1, 1).to(step_scores.dtype)
    unit = torch.as_tensor(unit, device=step_scores.device).reshape(-1, 1)
    loss = ((step_scores - labels) / unit).square().mean()
    if lexical_scores is not None:
        loss = loss + ((lexical_scores - labels) / unit).square().mean()
    scores = combine_heads(step_scores, lexical_scores, config.lexical_share)
    tolerance: float | torch.Tensor = config.halting_tolerance
    if score_spans is not None:
        # Half a step.
        tolerance = 0.5 / score_spans.reshape(-1, 1).to(scores.dtype)
    # As it is given out: no score lies beyond the scale.
    is_right = ((scores.detach().clamp(0, 1) - labels).abs() < tolerance).to(step_halt_logits.dtype)
    halting_loss = nn.functional.binary_cross_entropy_with_logits(step_halt_logits, is_right)
    return loss + config.halting_loss_weight * halting_loss
