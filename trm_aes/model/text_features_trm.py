# Copyright 2026 The trm-aes authors. Licensed under the Apache License, Version 2.0.
"""
What is countable in an essay as it was written: case, punctuation, paragraphs, sentences, repetition, and so on, which an
uncased tokenizer hides from the model. [`text_features`] gives the counts raw, in the order of [`FEATURE_NAMES`].

Each group of features is one function below. Units: `log_...` is the natural logarithm of 1 + a count, `..._share` lies
between 0 and 1, and `..._rate` is a count per 100 words. Where there is nothing to count, a feature is 0. The time that
this takes grows with the length of the text, never with its square.

Which features there are was chosen on ASAP's validation essays (docs/lab/experiments.md).
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import chain
from operator import mul
from typing import NamedTuple

# Letters and digits, with apostrophes inside. An at sign starts a name that ASAP has anonymized, such as @PERSON1.
WORD = re.compile(r"@?\w+(?:'\w+)*")
# A mark, whatever closes quotes or parentheses, and space. One mark is enough, the last of several: a repeat here would
# take quadratic time on "......".
SENTENCE_END = re.compile(r"[.!?][\"')\]]*\s+")
# ASAP's essays have no line breaks; where there were some, there often are three spaces or more.
LOST_LINE_BREAK = "   "
# Word processors' characters, as typewriters have them.
TYPEWRITTEN = {"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "..."}
# Ranks from here on are rare. In BERT's vocabulary about 3,000 whole words are more frequent.
RARE_RANK = 5000
# In words: a sentence is short up to the one, and long above the other.
SHORT_SENTENCE, LONG_SENTENCE = 6, 30
# More than these are lines of a text whose lines were broken by hand.
MOST_PARAGRAPHS = 12

FUNCTION_WORDS = {
    "the": "the",
    "a": "a an",
    "and": "and",
    "in": "in on at by from into with for about",
    "it": "it its",
    "first_person": "i me my mine myself we us our",
    "not": "not no never don't doesn't didn't can't won't",
    "connective": "however first second finally also example another then next overall conclusion instance moreover "
    "furthermore addition",
    "vague": "very really just like stuff things thing lot good bad get got",
    "other": "of to you your yours he she him her his they them their is are was were be been am being have has had would "
    "could should can may might must will because since so therefore thus hence if when while unless whether that which "
    "who whom whose where this these those but yet although though",
}
CLASS_OF_WORD = {word: name for name, words in FUNCTION_WORDS.items() for word in words.split()}


class Text(NamedTuple):
    """
    An essay taken apart, once for all groups of features.

    Args:
        written: the text with typewriter quotes, and with the line breaks that ASAP has lost.
        paragraphs: its lines, but for blank ones.
        sentences: the words of each sentence as written; a sentence has at least one.
        words: the same, in one list.
        lowered: the words in lower case.
        counts: how often each word in lower case stands in the text.
        spelled: the same without anonymized names, whose letters are not the writer's.
        triples: every three words in a row, in lower case.
    """

    written: str
    paragraphs: list[str]
    sentences: list[list[str]]
    words: list[str]
    lowered: list[str]
    counts: Counter[str]
    spelled: dict[str, int]
    triples: set[tuple[str, str, str]]

    @classmethod
    def read(cls, text: str) -> "Text":
        """Splits a text. An abbreviation ends a sentence here: only a dictionary could tell it apart."""
        for character, replacement in TYPEWRITTEN.items():
            text = text.replace(character, replacement)
        text = text.replace(LOST_LINE_BREAK, "\n")
        paragraphs = [line for line in text.splitlines() if line and not line.isspace()]
        parts = chain.from_iterable(map(SENTENCE_END.split, paragraphs))
        sentences = [words for part in parts if (words := WORD.findall(part))]
        words = [word for sentence in sentences for word in sentence]
        # One call for all words takes half the time of one call for each.
        lowered = " ".join(words).lower().split()
        counts = Counter(lowered)
        spelled = {word: count for word, count in counts.items() if word[0] != "@"}
        triples = set(zip(lowered, lowered[1:], lowered[2:], strict=False))
        return cls(text, paragraphs, sentences, words, lowered, counts, spelled, triples)

    def share(self, count: float) -> float:
        """A count as a share of all words; the count itself where there are no words."""
        return count / max(len(self.words), 1)

    def rate(self, count: float) -> float:
        """A count of anything per 100 words."""
        return 100 * self.share(count)


def text_features(essay: str, prompt: str, vocabulary: Mapping[str, int]) -> list[float]:
    """
    Counts what is countable in an essay.

    Args:
        essay: its text, as written.
        prompt: the text of the prompt that it answers; may be empty. What is needed of it is worked out once a text.
        vocabulary: word in lower case -> rank, such as the `get_vocab()` of an uncased tokenizer whose ids are roughly in
            the order of frequency, as BERT's are. Words that it lacks count as unknown.

    Returns:
        A finite number for each of [`FEATURE_NAMES`], not standardized.
    """
    return list(_named_features(essay, prompt, vocabulary).values())


def _named_features(essay: str, prompt: str, vocabulary: Mapping[str, int]) -> dict[str, float]:
    text = Text.read(essay)
    return {
        **_lengths(text),
        **_sentences(text),
        **_word_lengths(text),
        **_variety(text),
        **_case(text),
        **_punctuation(text),
        **_spacing(text),
        **_rarity(text, vocabulary),
        **_repetition(text),
        **_prompt_overlap(text, _read_prompt(prompt)),
        **_endings(text),
        **_function_words(text),
    }


def _lengths(text: Text) -> dict[str, float]:
    """How long the text is, in several units; the longest paragraph in characters, as a share of the text."""
    return {
        "log_characters": math.log1p(len(text.written)),
        "log_words": math.log1p(len(text.words)),
        "log_distinct_words": math.log1p(len(text.counts)),
        "log_sentences": math.log1p(len(text.sentences)),
        "paragraphs": float(min(len(text.paragraphs), MOST_PARAGRAPHS)),
        "longest_paragraph_share": max(map(len, text.paragraphs), default=0) / max(len(text.written), 1),
    }


def _sentences(text: Text) -> dict[str, float]:
    """How many words a sentence has: the mean and the largest logarithm, the shares of short and of long sentences."""
    lengths = [len(sentence) for sentence in text.sentences]
    return {
        "mean_log_sentence_words": _mean(map(math.log1p, lengths), len(lengths)),
        "log_longest_sentence_words": math.log1p(max(lengths, default=0)),
        "short_sentence_share": _mean((length <= SHORT_SENTENCE for length in lengths), len(lengths)),
        "long_sentence_share": _mean((length > LONG_SENTENCE for length in lengths), len(lengths)),
    }


def _word_lengths(text: Text) -> dict[str, float]:
    """Letters of a word on average, words of five letters or more, and how many distinct longer ones there are."""
    lengths = list(map(len, text.spelled))
    total = sum(text.spelled.values())
    return {
        "mean_word_letters": _mean(map(mul, lengths, text.spelled.values()), total),
        "words_from_5_letters_share": _mean((count for word, count in text.spelled.items() if len(word) >= 5), total),
        "log_distinct_words_from_7_letters": math.log1p(sum(length >= 7 for length in lengths)),
        "log_distinct_words_from_9_letters": math.log1p(sum(length >= 9 for length in lengths)),
    }


def _variety(text: Text) -> dict[str, float]:
    """Guiraud's index (distinct words divided by the root of all words), and distinct words that stand in the text once."""
    once = sum(count == 1 for count in text.counts.values())
    return {
        "guiraud_index": len(text.counts) / math.sqrt(max(len(text.words), 1)),
        "words_used_once_share": once / max(len(text.counts), 1),
    }


