"""Agreement between predicted and human scores, by prompt and averaged over prompts."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import cohen_kappa_score
from transformers import EvalPrediction

from ..model.score_scale import ScoreRange, denormalize_by_prompt, round_scores
from .calibration import apply_calibrations, fit_calibrations


def quadratic_weighted_kappa(
    references: ArrayLike,
    predictions: ArrayLike,
    min_score: float,
    max_score: float,
    sample_weight: ArrayLike | None = None,
) -> float:
    """
    Cohen's kappa with quadratic weights over the whole score range (Cohen 1968), from -1 to 1.

    The whole range counts, not only the scores that occur: a missing middle score would shift the weights. Where kappa
    is undefined (both sides give one and the same score throughout), full agreement counts as 1.

    Args:
        references: gold scores, whole numbers in `[min_score, max_score]`.
        predictions: predicted scores, likewise, in the same order.
        min_score, max_score: lowest and highest score of the prompt.
        sample_weight: how often each essay counts; once if absent.
    """
    gold, predicted = np.asarray(references), np.asarray(predictions)
    if len(gold) == 0:
        return float("nan")
    if (gold == gold[0]).all() and (predicted == gold[0]).all():
        return 1.0
    labels = list(range(int(min_score), int(max_score) + 1))
    return float(cohen_kappa_score(gold, predicted, labels=labels, weights="quadratic", sample_weight=sample_weight))


def rater_agreement(first: ArrayLike, second: ArrayLike) -> float | None:
    """
    QWK of two raters of one prompt, over the essays that both rated; None where there are none, or ratings are not whole
    numbers. They may use another scale than the label's (half of it, where the label is their sum): how far a scale goes
    beyond the ratings that occur does not change kappa.
    """
    both = np.column_stack([np.asarray(first, dtype=float), np.asarray(second, dtype=float)])
    both = both[np.isfinite(both).all(axis=1)]
    if not len(both) or (both != np.round(both)).any():
        return None
    both = both.astype(int)
    return quadratic_weighted_kappa(both[:, 0], both[:, 1], both.min(), both.max())


def standardized_mean_difference(references: np.ndarray, predictions: np.ndarray) -> float:
    """
    Mean of predictions less mean of references, in standard deviations of the references (ddof 1).

    Testing bodies ask for at most 0.15 in size (Williamson, Xi and Breyer 2012). NaN where the references do not vary
    and the means differ; 0 where they do not vary and the means agree.
    """
    difference = float(np.mean(predictions) - np.mean(references))
    deviation = float(np.std(references, ddof=1)) if len(references) > 1 else 0.0
    if deviation == 0:
        return 0.0 if difference == 0 else float("nan")
    return difference / deviation


def pearson(references: np.ndarray, predictions: np.ndarray) -> float:
    """Pearson's r; 0 where either side does not vary."""
    if len(references) < 2 or np.std(references) == 0 or np.std(predictions) == 0:
        return 0.0
    return float(np.corrcoef(references, predictions)[0, 1])


def score_metrics(references: ArrayLike, predictions: ArrayLike, score_range: ScoreRange) -> dict[str, float]:
    """
    All metrics of one prompt.

    Args:
        references: gold scores in the prompt's range. Scores between whole numbers are rounded first.
        predictions: predicted scores in the prompt's range; they are clipped to it and rounded.
        score_range: the prompt's range.

    Returns:
        `n`, `qwk`, `rmse`, `mae`, `accuracy`, `adjacent_agreement` (within one point), `pearson`, `smd`.
    """
    references = round_scores(references)
    predictions = round_scores(np.clip(predictions, score_range.min_score, score_range.max_score))
    errors = predictions - references
    return {
        "n": len(references),
        "qwk": quadratic_weighted_kappa(references, predictions, score_range.min_score, score_range.max_score),
        "rmse": float(np.sqrt(np.mean(errors**2))),
        "mae": float(np.mean(np.abs(errors))),
        "accuracy": float(np.mean(errors == 0)),
        "adjacent_agreement": float(np.mean(np.abs(errors) <= 1)),
        "pearson": pearson(references, predictions),
        "smd": standardized_mean_difference(references, predictions),
    }


def metrics_by_prompt(
    prompt_ids: Sequence[str],
    references: ArrayLike,
    predictions: ArrayLike,
    score_ranges: dict[str, ScoreRange],
) -> dict[str, dict[str, float]]:
    """`prompt_id -> score_metrics`, for gold and predicted scores on each prompt's own scale."""
    ids, gold, predicted = np.asarray(prompt_ids), np.asarray(references, float), np.asarray(predictions, float)
    return {
        str(prompt_id): score_metrics(gold[ids == prompt_id], predicted[ids == prompt_id], score_ranges[str(prompt_id)])
        for prompt_id in sorted(set(ids.tolist()))
    }


def mean_over_prompts(by_prompt: dict[str, dict[str, float]]) -> dict[str, float]:
    """Plain means over prompts, under the names `mean_qwk`, `mean_rmse` and so on."""
    names = [name for name in next(iter(by_prompt.values())) if name != "n"]
    return {f"mean_{name}": float(np.mean([metrics[name] for metrics in by_prompt.values()])) for name in names}


def mean_qwk(
    prompt_ids: Sequence[str], references: ArrayLike, predictions: ArrayLike, score_ranges: dict[str, ScoreRange]
) -> float:
    """Plain mean over prompts of QWK; arguments as of [`metrics_by_prompt`]."""
    return mean_over_prompts(metrics_by_prompt(prompt_ids, references, predictions, score_ranges))["mean_qwk"]


def metric_names(prompt_ids: Iterable[str]) -> list[str]:
    """Names of what [`build_compute_metrics`] gives for essays of these prompts."""
    of_prompt = list(score_metrics([0, 1], [0, 1], ScoreRange(0, 1)))
    means = [*(f"mean_{name}" for name in of_prompt if name != "n"), "mean_calibrated_qwk"]
    return [*means, *(f"prompt_{prompt_id}_{name}" for prompt_id in prompt_ids for name in of_prompt)]


def build_compute_metrics(
    prompt_ids: Sequence[str], score_ranges: dict[str, ScoreRange]
) -> Callable[[EvalPrediction], dict[str, float]]:
    """
    A `compute_metrics` for a `Trainer` that evaluates the essays whose prompts are `prompt_ids`, in that order.

    It returns `mean_qwk` and its like, every metric of every prompt as `prompt_<id>_<metric>`, and
    `mean_calibrated_qwk`: after the calibration that ends a training run, by which epochs can be compared.
    """

    def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
        normalized = np.asarray(prediction.predictions).reshape(-1)
        labels = np.asarray(prediction.label_ids).reshape(-1)
        if len(normalized) != len(prompt_ids):
            raise ValueError(f"These metrics are of {len(prompt_ids)} essays, but {len(normalized)} were predicted.")
        predictions = denormalize_by_prompt(normalized, prompt_ids, score_ranges)
        references = denormalize_by_prompt(labels, prompt_ids, score_ranges)
        by_prompt = metrics_by_prompt(prompt_ids, references, predictions, score_ranges)
        flat = {
            f"prompt_{prompt_id}_{name}": value
            for prompt_id, metrics in by_prompt.items()
            for name, value in metrics.items()
        }
        lines = fit_calibrations(prompt_ids, predictions, references)
        calibrated = apply_calibrations(lines, prompt_ids, predictions)
        calibrated_qwk = mean_qwk(prompt_ids, references, calibrated, score_ranges)
        return {**mean_over_prompts(by_prompt), "mean_calibrated_qwk": calibrated_qwk, **flat}

    return compute_metrics
