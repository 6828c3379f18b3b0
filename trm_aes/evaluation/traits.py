"""Agreement of traits with human scores, by trait and prompt."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..data.dataset import EssayDataset
from ..errors import InputError
from ..model.configuration_trm import sort_prompt_ids
from ..model.score_scale import ScoreRange
from ..records import TraitsRecord
from ..scoring.input_rows import trait_columns
from ..scoring.scorer import EssayScorer, RawScores
from .agreement import score_metrics

TraitRanges = Mapping[str, Mapping[str, ScoreRange]]


def measured_ranges(scorer: EssayScorer, data: EssayDataset) -> dict[str, dict[str, ScoreRange]]:
    """
    The scales on which a scorer's traits are told of a data set's essays: `trait -> prompt_id -> scale`. They are the scorer's
    own where it knows the prompt, and else the data set's.
    """
    of_data = data.trait_ranges
    return {
        trait: {
            **{prompt: scale for prompt, scale in of_data.get(trait, {}).items() if prompt not in scorer.score_ranges},
            **ranges,
        }
        for trait, ranges in scorer.trait_ranges.items()
    }


def told_ranges(scorer: EssayScorer, data: EssayDataset) -> dict[str, dict[str, ScoreRange]]:
    """
    Those of [`measured_ranges`] whose human scores the data set has. A column that rides along under a trait's name, and was not
    named as one, may hold anything.
    """
    return {trait: scales for trait, scales in measured_ranges(scorer, data).items() if trait in data.trait_ranges}


def trait_predictions(raw: RawScores, prompt_ids: Sequence[str], ranges: TraitRanges) -> dict[str, np.ndarray]:
    """Columns of traits' scores as `trm-aes score` writes them, `(essays,)`; None where an essay's prompt lacks the trait."""
    scores = [raw.trait_scores(index, prompt_id, ranges) for index, prompt_id in enumerate(prompt_ids)]
    columns = {}
    for trait in ranges:
        of_trait = [found.get(trait) for found in scores]
        predicted, rounded = trait_columns(trait)
        columns[predicted] = np.array([None if found is None else found.score for found in of_trait], dtype=object)
        columns[rounded] = np.array(
            [None if found is None else found.rounded_score for found in of_trait], dtype=object
        )
    return columns


def trait_agreement(predictions: pd.DataFrame, ranges: TraitRanges) -> TraitsRecord | None:
    """
    The agreement of each trait's scores with the human ones, where essays have both; None where none has.

    Args:
        predictions: `prompt_id`, human scores of traits under their names, NaN or None where there is none, and the columns
            of [`trait_predictions`].
        ranges: scales of the traits.

    Raises:
        InputError: if a human score is not on the scale.
    """
    by_trait: dict[str, dict[str, dict[str, float]]] = {}
    for trait in ranges:
        if trait not in predictions:
            continue
        known = pd.DataFrame(
            {"gold": predictions[trait].astype(float), "predicted": predictions[trait_columns(trait)[0]].astype(float)}
        ).assign(prompt_id=predictions["prompt_id"])
        found = {
            str(prompt_id): _metrics(essays, ranges[trait][str(prompt_id)], trait, str(prompt_id))
            for prompt_id, essays in known.dropna().groupby("prompt_id")
        }
        if found:
            by_trait[trait] = {prompt_id: found[prompt_id] for prompt_id in sort_prompt_ids(found)}
    if not by_trait:
        return None
    qwk = {trait: [metrics["qwk"] for metrics in of_trait.values()] for trait, of_trait in by_trait.items()}
    means = {trait: float(np.mean(values)) for trait, values in qwk.items()}
    return TraitsRecord(
        by_trait=by_trait,
        mean_qwk_by_trait=means,
        mean_qwk=float(np.mean(list(means.values()))),
        mean_qwk_of_pairs=float(np.mean([value for values in qwk.values() for value in values])),
    )


def _metrics(essays: pd.DataFrame, scale: ScoreRange, trait: str, prompt_id: str) -> dict[str, float]:
    wrong = essays["gold"][~scale.holds(essays["gold"])]
    if len(wrong):
        raise InputError(
            f"{len(wrong)} scores of trait {trait!r} of prompt {prompt_id!r} are not on the scorer's scale, {scale}; the first is "
            f"{wrong.iloc[0]:g}."
        )
    return score_metrics(essays["gold"], essays["predicted"], scale)


def traits_table(traits: TraitsRecord) -> str:
    """QWK of each trait as text: a row a trait, a column a prompt, and the means."""
    prompt_ids = sort_prompt_ids(prompt_id for of_trait in traits.by_trait.values() for prompt_id in of_trait)
    rows = [
        {"trait": trait, **{prompt: of_trait[prompt]["qwk"] for prompt in prompt_ids if prompt in of_trait},
         "mean": traits.mean_qwk_by_trait[trait]}
        for trait, of_trait in traits.by_trait.items()
    ]  # fmt: skip
    table = pd.DataFrame(rows).set_index("trait")[[*prompt_ids, "mean"]]
    num_pairs = sum(map(len, traits.by_trait.values()))
    return (
        f"QWK of traits, by prompt\n{table.to_string(float_format='{:.3f}'.format, na_rep='')}\n"
        f"mean trait QWK {traits.mean_qwk:.3f} (mean over traits of the mean over prompts); {traits.mean_qwk_of_pairs:.3f} over "
        f"all {num_pairs} pairs of trait and prompt"
    )
