"""The path of the recursion: what an essay's score would be, had the recursion stopped earlier."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrajectoryPoint:
    """
    Where the score stands at one point of the recursion.

    Args:
        step: the supervision step, from 1.
        cycle: the H cycle in it, from 1.
        score: on the prompt's scale, not rounded, as if the recursion had stopped here.
        confidence: the halting head's probability (0-1) that this score, rounded, is the score a human would give.
    """

    step: int
    cycle: int
    score: float
    confidence: float
