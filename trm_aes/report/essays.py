"""The essays of a report: their scores, what is known of them, and the samples of the bootstrap, prompt by prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..data.dataset import EssayDataset
from ..data.scales import SCALE_COLUMNS
from ..data.schema import LIST_COLUMNS, REQUIRED_COLUMNS, TOKEN_COLUMNS
from ..errors import InputError
from ..evaluation.bootstrap import draw_times
from ..evaluation.length import length_scores, word_counts
from ..evaluation.measures import PromptScores
from ..model.configuration_trm import sort_prompt_ids
from ..model.score_scale import ScoreRange
from ..naming import listing


@dataclass(frozen=True)
class PromptEssays:
    """
    The essays of one prompt.

    Args:
        prompt_id: the prompt.
        scores: of its essays.
        words: numbers of words, `(essays,)`.
        times: how often each sample of the bootstrap has each essay, see [`draw_times`].
        frame: the rows of the data set's split, without tokens.
    """

    prompt_id: str
    scores: PromptScores
    words: np.ndarray
    times: np.ndarray
    frame: pd.DataFrame


@dataclass(frozen=True)
class ReportEssays:
    """
    All essays that a report is about.

    Args:
        prompts: in the order of the report.
        raters: names of the columns of raters' scores.
        has_training: whether there were training essays.
        seed: of all draws.
    """

    prompts: Sequence[PromptEssays]
    raters: tuple[str, ...]
    has_training: bool
    seed: int

    @property
    def num_essays(self) -> int:
        """Essays of all prompts."""
        return sum(len(prompt.frame) for prompt in self.prompts)

    def group_of(self, column: str) -> np.ndarray:
        """The cells of a column, `(essays,)`, prompt after prompt."""
        return np.concatenate([prompt.frame[column].to_numpy(dtype=object) for prompt in self.prompts])


def report_essays(data: EssayDataset, split: str, predictions: pd.DataFrame, seed: int) -> ReportEssays:
    """
    The essays of a split with the predictions of a scorer.

    Args:
        data, split: which have been scored.
        predictions: `essay_id`, `predicted_score`, and `ridge` where there is such.
        seed: of all draws.
    """
    rows = data.split(split)
    frame = rows.select_columns([name for name in rows.column_names if name not in LIST_COLUMNS]).to_pandas()
    added = predictions.set_index("essay_id")
    frame = frame[frame["essay_id"].isin(added.index)].reset_index(drop=True)
    # In a table of their own: columns that ride along, groups of writers among them, may have these names.
    computed = pd.DataFrame(index=frame.index)
    for name in ("predicted_score", "ridge"):
        computed[name] = added[name].reindex(frame["essay_id"]).to_numpy() if name in added else np.nan
    train = None
    if split != "train" and "train" in data.splits:
        train = data.splits["train"].select_columns(["prompt_id", "essay", "score"]).to_pandas()
    computed["length"] = np.nan if train is None else length_scores(train, frame)
    ranges = data.score_ranges
    prompts = [
        _prompt_essays(
            prompt_id,
            frame[frame["prompt_id"] == prompt_id],
            computed,
            ranges[prompt_id],
            data.rater_columns,
            [seed, place],
        )
        for place, prompt_id in enumerate(sort_prompt_ids(frame["prompt_id"].unique()))
    ]
    return ReportEssays(prompts, data.rater_columns, train is not None, seed)


def _prompt_essays(
    prompt_id: str,
    frame: pd.DataFrame,
    computed: pd.DataFrame,
    scale: ScoreRange,
    raters: Sequence[str],
    seed: list[int],
) -> PromptEssays:
    own = computed.loc[frame.index]
    scores = PromptScores(
        scale,
        scale.round(frame["score"]),
        scale.clip(own["predicted_score"]),
        {name: own[name].to_numpy(dtype=float) for name in ("length", "ridge")},
        frame[list(raters)].to_numpy(dtype=float),
    )
    return PromptEssays(prompt_id, scores, word_counts(frame["essay"]), draw_times(len(frame), seed), frame)


def check_group_columns(data: EssayDataset, split: str, named: Sequence[str] | None) -> tuple[str, ...]:
    """
    The columns that tell groups of writers: those that are named, else those that were named when the data set was built.

    Raises:
        InputError: if one that is named is not a column that rides along in the split; it lists those that do.
    """
    if named is None:
        return data.group_columns
    own = {*REQUIRED_COLUMNS, *SCALE_COLUMNS, *TOKEN_COLUMNS}
    there = [name for name in data.split(split).column_names if name not in own]
    for name in named:
        if name not in there:
            raise InputError(f"`group_columns` {name}: {data.folder} has {listing(there, name)}")
    return tuple(named)
