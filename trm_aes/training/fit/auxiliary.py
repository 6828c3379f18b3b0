"""What the recursive part learns beside the score: raters' own scores and traits, from columns of the data set."""

from collections.abc import Sequence

import numpy as np
import torch
from datasets import Dataset
from pandas.api.types import is_numeric_dtype

from ...data.dataset import EssayDataset
from ...errors import InputError
from ...model.modeling_trm import TRMForEssayScoring
from ...naming import listing


def choose_auxiliary_targets(data: EssayDataset, columns: Sequence[str] | None) -> list[str]:
    """
    The columns that are learned beside the score.

    Args:
        data: the data set.
        columns: those that the user names; None for the raters' own scores, where the data set has any.

    Raises:
        InputError: if a column that is named is not there or does not hold numbers.
    """
    train = data.splits["train"]
    if columns is None:
        return [name for name in data.rater_columns if _holds_numbers(train, name)]
    for name in columns:
        if name not in train.column_names:
            raise InputError(
                f"`auxiliary_columns`: {data.folder} has no column {name!r}; it has {listing(train.column_names, name)}"
            )
        if not _holds_numbers(train, name):
            raise InputError(
                f"`auxiliary_columns`: column {name!r} of {data.folder} does not hold numbers. Build the data set with it as "
                "--trait-column or --rater-columns."
            )
    return list(columns)


def _holds_numbers(rows: Dataset, name: str) -> bool:
    """Whether there is such a column, of numbers, with at least one in it."""
    if name not in rows.column_names:
        return False
    values = rows.select_columns([name]).to_pandas()[name]
    return is_numeric_dtype(values) and bool(values.notna().any())


# What is less is rounding: values that are all alike have no spread.
MIN_SPREAD = 1e-6


@torch.no_grad()
def set_auxiliary_statistics(model: TRMForEssayScoring, data: EssayDataset):
    """
    Tells the auxiliary head the mean and spread of its targets in each prompt's training essays. A target that a prompt
    lacks has the mean 0 and the spread 1; one that is the same for all of its essays keeps the spread 1.
    """
    head = model.auxiliary_head
    if head is None:
        raise ValueError("The model has no auxiliary head.")
    names = model.config.auxiliary_targets
    train = data.splits["train"].select_columns(["prompt_id", *names]).to_pandas()
    for place, prompt_id in enumerate(data.score_ranges):
        values = train.loc[train["prompt_id"] == prompt_id, names].to_numpy(dtype=float)
        for target in range(len(names)):
            given = values[np.isfinite(values[:, target]), target]
            if len(given):
                head.target_means[place, target] = given.mean()
                if given.std() > MIN_SPREAD:
                    head.target_stds[place, target] = given.std()
