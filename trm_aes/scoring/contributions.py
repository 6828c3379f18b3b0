"""What makes up the score of an essay: the two heads' shares, and what each word piece adds to either head's score."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..errors import InputError
from ..model.essay_tokens import EncodedEssay
from ..model.repetition import kept_spans
from ..model.score_scale import ScoreRange
from .gradients import recursive_terms
from .inputs import model_inputs
from .lexical_terms import lexical_terms
from .sentences import Span

if TYPE_CHECKING:
    from .scorer import EssayScorer


@dataclass(frozen=True)
class WordContribution:
    """
    What the two heads make of one word piece, in points of the prompt's scale.

    Args:
        start, end: where the word piece stands in the essay as given.
        token: the word piece as the tokenizer writes it ("##ing" is the end of a word).
        contribution: what it adds to the lexical head's score, exactly: the head is linear. It sees how often a word piece
            stands in the essay, `1 + log(count)`, not where, so what it makes of that is shared evenly by the places. 0 without
            such a head.
        recursive: what it adds to the recursive head's score, by integrated gradients; see gradients.py.
    """

    start: int
    end: int
    token: str
    contribution: float
    recursive: float


@dataclass(frozen=True)
class ScoreParts:
    """
    What makes up a score, in points of the prompt's scale.

    Args:
        words: the word pieces that are read, in the order of the essay; those that were cut off, and those of words that
            repeat earlier ones where the model does not read these, are none.
        lexical_parts: what else makes up the lexical head's score, by name: `prompt_mean` (the mean score of the prompt, as
            calibrated), `constant` (what all essays of the prompt get), `length`, `distinct_words`, and where the model has
            them `text_features` and `encoder_states`. Empty without such a head.
        lexical_score: that head's score, not clipped: the sum of the words' contributions and these parts; None without such a
            head.
        recursive_parts: what else makes up the recursive head's score: `mean_word` (what it would be, were all word pieces
            like their mean), and `gap` (what integrated gradients miss, which is next to nothing).
        recursive_score: that head's score, not clipped: the sum of what the words add to it and these parts.
        score_parts: what makes up the score, by name: `recursive_head` and `lexical_head` (each weighted with its share),
            `passage_check` (what passages unlike the training essays cost, 0 or below), and `scale_ends` (what is lost or
            added where the score would lie off the scale). Their sum is the score.
    """

    words: list[WordContribution]
    lexical_parts: dict[str, float]
    lexical_score: float | None
    recursive_parts: dict[str, float]
    recursive_score: float
    score_parts: dict[str, float]


def score_parts(scorer: "EssayScorer", essay: str, encoded: EncodedEssay, prompt_id: str) -> ScoreParts:
    """
    Takes the score of an essay apart.

    Args:
        scorer: what scores it.
        essay, encoded: its text, and what [`EssayScorer.encode`] made of it.
        prompt_id: the prompt that it answers.

    Raises:
        InputError: if the tokenizer does not tell where in a text its word pieces stand.
    """
    model, scale = scorer.model, scorer.score_ranges[prompt_id]
    inputs = model_inputs(scorer, encoded, prompt_id)
    with torch.no_grad():
        outputs, essays = model(**inputs), model.model.prepare_essays(**inputs)
    recursive = recursive_terms(scorer, inputs, int(outputs.steps_used))
    recursive_parts = _in_points({"mean_word": recursive.mean_word, "gap": recursive.gap}, scale)
    lexical, lexical_parts = None, {}
    if model.lexical_head is not None:
        lexical = lexical_terms(model.lexical_head, model.model.prompt_bank, essays)
        lexical_parts = _in_points(lexical.others, scale)
    of_tokens = [[0.0] * len(encoded.input_ids) if lexical is None else lexical.tokens, recursive.tokens]
    words = _words(scorer, essay, encoded, scale.span * np.array(of_tokens))
    recursive_score = sum(word.recursive for word in words) + sum(recursive_parts.values())
    lexical_score = None
    if lexical is not None:
        lexical_score = sum(word.contribution for word in words) + sum(lexical_parts.values())
    parts = _shares(model.config.lexical_share, recursive_score, lexical_score)
    if model.passage_check is not None:
        prompts = essays.prompt_indices
        penalty = model.passage_check.penalty(outputs.unlike_shares, prompts)
        parts["passage_check"] = 0.0 - scale.span * float(model.model.prompt_bank.score_stds[prompts] * penalty)
    unclipped = scale.min_score + scale.span * float(outputs.logits[0, 0])
    parts["scale_ends"] = float(scale.clip(unclipped)) - unclipped
    return ScoreParts(words, lexical_parts, lexical_score, recursive_parts, recursive_score, parts)


def _in_points(parts: dict[str, float], scale: ScoreRange) -> dict[str, float]:
    """Parts of a head's score, from the 0-1 scale to a prompt's; the first one is a score, the others are added to it."""
    in_points = {name: scale.span * value for name, value in parts.items()}
    in_points[next(iter(parts))] += scale.min_score
    return in_points


def _shares(lexical_share: float, recursive_score: float, lexical_score: float | None) -> dict[str, float]:
    """What each head has in the score."""
    if lexical_score is None:
        return {"recursive_head": recursive_score}
    return {"recursive_head": (1 - lexical_share) * recursive_score, "lexical_head": lexical_share * lexical_score}


def _words(
    scorer: "EssayScorer", essay: str, encoded: EncodedEssay, contributions: np.ndarray
) -> list[WordContribution]:
    """The word pieces of an essay that are read, with what they add to each head's score, `(2, tokens)`."""
    of_essay = slice(encoded.token_type_ids.index(1), -1)
    pieces = scorer.tokenizer.convert_ids_to_tokens(encoded.input_ids[of_essay])
    added = contributions[:, of_essay].T.tolist()
    # The last ones may have been cut off.
    spans = word_spans(scorer, essay)[: len(pieces)]
    return [WordContribution(*span, piece, *values) for span, piece, values in zip(spans, pieces, added, strict=True)]


def word_spans(scorer: "EssayScorer", essay: str) -> list[Span]:
    """
    Where an essay's word pieces stand in its text, in order; those that repeat earlier words are left out where the model
    does not read them.

    Raises:
        InputError: if the tokenizer does not tell.
    """
    if not scorer.tokenizer.is_fast:
        raise InputError(f"{scorer.name}: its tokenizer does not tell where in a text its word pieces stand.")
    kept = kept_spans(essay) if scorer.model.config.skip_repetition else [(0, len(essay))]
    read = "".join(essay[start:end] for start, end in kept)
    # Where each character that is read stands in the essay.
    places = [place for start, end in kept for place in range(start, end)]
    options = {"add_special_tokens": False, "truncation": False, "verbose": False}
    offsets = scorer.tokenizer(read, return_offsets_mapping=True, **options)["offset_mapping"]
    return [(places[start], places[end - 1] + 1) for start, end in offsets]
