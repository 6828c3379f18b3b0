"""A report's section on traits: how far the scores of each agree with people, by prompt."""

import numpy as np
import pandas as pd

from ..evaluation.measures import PromptScores, agreement_measures
from ..evaluation.traits import TraitRanges
from ..model.score_scale import ScoreRange
from ..scoring.input_rows import trait_columns
from .agreement import estimate_of
from .essays import PromptEssays, ReportEssays
from .record import TraitAgreement

SHOWN = ("qwk", "exact", "adjacent", "pearson", "smd")


def traits_section(essays: ReportEssays, predictions: pd.DataFrame, ranges: TraitRanges) -> list[TraitAgreement]:
    """
    Agreement of traits with human scores, trait by trait and prompt by prompt; without the pairs of which no essay has both.

    Args:
        essays: of the report, with human scores of traits among their columns.
        predictions: `essay_id`, and the columns of traits that `trm-aes score` writes.
        ranges: `trait -> prompt_id -> scale` of what the scorer gives.
    """
    predicted = predictions.set_index("essay_id")
    return [
        agreement
        for trait, of_trait in ranges.items()
        for prompt in essays.prompts
        if trait in prompt.frame and trait_columns(trait)[0] in predicted and prompt.prompt_id in of_trait
        for agreement in _agreement(prompt, trait, predicted[trait_columns(trait)[0]], of_trait[prompt.prompt_id])
    ]


def _agreement(prompt: PromptEssays, trait: str, predicted: pd.Series, scale: ScoreRange) -> list[TraitAgreement]:
    """One, or none where no essay of the prompt has both scores."""
    gold = prompt.frame[trait].to_numpy(dtype=float)
    scores = predicted.reindex(prompt.frame["essay_id"]).to_numpy(dtype=float)
    has_both = np.isfinite(gold) & np.isfinite(scores)
    n = int(has_both.sum())
    if n == 0:
        return []
    found = agreement_measures(
        PromptScores(scale, scale.round(gold[has_both]), scale.clip(scores[has_both])), prompt.times[:, has_both]
    )
    measures = {name: estimate_of(name, found[name], n) for name in SHOWN}
    return [TraitAgreement(trait=trait, prompt_id=prompt.prompt_id, n=n, **measures)]
