"""Traits: which of a data set's are learned, and what is known of their scores before training."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from ...data.dataset import EssayDataset
from ...errors import InputError
from ...model.modeling_trm import TRMForEssayScoring
from ...model.score_scale import ScoreRange
from ...model.traits_trm import pairs_of
from ...naming import listing
from .prompts import MIN_SPREAD


def choose_traits(data: EssayDataset, names: Sequence[str] | None) -> dict[str, dict[str, ScoreRange]]:
    """
    The traits that are learned: `trait -> prompt_id -> scale`. A prompt whose training essays have no two different scores
    of a trait is left out.

    Args:
        data: the data set.
        names: those that the user names; None for all that the data set has.

    Raises:
        InputError: if a trait that is named is none of the data set's, or can be learned for no prompt.
    """
    there = data.trait_ranges
    for name in names or ():
        if name not in there:
            raise InputError(
                f"`traits`: {data.folder} has no trait {name!r}; it has {listing(there, name)} `trm-aes build` reads traits "
                "with --trait-column or --traits."
            )
    chosen = {}
    wanted = list(there if names is None else dict.fromkeys(names))
    by_prompt = training_traits(data, wanted).groupby("prompt_id")
    for name in wanted:
        num_scores = by_prompt[name].nunique()
        learned = {prompt_id: scale for prompt_id, scale in there[name].items() if num_scores.get(prompt_id, 0) > 1}
        if learned:
            chosen[name] = learned
        elif names is not None:
            raise InputError(
                f"`traits`: the training essays of {data.folder} have no two different scores of {name!r}."
            )
    return chosen


def training_traits(data: EssayDataset, traits: Sequence[str]) -> pd.DataFrame:
    """`prompt_id` of the training essays, and their scores of traits as they were given, NaN for those that are missing."""
    frame = data.splits["train"].select_columns(["prompt_id", *traits]).to_pandas()
    return frame.astype(dict.fromkeys(traits, float))


@torch.no_grad()
def set_trait_statistics(model: TRMForEssayScoring, data: EssayDataset):
    """Tells the trait head the mean and spread of each trait's scores (0-1) in the training essays of each prompt."""
    head = model.trait_head
    if head is None:
        raise ValueError("The model has no traits.")
    scores, scales = training_traits(data, head.traits), data.trait_ranges
    for place, (trait, prompt_id) in enumerate(pairs_of(model.config)):
        values = scores.loc[scores["prompt_id"] == prompt_id, trait].dropna().to_numpy()
        normalized = scales[trait][prompt_id].normalize(values)
        head.means[place] = float(normalized.mean())
        head.stds[place] = max(float(np.std(normalized)), MIN_SPREAD)
