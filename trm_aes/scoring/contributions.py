"""What makes up the score of an essay: the two heads' shares, and word by word what the lexical head, which is linear, adds."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from ..errors import InputError
from ..model.essay_tokens import EncodedEssay
from ..model.essays_trm import EssayBatch
from ..model.heads_trm import TRMLexicalHead, lexical_features
from ..model.layers_trm import word_weights
from ..model.repetition import kept_spans
from .inputs import model_inputs
from .sentences import Span

if TYPE_CHECKING:
    from .scorer import EssayScorer


@dataclass(frozen=True)
class WordContribution:
    """
    What the lexical head makes of one word piece. The head sees how often a word piece stands in the essay, `1 + log(count)`,
    not where: what it makes of that is shared evenly by the places.

    Args:
        start, end: where the word piece stands in the essay as given.
        token: the word piece as the tokenizer writes it ("##ing" is the end of a word).
        contribution: points of the prompt's scale that it adds to the lexical head's score.
    """

    start: int
    end: int
    token: str
    contribution: float


@dataclass(frozen=True)
class ScoreParts:
    """
    What makes up a score, in points of the prompt's scale.

    Args:
        words: the word pieces that the lexical head reads, in the order of the essay; none without such a head.
        lexical_parts: what else makes up that head's score, by name: `prompt_mean` (the mean score of the prompt, as calibrated),
            `constant` (what all essays of the prompt get), `length`, `distinct_words`, and where the model has them
            `text_features` and `encoder_states`.
        lexical_score: that head's score, not clipped: the sum of both; None without such a head.
        score_parts: what makes up the score, by name: `recursive_head` and `lexical_head` (each weighted with its share),
            `passage_check` (what passages unlike the training essays cost, 0 or below), and `scale_ends` (what is lost or
            added where the score would lie off the scale). Their sum is the score.
    """

    words: list[WordContribution]
    lexical_parts: dict[str, float]
    lexical_score: float | None
    score_parts: dict[str, float]


def score_parts(scorer: "EssayScorer", essay: str, encoded: EncodedEssay, prompt_id: str) -> ScoreParts:
    """
    Takes the score of an essay apart, exactly: nothing here is an approximation.

    Args:
        scorer: what scores it.
        essay, encoded: its text, and what [`EssayScorer.encode`] made of it.
        prompt_id: the prompt that it answers.

    Raises:
        InputError: if the tokenizer does not tell where in a text its word pieces stand.
    """
    model, scale = scorer.model, scorer.score_ranges[prompt_id]
    inputs = model_inputs(scorer, encoded, prompt_id)
    with torch.inference_mode():
        outputs = model(**inputs)
        essays = model.model.prepare_essays(**inputs)
    normalized = float(outputs.logits[0, 0])
    unclipped = scale.min_score + scale.span * normalized
    parts = {"scale_ends": float(scale.denormalize(normalized)) - unclipped}
    if model.lexical_head is None:
        return ScoreParts([], {}, None, {"recursive_head": unclipped, **parts})
    bank, place = model.model.prompt_bank, int(essays.prompt_indices)
    mean, unit = (scale.span * float(values[place]) for values in (bank.score_means, bank.score_stds))
    terms = lexical_terms(model.lexical_head, essays)
    words = _words(scorer, essay, encoded, [unit * value for value in terms.words])
    lexical_parts = {"prompt_mean": scale.min_score + mean}
    lexical_parts |= {name: unit * value for name, value in terms.others.items()}
    lexical_score = sum(word.contribution for word in words) + sum(lexical_parts.values())
    parts["lexical_head"] = model.config.lexical_share * lexical_score
    if model.passage_check is not None:
        parts["passage_check"] = 0.0 - unit * float(
            model.passage_check.penalty(outputs.unlike_shares, essays.prompt_indices)
        )
    # What the others leave: without a score of its own among the outputs.
    recursive = unclipped - parts["lexical_head"] - parts.get("passage_check", 0.0)
    return ScoreParts(words, lexical_parts, lexical_score, {"recursive_head": recursive, **parts})


class LexicalTerms(NamedTuple):
    """
    The terms of the sum that the lexical head gives for one essay, in standard deviations of the prompt's scores.

    Args:
        words: of the essay's word pieces, in order.
        others: by name, see [`ScoreParts`].
    """

    words: list[float]
    others: dict[str, float]


@torch.inference_mode()
def lexical_terms(head: TRMLexicalHead, essays: EssayBatch) -> LexicalTerms:
    """The terms of a batch of one essay; their sum is what [`TRMLexicalHead.forward`] gives."""
    ids, prompts = essays.input_ids, essays.prompt_indices
    shares, counts = lexical_features(ids, essays.is_essay, essays.lengths, head.words.num_embeddings)
    *words, separator = (shares * word_weights(head.words, ids, prompts))[essays.is_essay].tolist()
    constant, length, distinct_words = (counts * head.counts(prompts).float())[0].tolist()
    # The separator stands behind every essay.
    others = {"constant": constant + separator, "length": length, "distinct_words": distinct_words}
    if head.features is not None:
        others["text_features"] = float((essays.text_features * head.features(prompts).float()).sum())
    if head.states is not None:
        moments = head.standardize_moments(essays.encoded.moments(), prompts)
        others["encoder_states"] = float((moments * head.states(prompts).float()).sum())
    return LexicalTerms(words, others)


def _words(
    scorer: "EssayScorer", essay: str, encoded: EncodedEssay, contributions: list[float]
) -> list[WordContribution]:
    """The word pieces of an essay that are read, each with what it adds."""
    spans = word_spans(scorer, essay)
    first = encoded.token_type_ids.index(1)
    tokens = scorer.tokenizer.convert_ids_to_tokens(encoded.input_ids[first:-1])
    # The last ones may have been cut off.
    return [WordContribution(*span, *found) for span, *found in zip(spans, tokens, contributions, strict=False)]


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
