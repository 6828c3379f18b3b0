"""How far scores may be from human ones: the error model, fitted in closed form when all else of a scorer is settled."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold

from ...evaluation.agreement import rounds_to
from ...evaluation.review import LEAST_RELEASED, released_areas
from ...model.confidence_trm import FEATURES, LEVELS, MOST_RATIO, NUM_SHARES, TRMErrorModel
from ...model.score_scale import ScoreRange, by_prompt
from ...scoring.scorer import EssayScorer

# Of fewer validation essays in all, nothing is said of errors.
LEAST_ESSAYS = 30
# No essay judges itself: what is kept of each comes from a fit to the other parts.
NUM_PARTS = 10
# What is known of all prompts counts beside a prompt's validation essays as much as so many of them.
PRIOR_ESSAYS = 30
# Of the ridge regression of the spread, in essays: seven weights are learned for all prompts.
PENALTY = 100.0
MIN_SPREAD = 1e-6


@dataclass(frozen=True)
class Judged:
    """
    Essays that have been scored by a model and by people.

    Args:
        features: see [`TRMErrorModel.features`], `(essays, features)`.
        scores: the model's, 0-1, clipped as people see them, `(essays,)`.
        gold: human scores, 0-1, `(essays,)`.
        unit: of the scores, by prompt, `(essays,)`.
        prompts: places in the configuration's `score_ranges`, `(essays,)`.
    """

    features: torch.Tensor
    scores: torch.Tensor
    gold: torch.Tensor
    unit: torch.Tensor
    prompts: torch.Tensor

    def part(self, places: np.ndarray) -> "Judged":
        """Some of the essays."""
        return Judged(*(values[places] for values in vars(self).values()))

    def inputs(self) -> tuple[torch.Tensor, ...]:
        """What the error model is given of them."""
        return self.features, self.scores, self.unit, self.prompts


@dataclass(frozen=True)
class CrossFitted:
    """
    What error models say of essays that they were not fitted to, each `(essays,)`.

    Args:
        distances: of the human score from the expected center, in spreads.
        errors: predicted, in steps of the scale.
    """

    distances: np.ndarray
    errors: np.ndarray


@torch.no_grad()
def fit_error_model(
    scorer: EssayScorer, rows: Sequence[dict], essays: pd.DataFrame, ranges: dict[str, ScoreRange]
) -> dict[str, Any] | None:
    """
    Gives a scorer an error model, and chooses what tells the essays that people should read: the predicted error, or the
    halting head's confidence where that has chosen better among the validation essays. Every figure and every quantile
    comes from error models that were fitted without the essay itself, in ten parts.

    Args:
        scorer: finished but for this; it knows its prompts. Its model is changed.
        rows: its validation essays, as [`EssayScorer.rows`] gives them.
        essays: their `prompt_id` and gold `score`, on the prompts' own scales.
        ranges: of the prompts, in the order of the model's configuration.

    Returns:
        For the record: `essays`, how many; `review_by`; `area`, by route, the mean agreement among released essays over all
        shares, see [`released_areas`]; `whole_scale`, by level, the prompts whose sets are the whole scale because they have
        too few validation essays (9 at the level 0.9, 19 at 0.95). None, and no error model, for fewer than 30 validation
        essays.
    """
    if len(essays) < LEAST_ESSAYS:
        return None
    model = scorer.model
    error_model = model.add_error_model("predicted_error")
    judged, confidence = _judge(scorer, rows, essays, ranges)
    crossed = _cross_fit(error_model, judged, ranges)
    _fit(error_model, judged)
    _set_quantiles(error_model, crossed.distances, judged.prompts.numpy())
    is_right = rounds_to(essays["score"], judged.scores.numpy(), essays["prompt_id"], ranges)
    doubts = {"predicted_error": crossed.errors, "confidence": 1 - confidence}
    area = {name: float(released_areas(doubt, is_right)[0]) for name, doubt in doubts.items()}
    review_by = max(area, key=lambda name: area[name])
    model.config.review_by = review_by
    _set_thresholds(error_model, doubts[review_by], is_right)
    whole = error_model.quantiles.isinf().cpu()
    return {
        "essays": len(essays),
        "review_by": review_by,
        "area": {**area, "random": float(is_right.mean())},
        "whole_scale": {
            str(level): [name for name, is_whole in zip(ranges, whole[:, column].tolist(), strict=True) if is_whole]
            for column, level in enumerate(LEVELS)
        },
    }


def _judge(
    scorer: EssayScorer, rows: Sequence[dict], essays: pd.DataFrame, ranges: dict[str, ScoreRange]
) -> tuple[Judged, np.ndarray]:
    """What the scorer says of its validation essays, and its confidences `(essays,)`."""
    bank: Any = scorer.model.model.prompt_bank
    places = {prompt_id: place for place, prompt_id in enumerate(ranges)}
    prompts = torch.tensor([places[prompt_id] for prompt_id in essays["prompt_id"]])
    features, scores, confidence = torch.zeros(len(rows), len(FEATURES)), torch.zeros(len(rows)), np.zeros(len(rows))
    for indices, outputs in scorer.outputs(rows):
        found: Any = outputs.error_features
        features[indices], scores[indices] = found.cpu(), outputs.logits[:, 0].float().clamp(0, 1).cpu()
        confidence[indices] = outputs.halt_logits.float().sigmoid().cpu().numpy()
    gold = by_prompt(ScoreRange.normalize, essays["score"], essays["prompt_id"], ranges)
    unit = bank.score_stds.float().cpu()[prompts]
    return Judged(features, scores, torch.tensor(gold, dtype=torch.float32), unit, prompts), confidence


def _cross_fit(error_model: TRMErrorModel, judged: Judged, ranges: dict[str, ScoreRange]) -> CrossFitted:
    """Fits an error model without each part of the essays, and asks it about these; it is left with the last fit."""
    distances, errors = np.zeros((2, len(judged.gold)))
    parts = KFold(NUM_PARTS, shuffle=True, random_state=0)
    for others, part in parts.split(distances):
        _fit(error_model, judged.part(others))
        inside = judged.part(part)
        inputs = [values.to(error_model.weights.device) for values in inside.inputs()]
        center, spread = (values.cpu() for values in error_model.expect(*inputs))
        distances[part] = ((inside.gold - center).abs() / spread).numpy()
        errors[part] = error_model(*inputs)[0].cpu().numpy()
    steps = np.array([score_range.num_steps for score_range in ranges.values()])
    return CrossFitted(distances, errors * steps[judged.prompts.numpy()])


def _fit(error_model: TRMErrorModel, judged: Judged):
    """Sets all but the quantiles and the thresholds."""
    num_prompts = len(error_model.steps)
    prompts: np.ndarray = judged.prompts.numpy()
    features: np.ndarray = judged.features.double().numpy()

    def means(values: np.ndarray) -> np.ndarray:
        return drawn_means(values, prompts, num_prompts)

    feature_means = means(features)
    variances = np.maximum(means((features - feature_means[prompts]) ** 2), 0)
    # What never varies says nothing.
    spreads = np.where(variances > MIN_SPREAD, np.sqrt(variances), np.inf)
    _set(error_model, feature_means=feature_means, feature_stds=spreads)
    device = error_model.weights.device
    _, standardized = error_model.standardized(judged.features.to(device), judged.prompts.to(device))
    inputs: np.ndarray = standardized.cpu().double().numpy()
    place = inputs[:, 0]
    missing: np.ndarray = ((judged.gold - judged.scores) / judged.unit).double().numpy()
    slopes, shifts = means(missing * place) / np.maximum(means(place**2), MIN_SPREAD), means(missing)
    away = np.abs(missing - shifts[prompts] - slopes[prompts] * place)
    deviations = np.maximum(means(away), MIN_SPREAD)
    # One far essay must not set the weights.
    ratios = np.minimum(away / deviations[prompts], 2 * MOST_RATIO)
    weights = Ridge(PENALTY).fit(inputs, ratios).coef_
    _set(error_model, slopes=slopes, shifts=shifts, deviations=deviations, weights=weights)


def drawn_means(values: np.ndarray, prompts: np.ndarray, num_prompts: int) -> np.ndarray:
    """
    Means by prompt, drawn toward that of all essays as if [`PRIOR_ESSAYS`] of each prompt more had this mean: of a prompt
    without essays it is that mean.

    Args:
        values: of the essays, `(essays,)` or `(essays, measures)`.
        prompts: of the essays, `(essays,)`, 0 to `num_prompts - 1`.

    Returns:
        `(num_prompts,)` or `(num_prompts, measures)`.
    """
    sums = np.zeros((num_prompts, *values.shape[1:]))
    np.add.at(sums, prompts, values)
    counts = np.bincount(prompts, minlength=num_prompts).reshape(-1, *[1] * (values.ndim - 1))
    return (sums + PRIOR_ESSAYS * values.mean(axis=0)) / (counts + PRIOR_ESSAYS)


def _set_quantiles(error_model: TRMErrorModel, distances: np.ndarray, prompts: np.ndarray):
    quantiles = [
        [conformal_quantile(distances[prompts == place], level) for level in LEVELS]
        for place in range(len(error_model.steps))
    ]
    _set(error_model, quantiles=np.array(quantiles))


def conformal_quantile(distances: np.ndarray, level: float) -> float:
    """
    The `ceil((n + 1) * level)`-th smallest of `n` distances, below which that of one more essay lies with a probability of at
    least `level` (0-1) if it is like the others (split conformal prediction); infinite where there are too few.
    """
    rank = math.ceil((len(distances) + 1) * level - 1e-9)
    return float(np.sort(distances)[rank - 1]) if rank <= len(distances) else math.inf


def _set_thresholds(error_model: TRMErrorModel, doubts: np.ndarray, is_right: np.ndarray):
    thresholds, agreement = np.zeros((2, NUM_SHARES))
    order = np.argsort(doubts, kind="stable")
    doubts, right = doubts[order], is_right[order]
    for place, share in enumerate(np.linspace(0, 1, NUM_SHARES)):
        released = math.floor(share * len(doubts) + 1e-9)
        thresholds[place] = doubts[released - 1] if released else -math.inf
        if released >= LEAST_RELEASED:
            # Essays of equal doubt are released together.
            agreement[place] = right[doubts <= thresholds[place]].mean()
    _set(error_model, thresholds=thresholds, released_agreement=agreement)


def _set(error_model: TRMErrorModel, **values: np.ndarray):
    for name, value in values.items():
        getattr(error_model, name).copy_(torch.as_tensor(value))
