"""What moved the score of an essay: its sentences, by leaving each out, and its words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .contributions import WordContribution, score_parts
from .sentences import Span, joined, sentence_spans, without

if TYPE_CHECKING:
    from .scorer import EssayScore, EssayScorer

NOTE = "What moved the score. It does not say what is wrong with the essay, or how to write it better."
# Bounds of the time: an essay of more sentences is explained by passages of several, and so is one that would have more
# characters scored than these, with all that is left when each part is gone.
MOST_PASSAGES = 64
MOST_CHARACTERS = 2_000_000


@dataclass(frozen=True)
class SentenceEffect:
    """
    What a sentence does to the score: it is left out, and the essay scored again.

    Args:
        start, end: where it stands in the essay as given: its first character, and the place behind its last one.
        text: the sentence.
        change: the essay's score less its score without the sentence, in points of the prompt's scale; positive where the
            sentence moved the score up.
        trait_changes: the same of each trait, in points of the trait's scale.
    """

    start: int
    end: int
    text: str
    change: float
    trait_changes: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Explanation:
    """
    What moved the score of an essay.

    Args:
        result: what the scorer says of the essay.
        prompt_id: the prompt that it answers.
        sentences: in the order of the essay; empty for an essay of one sentence, without which nothing would be left to
            score. An essay of more sentences than [`MOST_PASSAGES`], and of fewer than that if it is very long, has passages
            of neighboring ones instead, so they are fewer than `num_sentences`.
        num_sentences: how many sentences the essay has.
        words, lexical_parts, lexical_score, recursive_parts, recursive_score, score_parts: what makes up the score, see
            [`ScoreParts`].
        note: what this is, and what it is not.
    """

    result: "EssayScore"
    prompt_id: str
    sentences: list[SentenceEffect]
    num_sentences: int
    words: list[WordContribution]
    lexical_parts: dict[str, float]
    lexical_score: float | None
    recursive_parts: dict[str, float]
    recursive_score: float
    score_parts: dict[str, float]
    note: str = NOTE


def explain_essay(scorer: "EssayScorer", essay: str, prompt_id: str) -> Explanation:
    """
    Explains the score of an essay.

    Args:
        scorer: what scores it.
        essay: its text, one that can be scored.
        prompt_id: a prompt that the scorer knows.
    """
    spans = sentence_spans(essay)
    most = max(2, min(MOST_PASSAGES, MOST_CHARACTERS // len(essay)))
    passages = joined(spans, most) if len(spans) > 1 else []
    texts = [essay, *(without(essay, span) for span in passages)]
    prompt_ids = [prompt_id] * len(texts)
    encoded = scorer.encode(texts, prompt_ids)
    result, *shortened = scorer.score_encoded(encoded, prompt_ids)
    sentences = [_effect(essay, span, result, less) for span, less in zip(passages, shortened, strict=True)]
    parts = score_parts(scorer, essay, encoded[0], prompt_id)
    return Explanation(result, prompt_id, sentences, len(spans), **vars(parts))


def _effect(essay: str, span: Span, result: "EssayScore", less: "EssayScore") -> SentenceEffect:
    start, end = span
    scores, shortened = _trait_scores(result), _trait_scores(less)
    changes = {name: scores[name] - shortened[name] for name in scores}
    return SentenceEffect(start, end, essay[start:end], result.score - less.score, changes)


def _trait_scores(result: "EssayScore") -> Mapping[str, float]:
    """Unrounded scores by trait."""
    return {name: trait.score for name, trait in result.traits.items()}
