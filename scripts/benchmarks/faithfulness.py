"""Whether explanations are faithful: what is said to have moved a score, deleted, must move it more than what is not."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from trm_aes.evaluation.bootstrap import Estimate, draw_times, estimate, means
from trm_aes.scoring.explaining import Explanation
from trm_aes.scoring.scorer import EssayScorer
from trm_aes.scoring.sentences import Span, sentence_spans, without_all

# How many sentences are deleted, and how many words.
SENTENCES, WORDS = (1, 2, 3, 4, 5), (5, 10, 20)
# Of an essay in which something is left when five sentences are gone.
LEAST_SENTENCES = 8
# What needs no explanation to be found.
RANDOM, LONGEST = PEERS = ("random", "longest")
WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Ranking:
    """
    Parts of an essay in the order in which they are to be deleted.

    Args:
        kind: `sentences` or `words`.
        method: who ranks them.
        spans: the first to be deleted first.
    """

    kind: str
    method: str
    spans: Sequence[Span]


def rankings(essay: str, explanation: Explanation, lexical_share: float, rng: np.random.Generator) -> list[Ranking]:
    """
    The rankings of an essay's sentences and words by all methods.

    Args:
        essay, explanation: a text and what moved its score.
        lexical_share: of the lexical head in the score.
        rng: draws what is deleted at random.
    """
    sentences = [(effect.start, effect.end) for effect in explanation.sentences]
    words = [found.span() for found in WORD.finditer(essay)]
    added = {name: of_spans(explanation, words, name) for name in ("contribution", "recursive")}
    of_sentences = {
        "left out": np.abs([effect.change for effect in explanation.sentences]),
        "integrated gradients": np.abs(of_spans(explanation, sentences, "recursive")),
        LONGEST: lengths(sentences),
        "first": -np.arange(len(sentences)),
        RANDOM: rng.random(len(sentences)),
    }
    of_words = {
        "lexical head": added["contribution"],
        "integrated gradients": added["recursive"],
        "both heads": lexical_share * added["contribution"] + (1 - lexical_share) * added["recursive"],
        LONGEST: lengths(words),
        RANDOM: rng.random(len(words)),
    }
    ranked = [Ranking("sentences", name, _by(values, sentences)) for name, values in of_sentences.items()]
    return ranked + [Ranking("words", name, _by(values, words)) for name, values in of_words.items()]


def lengths(spans: Sequence[Span]) -> np.ndarray:
    """Characters of spans."""
    return np.array([end - start for start, end in spans])


def of_spans(explanation: Explanation, spans: Sequence[Span], name: str) -> np.ndarray:
    """What the word pieces within each span add to a head's score together; `name` is a field of [`WordContribution`]."""
    starts = np.array([word.start for word in explanation.words])
    values = np.array([getattr(word, name) for word in explanation.words])
    return np.array([values[(starts >= start) & (starts < end)].sum() for start, end in spans])


def _by(values: np.ndarray, spans: Sequence[Span]) -> list[Span]:
    return [spans[place] for place in np.argsort(-values, kind="stable")]


def movements(
    scorer: EssayScorer, essay: str, explanation: Explanation, ranked: Sequence[Ranking]
) -> dict[str, dict[str, list[float]]]:
    """
    By kind and method: how far the score moves, in points and without sign, when the first parts of a ranking are deleted, for
    each number of them.
    """
    plans = [(ranking, number) for ranking in ranked for number in _numbers(ranking.kind)]
    texts = [without_all(essay, ranking.spans[:number]) for ranking, number in plans]
    found: dict[str, dict[str, list[float]]] = {"sentences": {}, "words": {}}
    results = scorer.score(texts, [explanation.prompt_id] * len(texts))
    for (ranking, _), result in zip(plans, results, strict=True):
        found[ranking.kind].setdefault(ranking.method, []).append(abs(result.score - explanation.result.score))
    return found


def _numbers(kind: str) -> tuple[int, ...]:
    return SENTENCES if kind == "sentences" else WORDS


def enough_sentences(essay: str) -> bool:
    """Whether an essay has sentences and words enough to be measured."""
    return len(sentence_spans(essay)) >= LEAST_SENTENCES and len(WORD.findall(essay)) >= 2 * WORDS[-1]


def agreement(changes: Sequence[float], others: Sequence[float]) -> float:
    """Spearman's correlation of two importances of the sentences of an essay; NaN where one does not vary."""
    if len(set(changes)) < 2 or len(set(others)) < 2:
        return float("nan")
    return float(spearmanr(changes, others).statistic)


def curve(essays: Sequence[Mapping], kind: str, method: str, seed: int) -> list[dict[str, Estimate]]:
    """
    For each number of parts deleted: how far the score moves on average, in standard deviations of the prompt's human scores
    (`movement`), and how much further than when a peer chooses the parts (`beyond` it), with 95 % intervals over essays.
    """
    times = draw_times(len(essays), seed)
    units = np.array([essay["score_std"] for essay in essays])[:, None]
    moved = np.array([essay[kind][method] for essay in essays]) / units
    values = {"movement": moved}
    for peer in PEERS:
        values[f"beyond {peer}"] = moved - np.array([essay[kind][peer] for essay in essays]) / units
    return [
        {name: estimate(means(of_name[:, place], times)) for name, of_name in values.items()}
        for place in range(moved.shape[1])
    ]


def mean_estimate(values: Sequence[float], seed: int) -> Estimate:
    """The mean over essays, those without a value aside, with a 95 % interval."""
    known = np.array([value for value in values if np.isfinite(value)])
    return estimate(means(known, draw_times(len(known), seed)))
