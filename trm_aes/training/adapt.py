"""A trained scorer told of a prompt that it has never seen, by a few scored essays of it."""

import sys
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
import torch
from datasets import Dataset

from ..data.schema import EssayTable, prompt_rows, score_ranges
from ..errors import InputError
from ..evaluation.agreement import score_metrics
from ..model.essay_tokens import EssayCollator, prompt_index_of
from ..records import RunRecord
from ..scoring.scorer import EssayScorer, tokenized_rows
from .fit.lexical import head_inputs, weighing_of
from .fit.prompts import MIN_SPREAD, essay_lengths
from .fit.regression import Inputs, solve
from .fit.transfer import set_spreads, with_prompts
from .states import EssayStates, read_with_encoder

# With five, mean QWK over the prompts of ASAP is 0.69, with 20 it is 0.74 (docs/lab/experiments.md).
LEAST_ESSAYS = 5
# In standard deviations of the prompt's scores. Predictions that hardly differ say nothing of how far scores spread.
LEAST_PREDICTED_SPREAD = 0.1


@dataclass(frozen=True)
class AdaptedPrompt:
    """
    What a scorer was told of a new prompt.

    Args:
        num_essays: scored essays of it.
        score_range: the scale of its scores, as in a model's `score_ranges`.
        left_out: agreement (see [`score_metrics`]) of the essays' scores with what the scorer says of each when the others
            alone correct it; the scale is matched to all of them. Of 20 essays it is a rough figure.
    """

    num_essays: int
    score_range: tuple[float | str, ...]
    left_out: dict[str, float]


@dataclass(frozen=True)
class FewEssays:
    """
    The scored essays of a new prompt, ready to be fitted.

    Args:
        place: of the prompt in the model's `score_ranges`.
        rows: tokenized essays.
        scores: 0-1, `(essays,)`.
        states: an encoder's; None where the model has none.
    """

    place: int
    rows: Dataset
    scores: np.ndarray
    states: EssayStates | None


def adapt_scorer(scorer: EssayScorer, table: EssayTable) -> tuple[EssayScorer, dict[str, AdaptedPrompt]]:
    """
    A scorer that scores new prompts, too. It is as trained for whatever all prompts share (an encoder's states, the
    recursion, the mean of its prompts' weights), and a new prompt's few essays then give in closed form:

    1. the means and spreads by which lengths, text features and states are judged, drawn toward those of the known prompts;
    2. a correction of the scores: a ridge regression on what the heads have wrong, in the lexical head;
    3. the scale, by which scores of essays that the correction has not seen spread as the few essays' gold scores do.

    Args:
        scorer: it stays as it is.
        table: at least five essays of each new prompt, with at least two different scores.

    Returns:
        The new scorer, on the CPU, and what it was told of each new prompt. On the prompts it knew it scores as before, to the bit.

    Raises:
        InputError: if the scorer keeps no prompts apart, knows a prompt already, or there are too few essays of one.
    """
    _check(scorer, table)
    prompts, ranges = prompt_rows(table.frame), score_ranges(table.frame)
    model = with_prompts(
        scorer.model,
        scorer.tokenizer,
        {prompt_id: score_range.to_list() for prompt_id, score_range in ranges.items()},
        {prompt_id: prompt["prompt"] for prompt_id, prompt in prompts.items()},
    )
    adapted = EssayScorer(model, scorer.tokenizer, scorer.name, "cpu", scorer.batch_tokens)
    places = prompt_index_of(model.config)
    known = torch.tensor([places[prompt_id] for prompt_id in scorer.score_ranges])
    told = {}
    for prompt_id in prompts:
        essays = table.frame[table.frame["prompt_id"] == prompt_id]
        told[prompt_id] = _adapt_to(adapted, prompt_id, essays, known)
    return adapted, told


def _check(scorer: EssayScorer, table: EssayTable):
    if scorer.model.model.prompt_bank is None:
        raise InputError(
            f"{scorer.name} keeps no prompts apart (its recipe has no `prompt_registers`): only a scorer that does can be "
            "told of another. Train one with another recipe."
        )
    for prompt_id in table.prompt_ids:
        if prompt_id in scorer.score_ranges:
            raise InputError(
                f"{scorer.name} knows prompt {prompt_id!r} already; it scores {', '.join(scorer.score_ranges)}. Give the "
                "new prompt another id, with `prompt_id`."
            )
        scores = table.frame.loc[table.frame["prompt_id"] == prompt_id, "score"]
        if len(scores) < LEAST_ESSAYS:
            raise InputError(
                f"{table.source}: prompt {prompt_id!r} has {len(scores)} scored essays; at least {LEAST_ESSAYS} are "
                "needed, and 20 are much better."
            )
        if scores.nunique() == 1:
            raise InputError(
                f"{table.source}: all {len(scores)} essays of prompt {prompt_id!r} have the score {scores.iloc[0]:g}. "
                "Better and worse essays are needed to tell what a score means."
            )


