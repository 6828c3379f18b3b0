"""How well a scorer agrees with human scores on essays it has not seen."""

import datetime
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import pandas as pd
from datasets import Dataset
from tqdm import tqdm

from ..data.dataset import EssayDataset
from ..data.scales import SCALE_COLUMNS
from ..data.schema import LIST_COLUMNS, REQUIRED_COLUMNS, TOKEN_COLUMNS
from ..errors import InputError
from ..model.advisories_trm import shown_advisories
from ..model.configuration_trm import sort_prompt_ids
from ..model.essay_tokens import measure_texts
from ..model.score_scale import ScoreRange, by_prompt, denormalize_by_prompt, shown_by_prompt
from ..records import EvaluationRecord, RidgeRecord, TraitsRecord, package_versions
from ..scoring.input_rows import trait_columns
from ..scoring.scorer import SET_COLUMNS, EssayScorer, RawScores
from ..scoring.unknown_prompts import ERROR, SCORED_AS, PromptRule
from .agreement import mean_over_prompts, metrics_by_prompt, rater_agreement
from .difference import paired_scores, qwk_difference
from .distributions import length_distributions, score_distributions
from .ridge import ridge_scores
from .traits import measured_ranges, told_ranges, trait_agreement, trait_predictions

# Of the predictions; a data set's own column of such a name is renamed.
DOUBT_COLUMNS = ("predicted_error", *chain.from_iterable(SET_COLUMNS))
OWN_COLUMNS = (
    SCORED_AS,
    "predicted_score",
    "rounded_score",
    "confidence",
    "supervision_steps",
    *DOUBT_COLUMNS,
    "advisories",
    "ridge",
)


@dataclass(frozen=True)
class Evaluation:
    """
    What was measured of a scorer on one split.

    Args:
        by_prompt: `prompt_id -> metrics`, see [`score_metrics`].
        means: plain means over prompts, `mean_qwk` first among them.
        constant_mean_qwk: that of a predictor which gives every essay its prompt's mean training score, or the middle of the
            scale where no essay of the prompt trains; None without training essays.
        rater_qwk: `prompt_id -> QWK` of the first two raters with each other, for prompts that have both.
        predictions: a row an essay: ids, gold score, predicted score, that score rounded and as people write it,
            the columns that ride along in the data set, confidence, supervision steps, what [`EssayScore`] says of the doubt
            (predicted error and prediction sets, empty without an error model), advisories (their names, joined by "; "),
            and the score of the ridge regression where there is one.
        ridge: what [`compare_with_ridge`] adds.
        traits: of the scorer's traits of which the essays have human scores; None without any. The predictions then have
            two columns for each trait, as `trm-aes score` has them.
    """

    by_prompt: dict[str, dict[str, float]]
    means: dict[str, float]
    constant_mean_qwk: float | None
    rater_qwk: dict[str, float]
    predictions: pd.DataFrame
    ridge: RidgeRecord | None = None
    traits: TraitsRecord | None = None


def own_columns(traits: Iterable[str]) -> tuple[str, ...]:
    """Columns that an evaluation adds to the essays, where the scorer has these traits."""
    return (*OWN_COLUMNS, *chain.from_iterable(map(trait_columns, traits)))


