"""What a prompt's training essays are made of, and how far below it hardly any of their passages lie."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from ...data.dataset import EssayDataset
from ...model.modeling_trm import TRMForEssayScoring
from ...model.passages_trm import (
    CHECKS,
    NO_LIMIT,
    NUM_PAIRS,
    TRMPassageCheck,
    number_passages,
    number_places,
    pair_kinds,
)
from ..states import EssayStates

# Of a prompt: what more of them would say is not worth the time.
MOST_ESSAYS = 1000
# Of fewer, which passage in two hundred is the oddest is a guess.
LEAST_ESSAYS = 30
# The share of a prompt's training passages that lie below its limit, and how far below it one is wholly unlike them, in their
# standard deviations.
BEYOND, RAMP = 0.005, 1.0
# Of the essays of a prompt: each part is judged by the others.
NUM_PARTS = 5
# What is known of other text counts beside a prompt's essays as much as so many word pieces.
OTHER_PIECES = 300
# A log ratio is no larger: one rare word makes no topic.
MAX_RATIO = 4.0
MIN_SPREAD = 0.05
# Ids of BERT's vocabulary below this are not words; those above are roughly in the order of frequency.
FIRST_WORD = 1000


@dataclass(frozen=True)
class Passages:
    """
    The passages of some essays of one prompt, essay by essay.

    Args:
        words, pairs, shuffled: how often each word piece `(passages, vocab_size)`, each kind of pair, and each kind of pair of
            the essay's word pieces in random order `(passages, NUM_PAIRS)` stands in a passage.
        vectors: mean of the encoder's states, or of the word embeddings, `(passages, width)`.
        essays: number of the essay that each passage is of, from 0, `(passages,)`.
    """

    words: csr_matrix
    pairs: csr_matrix
    shuffled: csr_matrix
    vectors: np.ndarray
    essays: np.ndarray

    def left_out(self, counts: csr_matrix) -> Iterator[tuple[slice, csr_matrix, np.ndarray, np.ndarray]]:
        """
        Essay by essay: its passages' rows, their counts, the kinds that it holds, and how often it holds each.

        Args:
            counts: one of `words`, `pairs` and `shuffled`.
        """
        bounds = np.searchsorted(self.essays, np.arange(self.essays[-1] + 2))
        for start, end in zip(bounds[:-1], bounds[1:], strict=True):
            rows = counts[start:end]
            kinds, places = np.unique(rows.indices, return_inverse=True)
            yield slice(start, end), rows, kinds, np.bincount(places, weights=rows.data, minlength=len(kinds))


@torch.no_grad()
def fit_passage_check(model: TRMForEssayScoring, data: EssayDataset, states: EssayStates | None = None, seed: int = 0):
    """
    Tells the passage check what the training essays are made of, and sets its limits, below which lie one in two hundred
    passages, each judged by other essays than its own. What it costs to fall below them is not set here (see
    [`fit_penalties`]). Prompts with fewer than 30 training essays get no limits.

    Args:
        model: with a passage check, which is changed.
        data: its training essays are looked at, 1,000 a prompt at most.
        states: a frozen encoder's, of the training essays; without them the check goes by words alone.
        seed: of what is drawn.
    """
    check = model.passage_check
    if check is None:
        raise ValueError("The model has no passage check.")
    rng = np.random.default_rng(seed)
    train = data.splits["train"].select_columns(["prompt_id", "input_ids", "token_type_ids"])
    places_of = train.select_columns("prompt_id").to_pandas().groupby("prompt_id").indices
    tokens = train.with_format("numpy")
    prompts = []
    for prompt_id in data.score_ranges:
        chosen = np.sort(rng.permutation(places_of[prompt_id])[:MOST_ESSAYS])
        passages = _count(tokens[chosen], model.config.vocab_size, rng)
        if states is None:
            vectors = _means(passages.words, _word_embeddings(model))
        else:
            lengths = [int(np.sum(segments)) for segments in tokens[chosen]["token_type_ids"]]
            vectors = _state_means(model, states, lengths, chosen)
        prompts.append(replace(passages, vectors=vectors))
    _fit_topics(check, prompts, model, states is not None)
    _fit_order(check, prompts)
    check.requires_grad_(False)


def _count(tokens: dict[str, Sequence[np.ndarray]], vocab_size: int, rng: np.random.Generator) -> Passages:
    """Counts of the passages of essays, given the `input_ids` and `token_type_ids` of each."""
    entries: dict[str, list] = {"words": [], "pairs": [], "shuffled": []}
    essays, num_passages = [], 0
    for essay, (ids, segments) in enumerate(zip(tokens["input_ids"], tokens["token_type_ids"], strict=True)):
        pieces = torch.as_tensor(np.asarray(ids)[np.asarray(segments) == 1], dtype=torch.long)[None]
        passages = number_passages(torch.ones_like(pieces, dtype=torch.bool))[0].numpy() + num_passages
        mixed = pieces[:, rng.permutation(pieces.shape[1])]
        for name, place, kinds in (
            ("words", passages, pieces),
            ("pairs", passages[1:], pair_kinds(pieces)),
            ("shuffled", passages[1:], pair_kinds(mixed)),
        ):
            entries[name].append((place, kinds[0].numpy()))
        essays += [essay] * (int(passages[-1]) + 1 - num_passages)
        num_passages = int(passages[-1]) + 1

    def matrix(name: str, width: int) -> csr_matrix:
        rows, columns = (np.concatenate(parts) for parts in zip(*entries[name], strict=True))
        return csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(num_passages, width))

    return Passages(
        matrix("words", vocab_size), matrix("pairs", NUM_PAIRS), matrix("shuffled", NUM_PAIRS),
        vectors=np.zeros((num_passages, 0)), essays=np.array(essays),
    )  # fmt: skip


def _state_means(
    model: TRMForEssayScoring, states: EssayStates, lengths: Sequence[int], places: np.ndarray
) -> np.ndarray:
    """Means of an encoder's states over the passages of the essays at some places of a split, `(passages, width)`."""
    encoder, means = model.model.encoder, []
    for place, length in zip(places, lengths, strict=True):
        normalized = encoder.normalize(torch.tensor(states[int(place)])[None])[0].double()
        passages = number_places(torch.tensor([[length]]), len(normalized))[0]
        total = normalized.new_zeros(int(passages[-1]) + 1, normalized.shape[1]).index_add(0, passages, normalized)
        means.append((total / torch.bincount(passages)[:, None]).numpy())
    return np.concatenate(means)


