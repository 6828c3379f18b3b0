"""What ends the training of a model: its scores and confidences are matched to essays that it has not learned from."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from ...data.dataset import EssayDataset
from ...evaluation.agreement import rounds_to
from ...evaluation.calibration import (
    MIN_ESSAYS,
    MIN_VALIDATION_ESSAYS,
    fit_calibrations,
    fit_shift,
)
from ...model.modeling_trm import TRMForEssayScoring
from ...model.score_scale import ScoreRange, by_prompt
from ...model.traits_trm import pairs_of
from ...scoring.scorer import EssayScorer, RawScores

# With training essays among them: as many as the ridge regression that a scorer is held against asks for.
MIN_ESSAYS_IN_ALL = 10


@torch.no_grad()
def calibrate(
    model: TRMForEssayScoring,
    raw: RawScores,
    essays: pd.DataFrame,
    ranges: dict[str, ScoreRange],
    left_out: pd.DataFrame | None = None,
) -> dict:
    """
    Lets the scores of a trained model spread as the gold ones of its validation essays do, prompt by prompt (see
    [`fit_calibrations`]).

    Args:
        raw: the model's outputs for the validation essays.
        essays: their `prompt_id` and gold `score`, on the prompts' own scales.
        ranges: of the prompts, in the order of the model's configuration.
        left_out: training essays by which scores are matched, too (see [`left_out_scores`]). With them a prompt needs 10
            essays in all; without them, 30 validation essays.

    Returns:
        What was changed: `scores`, a line for each prompt.
    """
    predicted, known = raw.normalized, essays
    if left_out is not None:
        predicted = np.concatenate([predicted, left_out["normalized"].to_numpy()])
        known = pd.concat([essays, left_out[["prompt_id", "score"]]])
    gold = by_prompt(ScoreRange.normalize, known["score"], known["prompt_id"], ranges)
    min_essays = MIN_ESSAYS if left_out is None else MIN_ESSAYS_IN_ALL
    lines = fit_calibrations(known["prompt_id"], predicted, gold, min_essays)
    bank = model.model.prompt_bank
    for place, prompt_id in enumerate(ranges):
        if prompt_id in lines:
            bank.score_means[place] = lines[prompt_id].apply(bank.score_means[place].item())
            bank.score_stds[place] *= lines[prompt_id].slope
    return {"scores": {prompt_id: vars(line) for prompt_id, line in lines.items()}}


@torch.no_grad()
def calibrate_confidence(
    model: TRMForEssayScoring, raw: RawScores, essays: pd.DataFrame, ranges: dict[str, ScoreRange]
) -> float:
    """
    Lets the confidences of a trained model be right on average over its validation essays. It comes last: the confidence is in
    the score that an essay gets, on its scale and after as many steps as it takes. (Where essays halt by it, some then take another
    number of steps.)

    Args:
        raw, essays, ranges: as of [`calibrate`].

    Returns:
        What was added to the halting head's bias.
    """
    shift = fit_shift(raw.confidence, rounds_to(essays["score"], raw.normalized, essays["prompt_id"], ranges))
    model.halt_head.bias.add_(shift)
    return shift


@torch.no_grad()
def calibrate_traits(
    scorer: EssayScorer, raw: RawScores, essays: pd.DataFrame, left_out: pd.DataFrame | None = None
) -> dict[str, dict[str, dict[str, float]]]:
    """
    Lets the scores of each trait spread as the human ones do, prompt by prompt, as [`calibrate`] does for the score.

    Args:
        scorer: with traits; changed.
        raw: its outputs for the validation essays.
        essays: their `prompt_id`, and a column of each trait's human scores, NaN where there is none.
        left_out: as of [`calibrate`].

    Returns:
        `trait -> prompt_id -> line`.
    """
    head = scorer.model.trait_head
    if head is None or raw.traits is None:
        raise ValueError("The scorer has no traits.")
    min_essays = MIN_ESSAYS if left_out is None else MIN_ESSAYS_IN_ALL
    place_of = {pair: place for place, pair in enumerate(pairs_of(scorer.model.config))}
    changed: dict[str, dict[str, dict[str, float]]] = {}
    for column, (trait, ranges) in enumerate(scorer.trait_ranges.items()):
        predicted = raw.traits[:, column]
        known = essays[["prompt_id", trait]]
        if left_out is not None:
            predicted = np.concatenate([predicted, left_out[normalized_name(trait)].to_numpy()])
            known = pd.concat([known, left_out[["prompt_id", trait]]])
        counts = (known["prompt_id"].isin(list(ranges)) & known[trait].notna()).to_numpy()
        predicted, known = predicted[counts], known[counts]
        gold = by_prompt(ScoreRange.normalize, known[trait], known["prompt_id"], ranges)
        lines = fit_calibrations(known["prompt_id"], predicted, gold, min_essays)
        for prompt_id, line in lines.items():
            place = place_of[trait, prompt_id]
            head.means[place] = line.apply(head.means[place].item())
            head.stds[place] *= line.slope
        changed[trait] = {prompt_id: vars(line) for prompt_id, line in lines.items()}
    return changed


def normalized_name(trait: str) -> str:
    """The column of what a scorer says of a trait, 0-1, beside the human scores."""
    return f"normalized_{trait}"


def left_out_scores(
    scorer: EssayScorer, data: EssayDataset, by_having_seen: np.ndarray, states: Sequence[np.ndarray] | None = None
) -> pd.DataFrame:
    """
    What a trained scorer says of training essays, less what its linear models say only because they have seen them. These are
    the essays of prompts with fewer than 100 validation essays, which alone would tell too little of the spread.

    The recursive head has seen these essays, too. Where they are few it has taken few steps, and its scores spread by little
    more than those of unseen essays do (0.74 against 0.69 of the gold scores with 240 essays, docs/lab/experiments.md).

    Args:
        by_having_seen: of all training essays, as [`fit_lexical_head`] returns it.
        states: an encoder's, of all training essays, where the scorer reads them.

    Returns:
        `prompt_id`, gold `score` on the prompt's own scale, and `normalized`, the 0-1 score; for each trait its gold scores,
        under its name, and the 0-1 ones (see [`normalized_name`]).
    """
    traits = list(scorer.trait_ranges)
    train = data.splits["train"].select_columns(["prompt_id", "score", *traits]).to_pandas()
    num_validation = pd.Series(data.splits["validation"]["prompt_id"]).value_counts()
    num_validation = train["prompt_id"].map(num_validation).fillna(0).to_numpy()
    places = np.flatnonzero(num_validation < MIN_VALIDATION_ESSAYS)
    of_essays = None if states is None else [states[int(place)] for place in places]
    raw = scorer.score_tokens(scorer.rows(data.splits["train"].select(places), of_essays))
    share = scorer.model.config.lexical_share
    found = train.iloc[places].assign(normalized=raw.normalized - share * by_having_seen[places, 0])
    head = scorer.model.trait_head
    if head is None or raw.traits is None:
        return found
    of_traits = raw.traits - head.lexical_share * by_having_seen[places, 1:]
    return found.assign(**{normalized_name(trait): of_traits[:, column] for column, trait in enumerate(traits)})