def evaluate_scorer(scorer: EssayScorer, data: EssayDataset, split: str, rule: PromptRule | None = None) -> Evaluation:
    """
    Scores a split of a data set and measures the agreement with its gold scores, prompt by prompt.

    Args:
        scorer: what is measured.
        data: a data set of the scorer's vocabulary and prompts. Its training split, where there is one, is read for the
            constant predictor.
        split: name of the split.
        rule: what becomes of essays of prompts that the scorer does not know; an error if not given. Scored as of another
            prompt, an essay's place on the scale (0-1) is put on the range of its own.

    Raises:
        InputError: if the data set has no such split, other tokens than the scorer's, or prompts it does not know.
    """
    rows = data.split(split)
    data.check_tokenizer(scorer.tokenizer, scorer.name)
    data.check_features(scorer.model.config.text_features)
    data.check_repetition(scorer.model.config.skip_repetition, scorer.name)
    frame = rows.select_columns([name for name in rows.column_names if name not in LIST_COLUMNS]).to_pandas()
    rule = rule or PromptRule(scorer)
    scored_as = frame["prompt_id"].map(_check_prompts(scorer, data, split, rule))
    rows, frame = rows.select(np.flatnonzero(scored_as.notna())), frame[scored_as.notna()].reset_index(drop=True)
    if frame.empty:
        raise InputError(f"{data.folder}, split {split}: no essay answers a prompt that {scorer.name} knows.")
    scored_as = scored_as.dropna().reset_index(drop=True)
    tokens = [{**row, "prompt_id": prompt_id} for row, prompt_id in zip(scorer.rows(rows), scored_as, strict=True)]
    longest = max(len(row["input_ids"]) for row in tokens)
    if longest > scorer.model.config.max_position_embeddings:
        raise InputError(
            f"{data.folder} has sequences of {longest} tokens, {scorer.name} takes "
            f"{scorer.model.config.max_position_embeddings}: build the data set with a lower `max_tokens`."
        )
    with tqdm(total=len(tokens), desc=f"Scoring {split}", unit="essay", disable=None) as bar:
        raw = scorer.score_tokens(tokens, bar)
    # Of prompts that the scorer knows, too, these are the scorer's own.
    ranges = data.score_ranges
    predicted = denormalize_by_prompt(raw.normalized, frame["prompt_id"], ranges)
    trait_ranges = measured_ranges(scorer, data)
    riding = _with_riding_columns(frame[["essay_id", "prompt_id", "score"]], rows, own_columns(trait_ranges))
    predictions = riding.assign(
        **({} if rule.unknown == ERROR else {SCORED_AS: scored_as}),
        predicted_score=predicted,
        rounded_score=shown_by_prompt(predicted, frame["prompt_id"], ranges),
        confidence=raw.confidence,
        supervision_steps=raw.supervision_steps,
        **_doubts(raw, frame["prompt_id"], ranges),
        **trait_predictions(raw, frame["prompt_id"], trait_ranges),
        advisories=_advisories(scorer, rows, list(scored_as), raw),
    )
    by_prompt = metrics_by_prompt(frame["prompt_id"], frame["score"], predicted, ranges)
    return Evaluation(
        {prompt_id: by_prompt[prompt_id] for prompt_id in sort_prompt_ids(by_prompt)},
        mean_over_prompts(by_prompt),
        _constant_mean_qwk(frame, data),
        _rater_qwk(frame, data.rater_columns),
        predictions,
        traits=trait_agreement(predictions, told_ranges(scorer, data)),
    )


def _doubts(raw: RawScores, prompt_ids: Iterable[str], ranges: dict[str, ScoreRange]) -> pd.DataFrame:
    """Predicted errors, and the ends of the prediction sets as people write them; empty without an error model."""
    doubts = [raw.doubt(index, ranges[prompt_id]) for index, prompt_id in enumerate(prompt_ids)]
    return pd.DataFrame(doubts, columns=list(DOUBT_COLUMNS), dtype=object)


def _advisories(scorer: EssayScorer, rows: Dataset, prompt_ids: list[str], raw: RawScores) -> list[str]:
    """The advisories of essays as they stand in a table, in the order of `rows`."""
    config = scorer.model.config
    measures: list[dict[str, float]] | list[None] = [None] * len(rows)
    if config.advisory_limits:
        measures = measure_texts(scorer.tokenizer, config, prompt_ids, rows["essay"][:])
    return [shown_advisories(advisories) for advisories in scorer.advisories(measures, raw, prompt_ids)]