# ---- Topic


def _fit_topics(check: TRMPassageCheck, prompts: Sequence[Passages], model: TRMForEssayScoring, are_states: bool):
    """
    For each prompt, how a passage of its essays is told from one of the other prompts': by a naive Bayes ratio of its words
    and the mean of its vectors, in a linear discriminant. Where there is one prompt it is the ratio alone.

    Args:
        check: changed.
        prompts: their passages.
        model: has the word embeddings.
        are_states: whether the vectors are means of states; else of word embeddings, which words have once and for all.
    """
    embeddings = _word_embeddings(model)
    counts = [np.asarray(prompt.words.sum(axis=0))[0] for prompt in prompts]
    shares = sum(count / count.sum() for count in counts)
    for place, prompt in enumerate(prompts):
        others = [other for number, other in enumerate(prompts) if number != place]
        of_others = (shares - counts[place] / counts[place].sum()) / len(others) if others else None
        elsewhere = _other_text(of_others, model.config.vocab_size)
        ratios = _word_ratios(counts[place], elsewhere)
        own = np.zeros(len(prompt.essays))
        for rows, held, kinds, of_essay in prompt.left_out(prompt.words):
            without = _word_ratios(
                counts[place][kinds] - of_essay, elsewhere[kinds], counts[place].sum() - of_essay.sum()
            )
            own[rows] = _means(held[:, kinds], without)
        weight, of_vector = 1.0, np.zeros(prompt.vectors.shape[1])
        if others:
            # About as many of others as of its own, so that the work grows with the prompts and not with their pairs.
            every = len(others)
            inputs = [np.column_stack((_means(o.words[::every], ratios), o.vectors[::every])) for o in others]
            weight, of_vector, own = _discriminant(
                np.column_stack((own, prompt.vectors)), np.concatenate(inputs), prompt.essays
            )
        words = weight * ratios
        if are_states and check.states is not None:
            check.states.weight[place] = torch.tensor(of_vector)
        else:
            words = words + embeddings @ of_vector
        check.words.weight[:, place] = torch.tensor(words)
        _set_limits(check, place, "topic", own, prompt)


def _word_embeddings(model: TRMForEssayScoring) -> np.ndarray:
    embeddings: Any = model.get_input_embeddings()
    return embeddings.weight.float().cpu().numpy()


def _other_text(of_others: np.ndarray | None, vocab_size: int) -> np.ndarray:
    """Shares of word pieces in other text: half general English, half the other prompts' essays where there are some."""
    general = general_frequencies(vocab_size)
    return general if of_others is None else (general + of_others) / 2


