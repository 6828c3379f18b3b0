# Copyright 2026 The trm-aes authors. Licensed under the Apache License, Version 2.0.
"""What an essay says a second time, word for word, is read once."""

import re
from collections.abc import Iterable
from itertools import pairwise

# So many words in a row are no coincidence: a fiftieth of ASAP's essays have such a run twice, titles and quotations mostly.
RUN = 12
# A sentence of fewer words ("I think so.") may be said twice.
SHORTEST_SENTENCE = 4
WORD = re.compile(r"\S+")
SENTENCE_END = re.compile(r"[.!?][\"')\]]*$")
MARKS = ".,;:!?\"'()[]"


def without_repetition(text: str) -> str:
    """
    The text without the words that repeat what stands before them: those in a run of [`RUN`] words, and those of a whole
    sentence. Upper and lower case, and the punctuation around words, make no difference. A text that repeats nothing comes back
    as it is.

    The time that this takes grows with the length of the text, never with its square.
    """
    return "".join(text[start:end] for start, end in kept_spans(text))


def kept_spans(text: str) -> list[tuple[int, int]]:
    """
    Where that which [`without_repetition`] keeps stands in the text: places of first characters and behind last ones, in
    order.
    """
    words = text.split()
    bare = [word.strip(MARKS) for word in text.casefold().split()]
    repeated = _repeated_runs(bare) | _repeated_sentences(words, bare)
    if not repeated:
        return [(0, len(text))]
    # Space goes with the word behind it.
    bounds = pairwise([0, *(word.end() for word in WORD.finditer(text))])
    return [span for place, span in enumerate(bounds) if place not in repeated]


def _repeated_runs(bare: list[str]) -> set[int]:
    """Places of words in runs that stood before."""
    runs = list(zip(*(bare[start:] for start in range(RUN)), strict=False))
    # Almost always there are none, and this says so at once.
    if len(set(runs)) == len(runs):
        return set()
    return {place for start in _repeats(runs) for place in range(start, start + RUN)}


def _repeated_sentences(words: list[str], bare: list[str]) -> set[int]:
    """Places of words in sentences that stood before."""
    ends = [place + 1 for place, word in enumerate(words) if SENTENCE_END.search(word)]
    bounds = list(pairwise([0, *ends, len(words)]))
    bounds = [(start, end) for start, end in bounds if end - start >= SHORTEST_SENTENCE]
    repeats = _repeats([tuple(bare[start:end]) for start, end in bounds])
    return {place for repeat in repeats for place in range(*bounds[repeat])}


def _repeats(items: Iterable[tuple[str, ...]]) -> list[int]:
    """Places of items that stood before."""
    seen: set[tuple[str, ...]] = set()
    places = []
    for place, item in enumerate(items):
        if item in seen:
            places.append(place)
        seen.add(item)
    return places
