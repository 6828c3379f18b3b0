"""Where the sentences of an essay stand in its text, and the text without one of them."""

import re
from collections.abc import Iterable
from itertools import pairwise

from ..model.text_features_trm import LOST_LINE_BREAK, WORD

# As the text features cut sentences (`Text.read`), but on the text as it stands, so that places in it are known: a mark with
# what closes quotes or parentheses and space behind it, a line break, or what ASAP has in place of one.
SENTENCE_BREAK = re.compile(rf"[.!?…][\"')\]”“’‘]*\s+|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]|{LOST_LINE_BREAK}")
LINE_BREAK = re.compile(rf"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]|{LOST_LINE_BREAK}")

# Of the first character, and behind the last one.
Span = tuple[int, int]


def sentence_spans(text: str) -> list[Span]:
    """
    Where the sentences of a text stand, as many as the text features count. A sentence has at least one word; what holds
    none ("...", "* * *") belongs to the sentence before it. Between sentences there is white space alone.
    """
    bounds = [0, *(found.end() for found in SENTENCE_BREAK.finditer(text)), len(text)]
    starts = [start for start, end in pairwise(bounds) if WORD.search(text, start, end)]
    if not starts:
        return []
    return [_stripped(text, span) for span in pairwise([0, *starts[1:], len(text)])]


def joined(spans: list[Span], most: int) -> list[Span]:
    """At most so many spans: where there are more, neighbors are joined, about as many in each."""
    if len(spans) <= most:
        return spans
    bounds = [place * len(spans) // most for place in range(most + 1)]
    return [(spans[first][0], spans[behind - 1][1]) for first, behind in pairwise(bounds)]


def without(text: str, span: Span) -> str:
    """The text without a span that white space surrounds. Of the space on both sides that which breaks a line stays."""
    start, end = span
    before, after = text[:start].rstrip(), text[end:].lstrip()
    if not (before and after):
        return before or after
    gaps = text[len(before) : start], text[end : len(text) - len(after)]
    gap = next((gap for gap in gaps if LINE_BREAK.search(gap)), gaps[0])
    return before + gap + after


def without_all(text: str, spans: Iterable[Span]) -> str:
    """The text without several spans, none of which overlap; see [`without`]."""
    for span in sorted(spans, reverse=True):
        text = without(text, span)
    return text


def _stripped(text: str, span: Span) -> Span:
    part = text[slice(*span)]
    return span[0] + len(part) - len(part.lstrip()), span[0] + len(part.rstrip())