def _constant_mean_qwk(frame: pd.DataFrame, data: EssayDataset) -> float | None:
    """Mean QWK of each prompt's mean training score, or the middle of its scale; None without training essays."""
    if "train" not in data.splits:
        return None
    train = data.splits["train"].select_columns(["prompt_id", "score"]).to_pandas()
    constant = frame["prompt_id"].map(train.groupby("prompt_id")["score"].mean())
    if constant.isna().all():
        return None
    middle = denormalize_by_prompt(np.full(len(frame), 0.5), frame["prompt_id"], data.score_ranges)
    constant = constant.fillna(pd.Series(middle, index=frame.index))
    by_prompt = metrics_by_prompt(frame["prompt_id"], frame["score"], constant, data.score_ranges)
    return mean_over_prompts(by_prompt)["mean_qwk"]


def _with_riding_columns(frame: pd.DataFrame, rows: Dataset, own: Collection[str]) -> pd.DataFrame:
    """
    A frame with the columns that ride along in a data set, their values of the types that they have there; those that are
    called like one of our `own` are renamed.
    """
    riding = {
        f"{name}_in_source" if name in own else name: pd.Series(rows[name][:], index=frame.index, dtype=object)
        for name in rows.column_names
        if name not in REQUIRED_COLUMNS + SCALE_COLUMNS + TOKEN_COLUMNS
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
        prompt has a ridge regression, for the training split, which a ridge regression knows by heart, and where there is
        no such split.
    """
    if split == "train" or "train" not in data.splits:
        return evaluation
    essays = {
        name: data.split(name).select_columns(["prompt_id", "essay", "score"]).to_pandas()
        for name in ("train", "validation", split)
    }
    was_scored = data.split(split).select_columns(["essay_id"]).to_pandas()["essay_id"]
    essays[split] = essays[split][was_scored.isin(evaluation.predictions["essay_id"]).to_numpy()]
    ranges = data.score_ranges
    scores = ridge_scores(essays["train"], essays["validation"], essays[split])
    scores = by_prompt(ScoreRange.clip, scores, essays[split]["prompt_id"], ranges)
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
    essays = data.split(split).select_columns(["essay_id", "prompt_id", "essay"]).to_pandas()
    essays = essays[essays["essay_id"].isin(evaluation.predictions["essay_id"])]
    return EvaluationRecord(
        model=scorer.name,
        commit=scorer.commit,
        split=split,
        device=str(scorer.device),
        data={
            **{key: data.card[key] for key in ("source", "source_sha256", "options")},
            "essays_sha256": data.essays_checksum,
        },
        by_prompt=evaluation.by_prompt,
        means=evaluation.means,
        constant_mean_qwk=evaluation.constant_mean_qwk,
        rater_qwk=evaluation.rater_qwk,
        ridge=evaluation.ridge,
        traits=evaluation.traits,
        distributions=score_distributions(evaluation.predictions, data.score_ranges) + length_distributions(essays),
        checksums={**scorer.checksums(), "data_sha256": data.checksum},
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        packages=package_versions(),
    )


def _rater_qwk(frame: pd.DataFrame, raters: Sequence[str]) -> dict[str, float]:
    if len(raters) < 2:
        return {}
    qwk = {}
    for prompt_id in sort_prompt_ids(frame["prompt_id"]):
        essays = frame[frame["prompt_id"] == prompt_id]
        agreement = rater_agreement(essays[raters[0]], essays[raters[1]])
        if agreement is not None:
            qwk[prompt_id] = agreement
    return qwk


def _check_prompts(scorer: EssayScorer, data: EssayDataset, split: str, rule: PromptRule) -> dict[str, str | None]:
    """`prompt_id -> the prompt as whose its essays are scored` of a split; None for those that are not scored."""
    where, texts, ranges = f"{data.folder}, split {split}", data.prompt_texts, data.score_ranges
    scored_as = {}
    for prompt_id in sort_prompt_ids(data.splits[split].unique("prompt_id")):
        scored_as[prompt_id] = rule.prompt_of(prompt_id, texts[prompt_id], where)
        if prompt_id not in scorer.score_ranges:
            continue
        theirs, ours = ranges[prompt_id], scorer.score_ranges[prompt_id]
        if theirs != ours:
            raise InputError(
                f"{where}: scores of prompt {prompt_id!r} range from {theirs}, those of {scorer.name} from {ours}."
            )
    return scored_as
