"""The linear heads, solved in closed form before training: a ridge regression on the essays of each prompt."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from scipy.sparse import csr_matrix, vstack
from transformers import PreTrainedConfig

from ...data.dataset import EssayDataset
from ...model.encoder_trm import EncoderStates
from ...model.essay_tokens import EssayCollator
from ...model.essays_trm import EssayBatch
from ...model.heads_trm import TRMLexicalHead, lexical_features
from ...model.modeling_trm import TRMForEssayScoring
from ...model.traits_trm import pairs_of
from ...scoring.scorer import input_columns
from ..states import EssayStates
from .prompts import means_and_spreads
from .regression import Inputs, Weighing, solve
from .traits import training_traits

# Essays whose inputs are worked out at once: each takes a number for every word of the vocabulary.
CHUNK = 64

# Chosen on the validation essays of ASAP's fold 0 (docs/lab/experiments.md). Text features hold the lengths, too.
WORDS_ALONE = Weighing(penalty=0.3, counts=0.01)
WITH_FEATURES = Weighing(penalty=2.0, counts=0.0, features=0.005, states=0.0004)


def weighing_of(config: PreTrainedConfig) -> Weighing:
    """How the lexical head of a model of this configuration weighs its inputs."""
    return WITH_FEATURES if config.text_features else WORDS_ALONE


@torch.no_grad()
def fit_lexical_head(model: TRMForEssayScoring, data: EssayDataset, states: EssayStates | None = None) -> np.ndarray:
    """
    Gives the lexical head the weights that score the training essays best under a penalty, and keeps them out of
    training. AdamW, whose steps are as long for a rare word as for any other, finds worse ones. Where the model has traits,
    each is solved in the same way, prompt by prompt, on the essays that have a score of it.

    Scores are learned as the mean of both raters where the data set has both: two judgments are less noisy than one.

    Args:
        model: its prompt bank must know the prompts' statistics, and its trait head those of the traits.
        data: with essays of every prompt in `train`.
        states: a frozen encoder's, of the training essays; without them the head leaves states out.

    Returns:
        What the linear models say of each training essay less what they would say had they been solved on the prompt's others
        alone: `(essays, 1 + traits)`, the score first, each on its 0-1 scale; NaN where an essay has no score of a trait.
    """
    bank, head = model.model.prompt_bank, model.lexical_head
    if bank is None or head is None:
        raise ValueError("The model has no lexical head.")
    weighing = weighing_of(model.config)
    for weights in head.parameters():
        weights.zero_()
    columns = [name for name in input_columns(model.config) if name != "encoder_states"]
    train = data.splits["train"]
    rows = train.select_columns(columns)
    raters = list(data.rater_columns)
    scores = train.select_columns(["prompt_id", "score", *raters]).to_pandas()
    collate = EssayCollator.for_model(data.load_tokenizer(), model.config)
    traits = _TraitRegressions(model, data)
    by_having_seen = np.full((len(scores), 1 + len(traits.scores.columns)), np.nan)
    by_prompt = scores.groupby("prompt_id")
    for place, prompt_id in enumerate(data.score_ranges):
        essays = by_prompt.get_group(prompt_id)
        inputs = head_inputs(model, rows, essays.index.to_numpy(), states, collate)
        _set_state_statistics(head, place, inputs.moments)
        inputs = inputs.standardized(head, place)
        regression = solve(inputs, _targets(essays, raters), weighing)
        regression.add_to(head, place)
        rows_of_prompt = essays.index.to_numpy()
        by_having_seen[rows_of_prompt, 0] = bank.score_stds[place].item() * regression.by_having_seen()
        by_having_seen[rows_of_prompt, 1:] = traits.solve(prompt_id, rows_of_prompt, inputs, weighing)
    head.requires_grad_(False)
    return by_having_seen


class _TraitRegressions:
    """
    Solves the trait head of a model, prompt by prompt, and keeps it out of training; nothing is done without such a head.

    Attributes:
        scores: of the training essays, a column a trait, NaN for those that are missing.
    """

    def __init__(self, model: TRMForEssayScoring, data: EssayDataset):
        self._head = model.trait_head
        self._place_of = {pair: place for place, pair in enumerate(pairs_of(model.config))}
        self.scores = training_traits(data, list(model.config.traits or {})).drop(columns="prompt_id")
        if self._head is not None:
            self._head.requires_grad_(False)
            for weights in self._head.parameters():
                weights.zero_()

    def solve(self, prompt_id: str, rows: np.ndarray, inputs: Inputs, weighing: Weighing) -> np.ndarray:
        """
        Solves the traits of a prompt; returns what having seen an essay adds to its scores, `(essays, traits)`.

        Args:
            rows: places of the prompt's essays among the training essays.
            inputs: of these, standardized.
            weighing: as of the score.
        """
        by_having_seen = np.full((len(rows), len(self.scores.columns)), np.nan)
        for column, trait in enumerate(self.scores):
            place = self._place_of.get((trait, prompt_id))
            if place is None or self._head is None:
                continue
            scores = self.scores[trait].to_numpy()[rows]
            given = np.flatnonzero(np.isfinite(scores))
            targets = (scores[given] - scores[given].mean()) / scores[given].std()
            regression = solve(inputs.of(given), targets, weighing)
            regression.add_to(self._head, place)
            by_having_seen[given, column] = self._head.stds[place].item() * regression.by_having_seen()
        return by_having_seen


def _targets(essays: pd.DataFrame, raters: list[str]) -> np.ndarray:
    """Scores of a prompt's essays (the mean of the raters', where each has several) in standard deviations from their mean."""
    scores = essays["score"].to_numpy(dtype=float)
    if len(raters) > 1:
        means = essays[raters].mean(axis=1, skipna=False).to_numpy(dtype=float)
        if np.isfinite(means).all() and means.std() > 0:
            scores = means
    return (scores - scores.mean()) / max(scores.std(), 1e-6)


def _set_state_statistics(head: TRMLexicalHead, place: int, moments: np.ndarray):
    """Tells the head the mean and spread of the moments `(essays, 2 * width)` of a prompt's essays."""
    if head.states is None or not moments.size:
        return
    head.state_means[place], head.state_stds[place] = map(torch.tensor, means_and_spreads(moments))


