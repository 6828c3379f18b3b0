"""The lexical head, solved in closed form before training: a ridge regression on the essays of each prompt."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_matrix, vstack
from sklearn.kernel_ridge import KernelRidge

from ...data.dataset import EssayDataset
from ...evaluation.evaluate import RATER_COLUMNS
from ...model.encoder_trm import EncoderStates
from ...model.essay_tokens import EssayCollator
from ...model.essays_trm import EssayBatch
from ...model.heads_trm import TRMLexicalHead, lexical_features
from ...model.modeling_trm import TRMForEssayScoring
from ...scoring.scorer import input_columns
from ..states import EssayStates

# Essays whose inputs are worked out at once: each takes a number for every word of the vocabulary.
CHUNK = 64


@dataclass(frozen=True)
class Weighing:
    """
    How much of the ridge regression's prior variance each kind of input has, beside rows of words of unit mean square.

    Args:
        penalty: of the regression.
        counts, features, states: variance of each standardized length, text feature, and mean or spread of a state.
    """

    penalty: float
    counts: float
    features: float = 0.0
    states: float = 0.0


# Chosen on the validation essays of ASAP's fold 0 (docs/lab/experiments.md). Text features hold the lengths, too.
WORDS_ALONE = Weighing(penalty=0.3, counts=0.01)
WITH_FEATURES = Weighing(penalty=2.0, counts=0.0, features=0.005, states=0.0004)


@dataclass(frozen=True)
class Inputs:
    """
    What the head sees of the essays of a prompt.

    Args:
        words: `1 + log(count)` of each word piece, `(essays, vocab_size)`.
        counts: lengths, `(essays, 2)`.
        features: standardized text features, `(essays, features)`.
        moments: means and spreads of an encoder's states, not standardized, `(essays, 2 * width)`.
    """

    words: csr_matrix
    counts: np.ndarray
    features: np.ndarray
    moments: np.ndarray


@torch.no_grad()
def fit_lexical_head(model: TRMForEssayScoring, data: EssayDataset, states: EssayStates | None = None):
    """
    Gives the lexical head the weights that score the training essays best under a penalty, and keeps them out of
    training. AdamW, whose steps are as long for a rare word as for any other, finds worse ones.

    Scores are learned as the mean of both raters where the data set has both: two judgments are less noisy than one.

    Args:
        model: its prompt bank must know the prompts' statistics.
        data: with essays of every prompt in `train`.
        states: a frozen encoder's, of the training essays; without them the head leaves states out.
    """
    bank, head = model.model.prompt_bank, model.lexical_head
    if bank is None or head is None:
        raise ValueError("The model has no lexical head.")
    weighing = WITH_FEATURES if model.config.text_features else WORDS_ALONE
    columns = [name for name in input_columns(model.config) if name != "encoder_states"]
    train = data.splits["train"]
    rows = train.select_columns(columns)
    scores = train.select_columns(
        [name for name in ("prompt_id", "score", *RATER_COLUMNS) if name in train.column_names]
    ).to_pandas()
    collate = EssayCollator.for_model(data.load_tokenizer(), model.config)
    for place, prompt_id in enumerate(data.score_ranges):
        essays = scores[scores["prompt_id"] == prompt_id]
        inputs = _inputs(model, rows, essays.index.to_numpy(), states, collate)
        _solve(head, place, inputs, _targets(essays), weighing)
    head.requires_grad_(False)


def _targets(essays: pd.DataFrame) -> np.ndarray:
    """Scores of a prompt's essays in standard deviations from their mean: `(essays,)`."""
    scores = essays["score"].to_numpy(dtype=float)
    if set(RATER_COLUMNS) <= set(essays):
        raters = essays[list(RATER_COLUMNS)].apply(pd.to_numeric, errors="coerce").mean(axis=1, skipna=False).to_numpy()
        if np.isfinite(raters).all() and raters.std() > 0:
            scores = raters
    return (scores - scores.mean()) / max(scores.std(), 1e-6)


