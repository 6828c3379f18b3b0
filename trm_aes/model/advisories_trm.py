# Copyright 2026 The trm-aes authors. Licensed under the Apache License, Version 2.0.
"""
Advisories: what a person should know of an essay before its score is used, by the names that teachers know from other
scorers. An advisory changes no score.

Each follows from rules: one measure of the essay lies beyond a limit, which training has set for the essay's prompt
(`advisory_limits` of the configuration). A model without limits gives no advisories.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from transformers import PreTrainedConfig

from .repetition import without_repetition
from .text_features_trm import FEATURE_NAMES, text_features


class AdvisoryRule(NamedTuple):
    """
    When an advisory is given.

    Args:
        name: of the rule, by which its limit is kept.
        advisory: as it is shown.
        measure: what is held against the limit, one of [`TEXT_MEASURES`] or [`MODEL_MEASURES`].
        direction: 1 where too much is wrong, -1 where too little is.
        least, most: how far from the median training essay of its prompt a limit lies: not so near that what is ordinary
            elsewhere is striking where all training essays are alike, and not so far that a few odd ones among them excuse
            anything.
        sentence: the rule in words.
    """

    name: str
    advisory: str
    measure: str
    direction: int
    least: float
    most: float
    sentence: str


# Between the names in one cell of a table.
SEPARATOR = "; "
# Of the model: shares of the essay that are unlike the prompt's training essays, in the order of `unlike_shares`.
MODEL_MEASURES = ("unlike_topic", "unlike_order")

# In the order in which advisories are listed. Logarithms: a half and twice the words, twice the words of a sentence.
ADVISORY_RULES = (
    AdvisoryRule("too_brief", "Too Brief", "log_words", -1, 0.7, math.inf, "Fewer words than essays on the prompt have."),
    AdvisoryRule("too_long", "Excessive Length", "log_words", 1, 0.7, math.inf, "More words than essays on the prompt have."),
    AdvisoryRule(
        "repeated", "Repetitious", "repeated_share", 1, 0.1, 0.4,
        "A large share of the words repeats, word for word, what stands before: runs of 12 words, or whole sentences.",
    ),
    AdvisoryRule(
        "of_prompt", "Restatement of the Prompt", "prompt_triple_share", 1, 0.2, 0.6,
        "A large share of the word triples stands in the prompt, too.",
    ),
    AdvisoryRule(
        "topic", "Unexpected Topic", "unlike_topic", 1, 0.2, 0.6,
        "A large share of the passages is unlike the prompt's training essays by topic.",
    ),
    AdvisoryRule(
        "problems", "Excessive Number of Problems", "problem_rate", 1, 5.0, 60.0,
        "Many unknown words, words in capitals, small letters at the start of a sentence, and spaces before marks.",
    ),
    AdvisoryRule(
        "order", "Unidentifiable Organization", "unlike_order", 1, 0.2, 0.6,
        "A large share of the passages has its words in no order that the training essays know.",
    ),
    AdvisoryRule(
        "sentences", "Unidentifiable Organization", "mean_log_sentence_words", 1, 0.7, math.inf,
        "The text is not divided into sentences.",
    ),
    AdvisoryRule(
        "function_words", "Non-Essay", "function_word_share", -1, 0.1, 0.3,
        "Hardly any of the words are those that hold English sentences together (the, of, and): random words, a list, or "
        "another language.",
    ),
)  # fmt: skip

# Text features that a rule goes by as they are, and those that are problems, per 100 words.
MEASURED_FEATURES = ("log_words", "prompt_triple_share", "mean_log_sentence_words", "function_word_share")
PROBLEMS = (
    "unknown_word_rate",
    "small_i_rate",
    "all_capitals_rate",
    "capital_inside_rate",
    "space_before_mark_rate",
)
TEXT_MEASURES = (*MEASURED_FEATURES, "problem_rate", "repeated_share")


def text_measures(essay: str, prompt: str, vocabulary: Mapping[str, int]) -> dict[str, float]:
    """
    What the rules go by of an essay's text as it was written, repetitions among it: a finite number for each of
    [`TEXT_MEASURES`]. Arguments are those of [`text_features`].
    """
    return measures_from(essay, without_repetition(essay), text_features(essay, prompt, vocabulary))


def measures_from(essay: str, not_repeated: str, counted: Sequence[float]) -> dict[str, float]:
    """
    As [`text_measures`], where its parts are known: the essay [`without_repetition`], and its [`text_features`] as it was
    written.
    """
    written, kept = (len(text.split()) for text in (essay, not_repeated))
    features = dict(zip(FEATURE_NAMES, counted, strict=True))
    words, sentences = math.expm1(features["log_words"]), math.expm1(features["log_sentences"])
    small_starts = 100 * features["small_sentence_start_share"] * sentences / max(words, 1)
    return {
        **{name: features[name] for name in MEASURED_FEATURES},
        "problem_rate": sum(features[name] for name in PROBLEMS) + small_starts,
        "repeated_share": (written - kept) / max(written, 1),
    }


def advisories_of(
    config: PreTrainedConfig, prompt_id: str, measures: Mapping[str, float], unlike_shares: Sequence[float] | None
) -> tuple[str, ...]:
    """
    The advisories of an essay, each once, in the order of [`ADVISORY_RULES`].

    Args:
        config: of the model; without `advisory_limits`, or limits for the prompt, there are none.
        prompt_id: the prompt that the essay answers.
        measures: what [`text_measures`] gives.
        unlike_shares: of the model's output, by topic and by order; None for a model without a passage check.
    """
    limits = (config.advisory_limits or {}).get(prompt_id, {})
    known = dict(measures)
    if unlike_shares is not None:
        known |= dict(zip(MODEL_MEASURES, map(float, unlike_shares), strict=True))
    given = (
        rule.advisory
        for rule in ADVISORY_RULES
        if rule.name in limits and rule.measure in known and is_beyond(rule, known[rule.measure], limits[rule.name])
    )
    return tuple(dict.fromkeys(given))


def is_beyond(rule: AdvisoryRule, value: float, limit: float) -> bool:
    """Whether a rule's measure lies beyond its limit."""
    return rule.direction * (value - limit) > 0


def shown_advisories(advisories: Sequence[str]) -> str:
    """Advisories as they stand in one cell of a table."""
    return SEPARATOR.join(advisories)


def names_in_cell(cell: str) -> tuple[str, ...]:
    """The advisories that stand in a cell that [`shown_advisories`] wrote."""
    return tuple(cell.split(SEPARATOR)) if cell else ()