def head_inputs(
    model: TRMForEssayScoring, rows: Dataset, places: np.ndarray, states: EssayStates | None, collate: EssayCollator
) -> Inputs:
    """
    What the lexical head sees of essays of one prompt, their moments not standardized yet.

    Args:
        model: its prompt bank must know the prompt's statistics.
        rows: tokenized essays.
        places: of the prompt's essays among them.
        states: an encoder's, of all rows; None leaves states out.
        collate: batches them.
    """
    words, counts, features, moments = [], [], [], []
    vocab_size = model.config.vocab_size
    for essays, place in _batches(model, rows, places, collate):
        shares, of_essay = lexical_features(essays.input_ids, essays.is_essay, essays.lengths, vocab_size)
        row, column = essays.is_essay.nonzero(as_tuple=True)
        # The shares of one word piece stand in several places and are added up.
        entries = (shares[row, column].double().numpy(), (row.numpy(), essays.input_ids[row, column].numpy()))
        words.append(csr_matrix(entries, shape=(len(of_essay), vocab_size)))
        counts.append(of_essay[:, 1:].double().numpy())
        empty = np.zeros((len(of_essay), 0))
        features.append(empty if essays.text_features is None else essays.text_features.double().numpy())
        moments.append(empty if states is None else np.stack([_moments(model, states[i]) for i in place]))
    return Inputs(vstack(words).tocsr(), *(np.concatenate(parts) for parts in (counts, features, moments)))


def _batches(
    model: TRMForEssayScoring, rows: Dataset, places: np.ndarray, collate: EssayCollator
) -> Iterator[tuple[EssayBatch, np.ndarray]]:
    bank = model.model.prompt_bank
    for start in range(0, len(places), CHUNK):
        place = places[start : start + CHUNK]
        batch = collate(rows.select(place).to_list())
        of_prompt = (batch.pop("prompt_indices"), batch.pop("text_features", None))
        essays = EssayBatch.from_tensors(**batch)
        bank.standardize(essays, *of_prompt)
        yield essays, place


def _moments(model: TRMForEssayScoring, states: np.ndarray) -> np.ndarray:
    encoder = model.model.encoder
    normalized = encoder.normalize(torch.tensor(states)[None])
    return EncoderStates(normalized, torch.ones(normalized.shape[:2], dtype=torch.bool)).moments()[0].double().numpy()
