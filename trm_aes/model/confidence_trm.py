# Copyright 2026 The trm-aes authors. Licensed under the Apache License, Version 2.0.
"""How far a score may be from the one that a human would give: the error that is expected, and prediction sets."""

import math
from typing import Any

import torch
from torch import nn

from .configuration_trm import TRMConfig
from .prompts_trm import standardize
from .score_scale import ScoreRange

# What the spread of the human scores is judged by, in the order of [`TRMErrorModel.features`].
FEATURES = ("place", "distance", "disagreement", "halting", "length", "unlike")
# The levels of the prediction sets: the share of human scores that lie in them.
LEVELS = (0.9, 0.95)
# A longer scale counts as one of so many steps: by which of them a score is rounded makes no difference there.
MOST_STEPS = 100
# A spread is between half and twice its prompt's: what is beyond has been seen too rarely.
LEAST_RATIO, MOST_RATIO = 0.5, 2.0
# In steps of the scale: no human score is as good as certain.
LEAST_SPREAD = 0.1
# Of a normal distribution whose mean absolute deviation is 1.
STD_OF_DEVIATION = math.sqrt(math.pi / 2)
# Shares of essays, 0 to 1 by hundredths, at which thresholds of review are known.
NUM_SHARES = 101


class TRMErrorModel(nn.Module):
    """
    Where the human score of an essay is to be expected, and how far around it: as if it were drawn from a normal
    distribution and rounded to the scale. All of it is fitted in closed form (see `training/fit/confidence.py`).

    The center is the score, drawn toward the mean of its prompt: scores spread as human ones do, and the mean of the human
    scores of equal essays does not. The spread is the prompt's, times a linear function of [`FEATURES`], in standard
    deviations of the prompt's essays. From both follow the expected error of the rounded score, and intervals, whose
    half widths are quantiles of how many spreads the human scores of validation essays lie from the center (split
    conformal prediction, by prompt; Vovk 2012, Lei et al. 2018).
    """

    feature_means: torch.Tensor
    feature_stds: torch.Tensor
    shifts: torch.Tensor
    slopes: torch.Tensor
    deviations: torch.Tensor
    weights: torch.Tensor
    quantiles: torch.Tensor
    thresholds: torch.Tensor
    released_agreement: torch.Tensor

    def __init__(self, config: TRMConfig):
        super().__init__()
        ranges = [ScoreRange.from_list(values) for values in (config.score_ranges or {}).values()]
        self.steps = [min(score_range.num_steps, MOST_STEPS) for score_range in ranges]
        num_prompts, num_features = len(ranges), len(FEATURES)
        self.register_buffer("feature_means", torch.empty(num_prompts, num_features))
        self.register_buffer("feature_stds", torch.empty(num_prompts, num_features))
        # Of the line from the score to the center, and the mean deviation from that, in the unit of the prompt's scores.
        self.register_buffer("shifts", torch.empty(num_prompts))
        self.register_buffer("slopes", torch.empty(num_prompts))
        self.register_buffer("deviations", torch.empty(num_prompts))
        # Of the features and of the squared place, the same for all prompts.
        self.register_buffer("weights", torch.empty(num_features + 1))
        self.register_buffer("quantiles", torch.empty(num_prompts, len(LEVELS)))
        # By the share of the validation essays that are released: the largest measure of review among these, and the share of
        # them whose rounded score is the human one; 0 where these are too few to tell.
        self.register_buffer("thresholds", torch.empty(NUM_SHARES))
        self.register_buffer("released_agreement", torch.empty(NUM_SHARES))

    def features(
        self,
        scores: torch.Tensor,
        heads: tuple[torch.Tensor, torch.Tensor | None],
        halt_logits: torch.Tensor,
        unlike_shares: torch.Tensor | None,
        essays: Any,
        bank: Any,
    ) -> torch.Tensor:
        """
        What is at hand of essays that have been scored: `(batch, features)` in float32, not standardized.

        Args:
            scores (`torch.Tensor` of shape `(batch,)`): 0-1, clipped, as in all methods here.
            heads: scores of the recursive head `(batch,)` and of the lexical one, 0-1; the latter None without one.
            halt_logits (`torch.Tensor` of shape `(batch,)`): of the halting head.
            unlike_shares (`torch.Tensor` of shape `(batch, 2)`): of the passage check; None without one.
            essays ([`EssayBatch`]): the essays.
            bank ([`TRMPromptBank`]): what is known of their prompts.
        """
        prompts = essays.prompt_indices
        unit = bank.score_stds[prompts]
        recursive, lexical = heads
        nothing = torch.zeros_like(scores)
        columns = [
            (scores - bank.score_means[prompts]) / unit,
            self._from_rounded(scores, prompts).abs(),
            nothing if lexical is None else (recursive - lexical).abs() / unit,
            halt_logits,
            essays.lengths,
            nothing if unlike_shares is None else torch.log1p(10 * unlike_shares.sum(dim=1)),
        ]
        return torch.stack([column.float() for column in columns], dim=1)

    def forward(
        self, features: torch.Tensor, scores: torch.Tensor, unit: torch.Tensor, prompt_indices: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Expected errors of the rounded scores, `(batch,)`, and the ends of intervals that hold the human score at each of
        [`LEVELS`], `(batch, levels, 2)`; both on the 0-1 scale, the ends not clipped, infinite where a prompt has too few
        validation essays for the level.

        Args:
            features (`torch.Tensor` of shape `(batch, features)`): see [`features`].
            scores (`torch.Tensor` of shape `(batch,)`): 0-1.
            unit (`torch.Tensor` of shape `(batch,)`): of the scores, by prompt, as the bank's `score_stds`.
            prompt_indices (`torch.LongTensor` of shape `(batch,)`): the essays' prompts.
        """
        center, spread = self.expect(features, scores, unit, prompt_indices)
        half = self.quantiles[prompt_indices] * spread[:, None]
        intervals = torch.stack((center[:, None] - half, center[:, None] + half), dim=-1)
        return self.expected_error(center, spread, scores, prompt_indices), intervals

    def expect(
        self, features: torch.Tensor, scores: torch.Tensor, unit: torch.Tensor, prompt_indices: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Center and standard deviation of the expected human scores, each `(batch,)`, 0-1; arguments as of [`forward`]."""
        place, inputs = self.standardized(features, prompt_indices)
        moved = self.shifts[prompt_indices] + self.slopes[prompt_indices] * place
        ratio = (1 + inputs @ self.weights.float()).clamp(LEAST_RATIO, MOST_RATIO)
        deviation = self.deviations[prompt_indices] * ratio
        return scores + unit * moved, unit * STD_OF_DEVIATION * deviation

    def standardized(self, features: torch.Tensor, prompt_indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Places on the scale `(batch,)` and inputs of the spread `(batch, features + 1)`, by prompt standardized."""
        inputs = standardize(features, self.feature_means[prompt_indices], self.feature_stds[prompt_indices])
        place = inputs[:, 0]
        return place, torch.cat((inputs, place.square()[:, None] - 1), dim=1)

    def expected_error(
        self, center: torch.Tensor, spread: torch.Tensor, scores: torch.Tensor, prompt_indices: torch.Tensor
    ) -> torch.Tensor:
        """
        Mean distance of the rounded score from a human score that is normal about a center, and rounded to the scale as
        well: `(batch,)`, 0-1, as are all arguments.
        """
        steps = self._steps(prompt_indices)
        rounded = scores * steps - self._from_rounded(scores, prompt_indices)
        away = torch.arange(max(self.steps), device=center.device) + 0.5  # to the score above, the next one, and so on
        # Of the normal variable: what rounding adds to the variance is taken off again (Sheppard's correction).
        spread = ((spread * steps).square() - 1 / 12).clamp(min=LEAST_SPREAD**2).sqrt()
        center, spread, at = (center * steps)[:, None], spread[:, None], rounded[:, None]
        above = _beyond((at + away - center) / spread) * (at + away < steps[:, None])
        below = _beyond((center - at + away) / spread) * (at - away > 0)
        return (above + below).sum(dim=1) / steps

    def _steps(self, prompt_indices: torch.Tensor) -> torch.Tensor:
        return torch.tensor(self.steps, dtype=torch.float32, device=prompt_indices.device)[prompt_indices]

    def _from_rounded(self, scores: torch.Tensor, prompt_indices: torch.Tensor) -> torch.Tensor:
        """How far scores lie above their rounded ones, in steps of the scale, -0.5 to 0.5: `(batch,)`."""
        in_steps = scores * self._steps(prompt_indices)
        return in_steps - torch.floor(in_steps + 0.5)


def _beyond(deviations: torch.Tensor) -> torch.Tensor:
    """The probability that a standard normal variable is larger."""
    return (1 - torch.erf(deviations / math.sqrt(2))) / 2
