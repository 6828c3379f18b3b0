# Copyright 2026 The trm-aes authors. Licensed under the Apache License, Version 2.0.
"""What the models give back: of one supervision step, and of an essay that has been scored."""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput


@dataclass
class TRMModelOutput(ModelOutput):
    """
    Output of one supervision step. (`ModelOutput` wants a default for fields that are always there, too.)

    Args:
        last_hidden_state (`torch.Tensor` of shape `(batch, tokens or latents, hidden_size)`): the answer state `z_H`.
        carry (`torch.Tensor` of shape `(batch, 2, tokens or latents, hidden_size)`): z_H and z_L, detached, for the next
            supervision step.
        hidden_states, attentions: outputs of every call of every layer, in order, where asked for.
    """

    last_hidden_state: torch.Tensor = None  # type: ignore[assignment]
    carry: torch.Tensor = None  # type: ignore[assignment]
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


@dataclass
class TRMEssayScoringOutput(ModelOutput):
    """
    Output of [`TRMForEssayScoring`].

    Args:
        loss (`torch.Tensor` of shape `()`, where `labels` are given):
            Mean over supervision steps and essays of the squared error plus the weighted halting loss.
        logits (`torch.Tensor` of shape `(batch, 1 + traits)`):
            Normalized score: 0 is the lowest score of the prompt, 1 the highest. Not clipped. Then those of the
            configuration's `traits`, in its order, each on the 0-1 scale of the trait in the essay's prompt, and NaN where the
            prompt lacks the trait.
        halt_logits (`torch.Tensor` of shape `(batch,)`):
            Logit of "the score rounds to the gold score", at the step whose score is reported.
        step_logits, step_halt_logits (`torch.Tensor` of shape `(batch, steps)`):
            Both after each supervision step; an essay that has halted repeats its last value.
        auxiliary_logits (`torch.Tensor` of shape `(batch, targets)`, with `auxiliary_targets`):
            What is learned beside the score, in standard deviations from the mean of the prompt's training essays.
        unlike_shares (`torch.Tensor` of shape `(batch, 2)`, with `passage_check`):
            Share of the essay that is unlike the prompt's training essays by topic, and by the order of its words.
        predicted_errors (`torch.Tensor` of shape `(batch,)`, with `review_by`):
            Expected distance of the rounded score from the human one, on the 0-1 scale.
        score_intervals (`torch.Tensor` of shape `(batch, 2, 2)`, with `review_by`):
            Lower and upper end of the interval that holds the human score with a probability of 0.9, and of 0.95, on the 0-1
            scale; infinite where the prompt has too few validation essays to tell.
        error_features (`torch.Tensor` of shape `(batch, features)`, with `review_by`):
            What both are worked out from, see [`TRMErrorModel.features`].
        steps_used (`torch.LongTensor` of shape `(batch,)`):
            Supervision steps taken by each essay.
        carry (`torch.Tensor` of shape `(batch, 2, tokens or latents, hidden_size)`):
            z_H and z_L, detached: pass it back to take further steps.
        hidden_states, attentions: those of the last supervision step, where asked for.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor = None  # type: ignore[assignment]
    halt_logits: torch.Tensor = None  # type: ignore[assignment]
    step_logits: torch.Tensor = None  # type: ignore[assignment]
    step_halt_logits: torch.Tensor = None  # type: ignore[assignment]
    auxiliary_logits: torch.Tensor | None = None
    unlike_shares: torch.Tensor | None = None
    predicted_errors: torch.Tensor | None = None
    score_intervals: torch.Tensor | None = None
    error_features: torch.Tensor | None = None
    steps_used: torch.Tensor = None  # type: ignore[assignment]
    carry: torch.Tensor = None  # type: ignore[assignment]
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
