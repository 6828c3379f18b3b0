"""What a prompt's training essays are made of, and how far below it hardly any of their passages lie."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix

from ...data.dataset import EssayDataset
from ...model.modeling_trm import TRMForEssayScoring
from ...model.passages_trm import CHECKS, NO_LIMIT, NUM_PAIRS, number_passages, pair_kinds

# Of a prompt: what more of them would say is not worth the time.
MOST_ESSAYS = 2000
# Of fewer, one passage in a hundred is a guess.
LEAST_ESSAYS = 30
# The share of training passages that lie below a limit.
BEYOND = 0.01
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
        essays: number of the essay that each passage is of, from 0, `(passages,)`.
    """

    words: csr_matrix
    pairs: csr_matrix
    shuffled: csr_matrix
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
def fit_passage_check(model: TRMForEssayScoring, data: EssayDataset, seed: int = 0):
    """
    Tells the passage check what the training essays are made of, and sets its limits: what one passage in a hundred falls
    below when it is judged by the other essays alone. What it costs to fall below them is not set here (see
    [`fit_penalties`]). Prompts with fewer than 30 training essays get no limits.

    Args:
        model: with a passage check, which is changed.
        data: its training essays are looked at, 2,000 a prompt at most.
        seed: of what is drawn.
    """
    check = model.passage_check
    if check is None:
        raise ValueError("The model has no passage check.")
    rng = np.random.default_rng(seed)
    train = data.splits["train"].select_columns(["prompt_id", "input_ids", "token_type_ids"])
    prompt_ids = np.array(train["prompt_id"])
    tokens = train.with_format("numpy")
    prompts = []
    for prompt_id in data.score_ranges:
        places = np.flatnonzero(prompt_ids == prompt_id)
        chosen = np.sort(rng.permutation(places)[:MOST_ESSAYS])
        prompts.append(_count(tokens[chosen], model.config.vocab_size, rng))
    _fit_topics(model, prompts)
    _fit_order(model, prompts)
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
        matrix("words", vocab_size), matrix("pairs", NUM_PAIRS), matrix("shuffled", NUM_PAIRS), np.array(essays)
    )


# ---- Topic


def _fit_topics(model: TRMForEssayScoring, prompts: Sequence[Passages]):
    """
    log p(piece | essays of the prompt) / p(piece | other text) for each prompt: other text is half general English, half
    the other prompts' essays where there are some.
    """
    vocab_size = model.config.vocab_size
    counts = [np.asarray(prompt.words.sum(axis=0))[0] for prompt in prompts]
    shares = [count / count.sum() for count in counts]
    for place, prompt in enumerate(prompts):
        others = [share for other, share in enumerate(shares) if other != place]
        general = general_frequencies(vocab_size)
        other_text = (general + np.mean(others, axis=0)) / 2 if others else general

        def ratios(count: np.ndarray, total: float, elsewhere: np.ndarray) -> np.ndarray:
            share = (count + OTHER_PIECES * elsewhere) / (total + OTHER_PIECES)
            return np.clip(np.log(share / elsewhere), -MAX_RATIO, MAX_RATIO)

        total = counts[place].sum()
        model.passage_check.words.weight[:, place] = torch.tensor(ratios(counts[place], total, other_text))
        topic = np.zeros(len(prompt.essays))
        for rows, held, kinds, own in prompt.left_out(prompt.words):
            without = ratios(counts[place][kinds] - own, total - own.sum(), other_text[kinds])
            topic[rows] = _means(held[:, kinds], without)
        _set_limits(model, place, "topic", topic, prompt)


def general_frequencies(vocab_size: int) -> np.ndarray:
    """
    How often word pieces stand in any English text, `(vocab_size,)`, a share of all: Zipf's law with Mandelbrot's shift,
    by the order of BERT's vocabulary.
    """
    ranks = np.arange(vocab_size) - min(FIRST_WORD, vocab_size // 2)
    frequencies = 1 / (np.where(ranks < 0, vocab_size, ranks) + 2.7)
    return frequencies / frequencies.sum()


# ---- Order


def _fit_order(model: TRMForEssayScoring, prompts: Sequence[Passages]):
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

    model.passage_check.pairs.weight[:, 0] = torch.tensor(ratios(real, mixed))
    for place, prompt in enumerate(prompts):
        order = np.zeros(len(prompt.essays))
        own_mixed = prompt.left_out(prompt.shuffled)
        for (rows, held, kinds, own), (_, _, mixed_kinds, count) in zip(
            prompt.left_out(prompt.pairs), own_mixed, strict=True
        ):
            in_both, of_kinds, of_mixed = np.intersect1d(kinds, mixed_kinds, assume_unique=True, return_indices=True)
            own_order = np.zeros(len(kinds))
            own_order[of_kinds] = count[of_mixed]
            order[rows] = _means(held[:, kinds], ratios(real[kinds] - own, mixed[kinds] - own_order))
        _set_limits(model, place, "order", order, prompt)


def _means(counts: csr_matrix, values: np.ndarray) -> np.ndarray:
    """Mean value of what a passage holds: counts `(passages, kinds)`, values `(kinds,)`."""
    return (counts @ values) / np.maximum(np.asarray(counts.sum(axis=1))[:, 0], 1)


def _set_limits(model: TRMForEssayScoring, place: int, name: str, ratios: np.ndarray, prompt: Passages):
    check, column = model.passage_check, CHECKS.index(name)
    check.spreads[place, column] = max(ratios.std(), MIN_SPREAD)
    enough = prompt.essays[-1] + 1 >= LEAST_ESSAYS
    check.limits[place, column] = np.quantile(ratios, BEYOND) if enough else NO_LIMIT
