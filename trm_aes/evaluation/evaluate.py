"""How well a scorer agrees with human scores on essays it has not seen."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from datasets import Dataset
from tqdm import tqdm

from ..data.dataset import EssayDataset
from ..data.schema import LIST_COLUMNS, REQUIRED_COLUMNS, TOKEN_COLUMNS
from ..errors import InputError
from ..model.configuration_trm import sort_prompt_ids
from ..model.score_scale import ScoreRange, denormalize_by_prompt, round_scores
from ..records import EvaluationRecord, RidgeRecord, package_versions
from ..scoring.scorer import EssayScorer
from .agreement import mean_over_prompts, metrics_by_prompt, rater_agreement
from .difference import paired_scores, qwk_difference
from .ridge import MIN_TRAIN_ESSAYS, ridge_scores

RATER_COLUMNS = ("rater1", "rater2")
# Of the predictions; a data set's own column of such a name is renamed.
OWN_COLUMNS = ("predicted_score", "rounded_score", "confidence", "supervision_steps", "ridge")
SHOWN_METRICS = ("n", "qwk", "rmse", "mae", "accuracy", "adjacent_agreement", "pearson", "smd")


@dataclass(frozen=True)
class Evaluation:
    """
    What was measured of a scorer on one split.

    Args:
        by_prompt: `prompt_id -> metrics`, see [`score_metrics`].
        means: plain means over prompts, `mean_qwk` first among them.
        constant_mean_qwk: that of a predictor which gives every essay its prompt's mean training score.
        rater_qwk: `prompt_id -> QWK` of the columns `rater1` and `rater2` with each other, for prompts that have both.
        predictions: a row an essay: ids, gold score, the columns that ride along in the data set, predicted score,
            confidence, supervision steps, and the score of the ridge regression where there is one.
        ridge: what [`compare_with_ridge`] adds.
    """

    by_prompt: dict[str, dict[str, float]]
    means: dict[str, float]
    constant_mean_qwk: float
    rater_qwk: dict[str, float]
    predictions: pd.DataFrame
    ridge: RidgeRecord | None = None


def evaluate_scorer(scorer: EssayScorer, data: EssayDataset, split: str) -> Evaluation:
    """
    Scores a split of a data set and measures the agreement with its gold scores, prompt by prompt.

    Args:
        scorer: what is measured.
        data: a data set of the scorer's vocabulary and prompts. Its training split is read for the constant predictor.
        split: name of the split.

    Raises:
        InputError: if the data set has no such split, other tokens than the scorer's, or prompts it does not know.
    """
    rows = data.split(split)
    data.check_tokenizer(scorer.tokenizer, scorer.name)
    data.check_features(scorer.model.config.text_features)
    frame = rows.select_columns([name for name in rows.column_names if name not in LIST_COLUMNS]).to_pandas()
    _check_prompts(scorer, data, split)
    tokens = scorer.rows(rows)
    longest = max(len(row["input_ids"]) for row in tokens)
    if longest > scorer.model.config.max_position_embeddings:
        raise InputError(
            f"{data.folder} has sequences of {longest} tokens, {scorer.name} takes "
            f"{scorer.model.config.max_position_embeddings}: build the data set with a lower `max_tokens`."
        )
    with tqdm(total=len(tokens), desc=f"Scoring {split}", unit="essay", disable=None) as bar:
        raw = scorer.score_tokens(tokens, bar)
    predicted = denormalize_by_prompt(raw.normalized, frame["prompt_id"], scorer.score_ranges)
    predictions = _with_riding_columns(frame[["essay_id", "prompt_id", "score"]], rows).assign(
        predicted_score=predicted,
        rounded_score=round_scores(predicted),
        confidence=raw.confidence,
        supervision_steps=raw.supervision_steps,
    )
    by_prompt = metrics_by_prompt(frame["prompt_id"], frame["score"], predicted, scorer.score_ranges)
    train = data.splits["train"].select_columns(["prompt_id", "score"]).to_pandas()
    constant = frame["prompt_id"].map(train.groupby("prompt_id")["score"].mean())
    constant_by_prompt = metrics_by_prompt(frame["prompt_id"], frame["score"], constant, scorer.score_ranges)
    return Evaluation(
        {prompt_id: by_prompt[prompt_id] for prompt_id in sort_prompt_ids(by_prompt)},
        mean_over_prompts(by_prompt),
        mean_over_prompts(constant_by_prompt)["mean_qwk"],
        _rater_qwk(frame),
        predictions,
    )


def _with_riding_columns(frame: pd.DataFrame, rows: Dataset) -> pd.DataFrame:
    """A frame with the columns that ride along in a data set, their values of the types that they have there."""
    riding = {
        f"{name}_in_source" if name in OWN_COLUMNS else name: pd.Series(rows[name][:], index=frame.index, dtype=object)
        for name in rows.column_names
        if name not in REQUIRED_COLUMNS + TOKEN_COLUMNS
    }
    return pd.concat([frame, pd.DataFrame(riding, index=frame.index)], axis=1)


def compare_with_ridge(evaluation: Evaluation, data: EssayDataset, split: str) -> Evaluation:
    """
    Sets ridge regression on words beside the scorer: trained on the data set's training essays, its scale matched on the
    validation essays (see [`MatchedRidge`]), and scored on the evaluation's essays.

    Args:
        evaluation: of a scorer.
        data, split: what it was evaluated on.

    Returns:
        The evaluation with `ridge`, and with the column `ridge` among its predictions. It comes back as it is where no
        prompt has a ridge regression, and for the training split, which a ridge regression knows by heart.
    """
    if split == "train":
        return evaluation
    essays = {
        name: data.split(name).select_columns(["prompt_id", "essay", "score"]).to_pandas()
        for name in ("train", "validation", split)
    }
    ranges = data.score_ranges
    bounds = np.array([(ranges[p].min_score, ranges[p].max_score) for p in essays[split]["prompt_id"]])
    scores = np.clip(ridge_scores(essays["train"], essays["validation"], essays[split]), *bounds.T)
    predictions = evaluation.predictions.assign(ridge=scores)
    scored = predictions[np.isfinite(scores)]
    if scored.empty:
        return evaluation
    return replace(evaluation, ridge=_ridge_record(scored, ranges), predictions=predictions)


def _ridge_record(scored: pd.DataFrame, ranges: dict[str, ScoreRange]) -> RidgeRecord:
    """Both agreements and their difference, from the columns `score`, `predicted_score` and `ridge`."""
    of_ridge, of_model = (
        metrics_by_prompt(scored["prompt_id"], scored["score"], scored[column], ranges)
        for column in ("ridge", "predicted_score")
    )
    difference = qwk_difference(
        paired_scores(of_prompt["score"], of_prompt["predicted_score"], of_prompt["ridge"], ranges[prompt_id])
        for prompt_id, of_prompt in scored.groupby("prompt_id")
    )
    return RidgeRecord(
        qwk={prompt_id: of_ridge[prompt_id]["qwk"] for prompt_id in sort_prompt_ids(of_ridge)},
        mean_qwk=mean_over_prompts(of_ridge)["mean_qwk"],
        model_mean_qwk=mean_over_prompts(of_model)["mean_qwk"],
        difference=difference.mean,
        low=difference.low,
        high=difference.high,
    )


def evaluation_record(evaluation: Evaluation, scorer: EssayScorer, data: EssayDataset, split: str) -> EvaluationRecord:
    """The metrics of an evaluation with what they are about, as they are kept beside the predictions."""
    return EvaluationRecord(
        model=scorer.name,
        split=split,
        device=str(scorer.device),
        data={key: data.card[key] for key in ("source", "source_sha256", "options")},
        by_prompt=evaluation.by_prompt,
        means=evaluation.means,
        constant_mean_qwk=evaluation.constant_mean_qwk,
        rater_qwk=evaluation.rater_qwk,
        ridge=evaluation.ridge,
        packages=package_versions(),
    )


def _rater_qwk(frame: pd.DataFrame) -> dict[str, float]:
    if not set(RATER_COLUMNS) <= set(frame):
        return {}
    qwk = {}
    for prompt_id in sort_prompt_ids(frame["prompt_id"]):
        essays = frame[frame["prompt_id"] == prompt_id]
        # In tables of one's own these columns ride along as they came, as text perhaps.
        ratings = [pd.to_numeric(essays[column], errors="coerce") for column in RATER_COLUMNS]
        agreement = rater_agreement(*ratings)
        if agreement is not None:
            qwk[prompt_id] = agreement
    return qwk


def evaluation_table(evaluation: Evaluation) -> str:
    """
    The metrics as text: a row a prompt, with the QWK of the raters and of the ridge regression where there is one; their
    means; a sentence for the constant predictor and one for the ridge regression.
    """
    rows: list[dict[str, Any]] = [
        {"prompt": prompt_id, **metrics} for prompt_id, metrics in evaluation.by_prompt.items()
    ]
    mean = {name: evaluation.means.get(f"mean_{name}") for name in SHOWN_METRICS}
    rows.append({"prompt": "mean", **mean, "n": sum(row["n"] for row in rows)})
    if evaluation.rater_qwk:
        for row in rows[:-1]:
            row["raters"] = evaluation.rater_qwk.get(row["prompt"])
    if evaluation.ridge:
        for row in rows[:-1]:
            row["ridge"] = evaluation.ridge.qwk.get(row["prompt"])
        rows[-1]["ridge"] = evaluation.ridge.mean_qwk
    table = pd.DataFrame(rows).set_index("prompt")
    table = table[[*SHOWN_METRICS, *(name for name in ("raters", "ridge") if name in table)]]
    return (
        table.rename(columns={"adjacent_agreement": "adjacent"}).to_string(float_format="{:.3f}".format, na_rep="")
        + f"\nconstant predictor (each prompt's mean training score): mean QWK {evaluation.constant_mean_qwk:.3f}"
        + f"\n{_ridge_sentence(evaluation)}"
    )


def _ridge_sentence(evaluation: Evaluation) -> str:
    ridge = evaluation.ridge
    if ridge is None:
        return (
            "ridge regression on words: no figure; it takes a split that it is not trained on, and a prompt with "
            f"{MIN_TRAIN_ESSAYS} training essays that differ in score"
        )
    missing = [prompt_id for prompt_id in evaluation.by_prompt if prompt_id not in ridge.qwk]
    where = " over the rest" if missing else ""
    sentence = (
        f"ridge regression on the words of the same training essays: mean QWK {ridge.mean_qwk:.3f}{where}; the model has "
        f"{ridge.model_mean_qwk:.3f} ({ridge.difference:+.3f}, 95 % interval {ridge.low:.3f} to {ridge.high:.3f})"
    )
    if missing:
        reason = f"fewer than {MIN_TRAIN_ESSAYS} training essays, or all of one score"
        return f"no ridge regression for {', '.join(missing)}: {reason}\n{sentence}"
    return sentence


def _check_prompts(scorer: EssayScorer, data: EssayDataset, split: str) -> None:
    for prompt_id in sort_prompt_ids(data.splits[split].unique("prompt_id")):
        where = f"{data.folder}, split {split}"
        scorer.prompt_of(prompt_id, None, where)
        theirs, ours = data.score_ranges[prompt_id], scorer.score_ranges[prompt_id]
        if theirs != ours:
            raise InputError(
                f"{where}: scores of prompt {prompt_id!r} range from {theirs.min_score:g} to {theirs.max_score:g}, those "
                f"of {scorer.name} from {ours.min_score:g} to {ours.max_score:g}."
            )
