"""Agreement between predicted and human scores, by prompt and averaged over prompts."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import cohen_kappa_score
from transformers import EvalPrediction

from ..model.score_scale import ScoreRange, by_prompt, denormalize_by_prompt
from .calibration import apply_calibrations, fit_calibrations

# A table of all pairs of scores, from which Cohen's kappa is worked out, takes 8 MB for so many steps.
MAX_TABLE_STEPS = 1000


def quadratic_weighted_kappa(
    references: ArrayLike,
    predictions: ArrayLike,
    min_score: float,
    max_score: float,
    sample_weight: ArrayLike | None = None,
    step: float = 1.0,
) -> float:
    """
    Cohen's kappa with quadratic weights over the whole score range (Cohen 1968), from -1 to 1.

    The whole range counts, not only the scores that occur: a missing middle score would shift the weights. Where kappa
    is undefined (both sides give one and the same score throughout), full agreement counts as 1.

    Args:
        references: gold scores of the prompt's scale.
        predictions: predicted scores, likewise, in the same order.
        min_score, max_score: lowest and highest score of the prompt.
        sample_weight: how often each essay counts; once if absent.
        step: from one score of the prompt to the next.

    Raises:
        ValueError: if a score is not on the prompt's scale.
    """
    scale = ScoreRange(float(min_score), float(max_score), float(step))
    for name, scores in (("references", references), ("predictions", predictions)):
        wrong = np.asarray(scores, dtype=float)[~scale.holds(scores)]
        if len(wrong):
            raise ValueError(
                f"`{name}` have {len(wrong)} scores that are not on the scale {scale}, {wrong[0]:g} first."
            )
    return _kappa_on_scale(references, predictions, scale, sample_weight)


def _kappa_on_scale(
    references: ArrayLike, predictions: ArrayLike, scale: ScoreRange, sample_weight: ArrayLike | None = None
) -> float:
    gold, predicted = scale.steps(references), scale.steps(predictions)
    if len(gold) == 0:
        return float("nan")
    if (gold == gold[0]).all() and (predicted == gold[0]).all():
        return 1.0
    if scale.num_steps > MAX_TABLE_STEPS:
        return kappa_of_numbers(gold, predicted, sample_weight)
    labels = np.arange(scale.num_steps + 1)
    return float(cohen_kappa_score(gold, predicted, labels=labels, weights="quadratic", sample_weight=sample_weight))


def kappa_of_numbers(references: ArrayLike, predictions: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """
    Kappa with quadratic weights of any numbers, scores that were not rounded among them:
    `2 Cov(p, r) / (Var p + Var r + (mean p - mean r)^2)`, as RSMTool has it (variances without correction). Of scores on a
    grid it is Cohen's kappa, whatever the step is.

    Args:
        references, predictions: of the same essays.
        sample_weight: how often each essay counts; once if absent.
    """
    gold, predicted = np.asarray(references, dtype=float), np.asarray(predictions, dtype=float)
    if len(gold) == 0:
        return float("nan")
    if (gold == gold[0]).all() and (predicted == gold[0]).all():
        return 1.0
    weights = None if sample_weight is None else np.asarray(sample_weight, dtype=float)
    means = [np.average(values, weights=weights) for values in (gold, predicted)]
    gold_errors, predicted_errors = gold - means[0], predicted - means[1]
    covariance = np.average(gold_errors * predicted_errors, weights=weights)
    expected = np.average(gold_errors**2 + predicted_errors**2, weights=weights) + (means[0] - means[1]) ** 2
    return float(2 * covariance / expected) if expected else 1.0


def rater_agreement(first: ArrayLike, second: ArrayLike) -> float | None:
    """
    QWK of two raters of one prompt, over the essays that both rated; None where neither varies there. They may use another scale
    than the label's (half of it, where the label is their sum): neither its step nor how far it goes beyond the ratings that
    occur changes kappa.
    """
    both = np.column_stack([np.asarray(first, dtype=float), np.asarray(second, dtype=float)])
    both = both[np.isfinite(both).all(axis=1)]
    return kappa_of_numbers(both[:, 0], both[:, 1]) if (both != both[:1]).any() else None


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
        references: gold scores on the prompt's scale. What lies between two of its scores is rounded first.
        predictions: predicted scores on the prompt's scale, not rounded; they are clipped to its range.
        score_range: the prompt's scale.

    Returns:
        `n`; of rounded predictions `qwk`, `rmse`, `mae`, `accuracy`, `adjacent_agreement` (within one step), `pearson`,
        `smd`; of predictions that are not rounded `qwk_continuous`, `rmse_continuous`, `pearson_continuous`. `rmse` and `mae`
        are in points, or in steps from label to label.
    """
    gold, continuous = score_range.round(references), score_range.clip(predictions)
    rounded = score_range.round(predictions)
    errors, steps = rounded - gold, score_range.steps(rounded) - score_range.steps(gold)
    return {
        "n": len(gold),
        "qwk": _kappa_on_scale(gold, rounded, score_range),
        "rmse": float(np.sqrt(np.mean(errors**2))),
        "mae": float(np.mean(np.abs(errors))),
        "accuracy": float(np.mean(steps == 0)),
        "adjacent_agreement": float(np.mean(np.abs(steps) <= 1)),
        "pearson": pearson(gold, rounded),
        "smd": standardized_mean_difference(gold, rounded),
        "qwk_continuous": kappa_of_numbers(gold, continuous),
        "rmse_continuous": float(np.sqrt(np.mean((continuous - gold) ** 2))),
        "pearson_continuous": pearson(gold, continuous),
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


def rounds_to(
    gold: Iterable[float], normalized: Iterable[float], prompt_ids: Iterable[str], score_ranges: dict[str, ScoreRange]
) -> np.ndarray:
    """
    Whether essays' scores, rounded as people get them, are the gold ones: `(essays,)`.

    Args:
        gold: on the prompts' own scales.
        normalized: scores, 0 the lowest of the prompt and 1 the highest.
        prompt_ids, score_ranges: as of [`by_prompt`].
    """
    ids = list(prompt_ids)
    scores = denormalize_by_prompt(normalized, ids, score_ranges)
    return by_prompt(ScoreRange.round, scores, ids, score_ranges) == np.array(list(gold))


def build_compute_metrics(
    prompt_ids: Sequence[str], score_ranges: dict[str, ScoreRange]
) -> Callable[[EvalPrediction], dict[str, float]]:
    """
    A `compute_metrics` for a `Trainer` that evaluates the essays whose prompts are `prompt_ids`, in that order.

    It returns `mean_qwk` and its like, every metric of every prompt as `prompt_<id>_<metric>`, and
    `mean_calibrated_qwk`: with each prompt's scale matched on these same essays, so that epochs can be compared. (The
    calibration that ends a training run is another: of scores that are not clipped, and with the help of training essays
    where a prompt has few others.)
    """

    def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
        predicted = np.asarray(prediction.predictions)
        labels = np.asarray(prediction.label_ids).reshape(-1)
        if len(predicted) != len(prompt_ids):
            raise ValueError(f"These metrics are of {len(prompt_ids)} essays, but {len(predicted)} were predicted.")
        # The score comes first; traits have no part in the choice of an epoch.
        normalized = predicted.reshape(len(predicted), -1)[:, 0]
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