def _case(text: Text) -> dict[str, float]:
    """Sentences that start with a small letter, and capitals where they belong and where not, per 100 words."""
    cased = [word for word, lower in zip(text.words, text.lowered, strict=True) if word != lower and word[0] != "@"]
    return {
        "small_sentence_start_share": _mean((s[0][0].islower() for s in text.sentences), len(text.sentences)),
        "small_i_rate": text.rate(text.words.count("i")),
        "capitalized_rate": text.rate(sum(word[0].isupper() for word in cased)),
        "all_capitals_rate": text.rate(sum(len(word) > 1 and word.isupper() for word in cased)),
        "capital_inside_rate": text.rate(sum(word[1:] != word[1:].lower() and not word.isupper() for word in cased)),
    }


def _punctuation(text: Text) -> dict[str, float]:
    """Marks by kind per 100 words, logarithms where what matters is whether there are any."""
    count = text.written.count
    return {
        "comma_rate": text.rate(count(",")),
        "log_commas": math.log1p(count(",")),
        "semicolon_and_colon_rate": text.rate(count(";") + count(":")),
        "question_mark_rate": text.rate(count("?")),
        "exclamation_mark_rate": text.rate(count("!")),
        "log_quotation_marks": math.log1p(count('"')),
        "apostrophe_rate": text.rate(count("'")),
        "dash_rate": text.rate(count("-")),
        "parenthesis_rate": text.rate(count("(")),
        "ellipsis_rate": text.rate(count("...")),
        "digit_rate": text.rate(sum(map(count, "0123456789"))),
    }


