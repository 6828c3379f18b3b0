"""What moved the score of an essay: its text in parts, each with what it did, as the page shades and lists them."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..model.score_scale import ScoreRange
from ..report.formats import number
from ..scoring.explaining import SentenceEffect

# Least change for each level of shading, in steps of the prompt's scale.
LEVELS = (0.05, 0.15, 0.4)


@dataclass(frozen=True)
class Part:
    """
    A part of an essay's text.

    Args:
        text: as it stands in the essay.
        level: 0 where it moved the score by less than the first of [`LEVELS`], or is space between sentences; 3 at most.
        direction: `up` or `down`, the way in which it moved the score.
        change: what it did in points, with its sign; empty for space between sentences.
    """

    text: str
    level: int = 0
    direction: str = "up"
    change: str = ""


def parts_of(essay: str, sentences: Sequence[SentenceEffect], score_range: ScoreRange) -> list[Part]:
    """All of an essay, in its order: the sentences that were left out in turn, and what stands between them."""
    parts, place = [], 0
    for sentence in sentences:
        parts.append(Part(essay[place : sentence.start]))
        parts.append(_part(sentence, score_range))
        place = sentence.end
    parts.append(Part(essay[place:]))
    return [part for part in parts if part.text]


def legend(score_range: ScoreRange) -> list[tuple[int, str]]:
    """Each level of shading with the least change that has it, in points of the scale."""
    return [(level, number(least * score_range.step, 2)) for level, least in enumerate(LEVELS, start=1)]


def _part(sentence: SentenceEffect, score_range: ScoreRange) -> Part:
    level = sum(abs(sentence.change) >= least * score_range.step for least in LEVELS)
    direction = "down" if sentence.change < 0 else "up"
    return Part(sentence.text, level, direction, number(sentence.change, 2, signed=True))