def _word_ratios(counts: np.ndarray, elsewhere: np.ndarray, total: float | None = None) -> np.ndarray:
    """log p(piece | the prompt's essays) / p(piece | other text), given counts and shares, all `(pieces,)`."""
    total = counts.sum() if total is None else total
    shares = (counts + OTHER_PIECES * elsewhere) / (total + OTHER_PIECES)
    return np.clip(np.log(shares / elsewhere), -MAX_RATIO, MAX_RATIO)


def _discriminant(own: np.ndarray, others: np.ndarray, essays: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """
    Fisher's linear discriminant of a prompt's passages and others, with a shrunken covariance matrix (Ledoit and Wolf 2004).

    Args:
        own, others: word ratio and vector of each passage, `(passages, 1 + width)`.
        essays: of the prompt's own passages, `(own passages,)`.

    Returns:
        The weight of the word ratio, that of the vector `(width,)`, and what the discriminant gives to the prompt's own passages
        when it is fitted to other essays, `(own passages,)`; without a constant.
    """

    def fit(own: np.ndarray) -> np.ndarray:
        inputs, is_own = np.concatenate((own, others)), np.repeat([1, 0], (len(own), len(others)))
        scale = inputs.std(axis=0) + MIN_SPREAD
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[0.5, 0.5])
        return model.fit(inputs / scale, is_own).coef_[0] / scale

    weights = fit(own)
    crossed = np.zeros(len(own))
    for part in range(NUM_PARTS):
        inside = essays % NUM_PARTS == part
        crossed[inside] = own[inside] @ fit(own[~inside])
    return float(weights[0]), weights[1:], crossed


def general_frequencies(vocab_size: int) -> np.ndarray:
    """
    How often word pieces stand in any English text, `(vocab_size,)`, a share of all: Zipf's law with Mandelbrot's shift,
    by the order of BERT's vocabulary.
    """
    ranks = np.arange(vocab_size) - min(FIRST_WORD, vocab_size // 2)
    frequencies = 1 / (np.where(ranks < 0, vocab_size, ranks) + 2.7)
    return frequencies / frequencies.sum()


# ---- Order


def _fit_order(check: TRMPassageCheck, prompts: Sequence[Passages]):
    """
    log of how often a kind of pair stands in essays over how often it stands in them when their words are in random
    order: log p(second | first) / p(second). One table for all prompts.
    """
    real, mixed = (
        sum(np.asarray(counts.sum(axis=0))[0] for counts in (getattr(prompt, name) for prompt in prompts))
        for name in ("pairs", "shuffled")
    )

    def ratios(real: np.ndarray, mixed: np.ndarray) -> np.ndarray:
        return np.clip(np.log((real + 0.5) / (mixed + 0.5)), -MAX_RATIO, MAX_RATIO)

    check.pairs.weight[:, 0] = torch.tensor(ratios(real, mixed))
    for place, prompt in enumerate(prompts):
        order, without_order = np.zeros((2, len(prompt.essays)))
        both = zip(prompt.left_out(prompt.pairs), prompt.left_out(prompt.shuffled), strict=True)
        for (rows, held, kinds, own), (_, held_mixed, mixed_kinds, own_mixed) in both:
            all_kinds = np.union1d(kinds, mixed_kinds)
            left, left_mixed = real[all_kinds], mixed[all_kinds]
            left[np.searchsorted(all_kinds, kinds)] -= own
            left_mixed[np.searchsorted(all_kinds, mixed_kinds)] -= own_mixed
            of_pairs = ratios(left, left_mixed)
            known = all_kinds[of_pairs != 0]
            order[rows] = _means(held[:, known], of_pairs[of_pairs != 0])
            without_order[rows] = _means(held_mixed[:, known], of_pairs[of_pairs != 0])
        # Essays that are much alike (few sentences, often used) have many pairs that other text lacks, which is in order, too:
        # a limit is no nearer to essays than to essays in no order.
        highest = (order.mean() + without_order.mean()) / 2
        _set_limits(check, place, "order", order, prompt, highest)


def _means(counts: csr_matrix, values: np.ndarray) -> np.ndarray:
    """Mean value of what a passage holds: counts `(passages, kinds)`, values `(kinds,)` or `(kinds, width)`."""
    return ((counts @ values).T / np.maximum(np.asarray(counts.sum(axis=1))[:, 0], 1)).T


def _set_limits(
    check: TRMPassageCheck, place: int, name: str, ratios: np.ndarray, prompt: Passages, highest: float = np.inf
):
    column = CHECKS.index(name)
    check.spreads[place, column] = max(RAMP * ratios.std(), MIN_SPREAD)
    enough = prompt.essays[-1] + 1 >= LEAST_ESSAYS
    check.limits[place, column] = min(np.quantile(ratios, BEYOND), highest) if enough else NO_LIMIT