def _spacing(text: Text) -> dict[str, float]:
    """Space before a mark, and wide space anywhere and after a sentence, per 100 words."""
    count = text.written.count
    return {
        "space_before_mark_rate": text.rate(sum(map(count, (" .", " ,", " !", " ?", " ;")))),
        "wide_space_rate": text.rate(count("  ")),
        "wide_space_after_sentence_rate": text.rate(sum(map(count, (".  ", "!  ", "?  ")))),
    }


def _rarity(text: Text, vocabulary: Mapping[str, int]) -> dict[str, float]:
    """
    Words that the vocabulary lacks (most are misspelled): per 100 words, and per 100 distinct ones. Of those that it has:
    the mean logarithm of the rank, its nine-tenths quantile, and how many distinct ones are rare. Of a contraction the
    part before the apostrophe is looked up.
    """
    unknown = unknown_distinct = rare_distinct = 0
    ranks: list[int] = []
    sum_of_logs = 0.0
    for word, count in text.spelled.items():
        rank = vocabulary.get(word)
        if rank is None and "'" in word:
            rank = vocabulary.get(word.partition("'")[0])
        if rank is None:
            unknown += count
            unknown_distinct += 1
            continue
        ranks += [rank] * count
        sum_of_logs += count * math.log1p(rank)
        rare_distinct += rank >= RARE_RANK
    ranks.sort()
    return {
        "unknown_word_rate": text.rate(unknown),
        "unknown_distinct_word_rate": 100 * unknown_distinct / max(len(text.spelled), 1),
        "mean_log_rank": sum_of_logs / max(len(ranks), 1),
        "high_rank": float(ranks[9 * (len(ranks) - 1) // 10]) if ranks else 0.0,
        "log_distinct_rare_words": math.log1p(rare_distinct),
    }


def _repetition(text: Text) -> dict[str, float]:
    """
    Shares of word triples and of sentences that have stood in the text before: about one half or more of a text that
    stands twice. The size of the compressed text would say much the same, but it differs between builds of zlib.
    """
    distinct_sentences = {" ".join(sentence).lower() for sentence in text.sentences}
    return {
        "repeated_triple_share": _repeated(len(text.triples), len(text.words) - 2),
        "repeated_sentence_share": _repeated(len(distinct_sentences), len(text.sentences)),
    }


class PromptWords(NamedTuple):
    """What essays are compared with: a prompt's content words and its word triples, in lower case."""

    content: frozenset[str]
    triples: frozenset[tuple[str, str, str]]


@lru_cache(maxsize=128)
def _read_prompt(prompt: str) -> PromptWords:
    text = Text.read(prompt)
    return PromptWords(frozenset(_content_words(text)), frozenset(text.triples))


def _prompt_overlap(text: Text, prompt: PromptWords) -> dict[str, float]:
    """Content words that the prompt has as well, as shares of all words and of distinct ones; triples copied from it."""
    content = _content_words(text)
    shared = content & prompt.content
    return {
        "prompt_word_share": text.share(sum(text.counts[word] for word in shared)),
        "distinct_prompt_word_share": len(shared) / max(len(content), 1),
        "prompt_triple_share": len(text.triples & prompt.triples) / max(len(text.triples), 1),
    }


def _endings(text: Text) -> dict[str, float]:
    """Words that end as most adverbs and most past tenses do, per 100 words."""
    return {"ly_ending_rate": text.rate(_ending_in(text, "ly")), "ed_ending_rate": text.rate(_ending_in(text, "ed"))}


def _function_words(text: Text) -> dict[str, float]:
    """Function words by class, per 100 words, and the share of all."""
    of_class = dict.fromkeys(FUNCTION_WORDS, 0)
    for word in text.counts.keys() & CLASS_OF_WORD.keys():
        of_class[CLASS_OF_WORD[word]] += text.counts[word]
    named = {f"{name}_word_rate": text.rate(count) for name, count in of_class.items() if name != "other"}
    return {**named, "function_word_share": text.share(sum(of_class.values()))}


def _content_words(text: Text) -> set[str]:
    """Distinct words of four letters or more that are not function words."""
    return {word for word in text.spelled if len(word) >= 4 and word not in CLASS_OF_WORD}


def _ending_in(text: Text, ending: str) -> int:
    return sum(count for word, count in text.spelled.items() if word.endswith(ending))


def _repeated(distinct: int, total: int) -> float:
    return 1 - distinct / total if total > 0 else 0.0


def _mean(values: Iterable[float], number: int) -> float:
    return sum(values) / max(number, 1)


FEATURE_NAMES: tuple[str, ...] = tuple(_named_features("", "", {}))
