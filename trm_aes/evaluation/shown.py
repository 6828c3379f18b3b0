"""An evaluation as people read it: a table, sentences, and predictions with scores as they are written."""

from typing import Any

import pandas as pd

from ..data.dataset import EssayDataset
from ..model.score_scale import shown_by_prompt
from .evaluate import Evaluation
from .ridge import MIN_TRAIN_ESSAYS
from .traits import traits_table

SHOWN_METRICS = ("n", "qwk", "rmse", "mae", "accuracy", "adjacent_agreement", "pearson", "smd", "qwk_continuous",
                 "rmse_continuous", "pearson_continuous")  # fmt: skip


def evaluation_table(evaluation: Evaluation) -> str:
    """
    The metrics as text: a row a prompt, with the QWK of the raters and of the ridge regression where there is one; their
    means; a sentence for the constant predictor and one for the ridge regression; and a table of traits, where there are any.
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
        + f"\n{_constant_sentence(evaluation)}\n{_ridge_sentence(evaluation)}"
        + ("" if evaluation.traits is None else f"\n\n{traits_table(evaluation.traits)}")
    )


def _constant_sentence(evaluation: Evaluation) -> str:
    if evaluation.constant_mean_qwk is None:
        return (
            "constant predictor (each prompt's mean training score): no figure; it takes training essays of each prompt"
        )
    return f"constant predictor (each prompt's mean training score): mean QWK {evaluation.constant_mean_qwk:.3f}"


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


def predictions_for_people(evaluation: Evaluation, data: EssayDataset) -> pd.DataFrame:
    """The predictions with gold scores, and those of traits, as people write them: 6.5, or a label."""
    predictions, prompt_ids = evaluation.predictions, evaluation.predictions["prompt_id"]
    shown = {"score": shown_by_prompt(predictions["score"], prompt_ids, data.score_ranges)}
    for trait, ranges in data.trait_ranges.items():
        if trait in predictions:
            given = predictions[trait].notna() & prompt_ids.isin(list(ranges))
            shown[trait] = predictions[trait].astype(object).to_numpy(copy=True)
            shown[trait][given] = shown_by_prompt(predictions[trait][given], prompt_ids[given], ranges)
    return predictions.assign(**shown)