def _solve(head: TRMLexicalHead, place: int, inputs: Inputs, targets: np.ndarray, weighing: Weighing):
    """
    Solves one prompt's regression in its dual form (fewer essays than inputs), and writes its weights. Standardized
    inputs have the mean 0, so the constant is the targets' mean less what the words give on average.
    """
    words = inputs.words * (1 / np.sqrt(inputs.words.multiply(inputs.words).sum() / inputs.words.shape[0]))
    word_scale = words.sum() / inputs.words.sum()
    count_means, count_stds = inputs.counts.mean(axis=0), np.maximum(inputs.counts.std(axis=0), 1e-6)
    counts = (inputs.counts - count_means) / count_stds
    moments = inputs.moments
    has_states = moments.shape[1] > 0
    if has_states:
        means = torch.tensor(moments.mean(axis=0))
        spreads = torch.tensor(np.where(moments.std(axis=0) > 1e-6, moments.std(axis=0), np.inf))
        head.state_means[place], head.state_stds[place] = means, spreads
        places = torch.full((len(moments),), place)
        moments = head.standardize_moments(torch.tensor(moments), places).double().numpy()
    dense = np.hstack(
        [
            block * np.sqrt(variance)
            for block, variance in (
                (counts, weighing.counts), (inputs.features, weighing.features), (moments, weighing.states)
            )
        ]
    )  # fmt: skip
    word_mean, dense_mean = np.asarray(words.mean(axis=0))[0], dense.mean(axis=0)
    kernel = _center((words @ words.T).toarray() + dense @ dense.T)
    dual = KernelRidge(alpha=weighing.penalty, kernel="precomputed").fit(kernel, targets - targets.mean()).dual_coef_
    # Of centered inputs.
    of_words = words.T @ dual - word_mean * dual.sum()
    of_dense = dense.T @ dual - dense_mean * dual.sum()
    constant = targets.mean() - word_mean @ of_words - dense_mean @ of_dense
    ends = np.cumsum([counts.shape[1], inputs.features.shape[1]])
    of_counts, of_features, of_moments = np.split(of_dense, ends)
    of_counts = of_counts * np.sqrt(weighing.counts) / count_stds
    head.words.weight[:, place] = torch.tensor(of_words * word_scale)
    head.counts.weight[place] = torch.tensor([constant - of_counts @ count_means, *of_counts])
    if head.features is not None:
        head.features.weight[place] = torch.tensor(of_features * np.sqrt(weighing.features))
    if has_states and head.states is not None:
        head.states.weight[place] = torch.tensor(of_moments * np.sqrt(weighing.states))


def _center(kernel: np.ndarray) -> np.ndarray:
    """The kernel of inputs less their mean."""
    means = kernel.mean(axis=0)
    return kernel - means - means[:, None] + means.mean()


def _inputs(
    model: TRMForEssayScoring, rows, places: np.ndarray, states: EssayStates | None, collate: EssayCollator
) -> Inputs:
    """What the head sees of the essays at some places of a split, all of one prompt."""
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
    model: TRMForEssayScoring, rows, places: np.ndarray, collate: EssayCollator
) -> Iterator[tuple[EssayBatch, np.ndarray]]:
    bank = model.model.prompt_bank
    for start in range(0, len(places), CHUNK):
        place = places[start : start + CHUNK]
        batch = collate(rows.select(place).to_list())
        prompt_indices, features = batch.pop("prompt_indices"), batch.pop("text_features", None)
        essays = EssayBatch.from_tensors(**batch)
        essays.lengths = bank.standardize_lengths(essays.lengths, prompt_indices)
        if features is not None:
            essays.text_features = bank.standardize_features(features, prompt_indices)
        yield essays, place


def _moments(model: TRMForEssayScoring, states: np.ndarray) -> np.ndarray:
    encoder = model.model.encoder
    normalized = encoder.normalize(torch.tensor(states)[None])
    return EncoderStates(normalized, torch.ones(normalized.shape[:2], dtype=torch.bool)).moments()[0].double().numpy()