def _adapt_to(scorer: EssayScorer, prompt_id: str, table: pd.DataFrame, known: torch.Tensor) -> AdaptedPrompt:
    score_range = scorer.score_ranges[prompt_id]
    essays = _prepare(scorer, prompt_id, table)
    inputs = _measure(scorer, essays, known)
    left_out = score_range.denormalize(_fit_scores(scorer, essays, inputs))
    return AdaptedPrompt(
        len(table),
        tuple(score_range.to_list()),
        score_metrics(table["score"].to_numpy(), left_out, score_range),
    )


def _prepare(scorer: EssayScorer, prompt_id: str, table: pd.DataFrame) -> FewEssays:
    """Tokens, and an encoder's states."""
    encoded = scorer.encode(table["essay"].to_list(), [prompt_id] * len(table))
    rows = Dataset.from_list(tokenized_rows(encoded, [prompt_id] * len(encoded)))
    encoder, states = scorer.model.model.encoder, None
    if encoder is not None:
        states = read_with_encoder(encoder, rows, EssayCollator(scorer.tokenizer), scorer.device, "Reading essays")
    scores = scorer.score_ranges[prompt_id].normalize(table["score"].to_numpy())
    return FewEssays(prompt_index_of(scorer.model.config)[prompt_id], rows, scores, states)


def _measure(scorer: EssayScorer, essays: FewEssays, known: torch.Tensor) -> Inputs | None:
    """
    Sets by what measure lengths, text features and states of the new prompt's essays are short or long; what the lexical
    head sees of them then, where there is one.
    """
    model, place = scorer.model, essays.place
    bank, head = model.model.prompt_bank, model.lexical_head
    lengths = essay_lengths(essays.rows["token_type_ids"])
    set_spreads(bank.length_means, bank.length_stds, place, lengths, known, MIN_SPREAD)
    if model.config.text_features:
        features = np.array(essays.rows["text_features"])
        set_spreads(bank.feature_means, bank.feature_stds, place, features, known)
    if head is None:
        return None
    collate = EssayCollator.for_model(scorer.tokenizer, model.config)
    inputs = head_inputs(model, essays.rows, np.arange(len(essays.rows)), essays.states, collate)
    if head.states is not None:
        set_spreads(head.state_means, head.state_stds, place, inputs.moments, known)
    return inputs.standardized(head, place)


def _fit_scores(scorer: EssayScorer, essays: FewEssays, inputs: Inputs | None) -> np.ndarray:
    """Corrects and scales what is said of the new prompt's essays; returns it of each left out (0-1 scale, not clipped)."""
    model, place = scorer.model, essays.place
    bank, head = model.model.prompt_bank, model.lexical_head
    mean, unit = essays.scores.mean(), max(essays.scores.std(), MIN_SPREAD)
    bank.score_means[place], bank.score_stds[place] = mean, unit
    targets = (essays.scores - mean) / unit
    # In these standard deviations, too.
    fitted = left_out = (_score(scorer, essays) - mean) / unit
    if inputs is not None and model.config.lexical_share > 0:
        correction = solve(inputs, targets - fitted, weighing_of(model.config))
        # Of which the score takes this share.
        correction.add_to(head, place, 1 / model.config.lexical_share)
        fitted, left_out = fitted + correction.fitted(), left_out + correction.left_out()
    # Predictions of a regression spread less than what they predict, and those of essays it was solved on spread more than
    # others.
    scale = unit * targets.std() / max(left_out.std(), LEAST_PREDICTED_SPREAD)
    bank.score_means[place], bank.score_stds[place] = mean - scale * fitted.mean(), scale
    return mean + scale * (left_out - fitted.mean())


def _score(scorer: EssayScorer, essays: FewEssays) -> np.ndarray:
    """The scorer's scores as they are now: `(essays,)`, 0-1 scale."""
    return scorer.score_tokens(scorer.rows(essays.rows, essays.states)).normalized


def adapted_record(
    record: RunRecord, scorer: EssayScorer, table: EssayTable, told: dict[str, AdaptedPrompt]
) -> RunRecord:
    """
    The record of an adapted scorer: that of its training, and what it was told since.

    Args:
        record: of the scorer before.
        scorer, told: what [`adapt_scorer`] gave.
        table: the few essays.
    """
    entry = {
        "model": scorer.name,
        "command": sys.argv,
        "source": table.source,
        "source_sha256": table.checksum,
        "prompts": {prompt_id: asdict(prompt) for prompt_id, prompt in told.items()},
    }
    return replace(
        record,
        model=scorer.model.config.to_diff_dict(),
        num_parameters=scorer.model.num_parameters(),
        adaptations=[*record.adaptations, entry],
    )
