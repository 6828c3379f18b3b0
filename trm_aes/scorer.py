"""`trm_aes.scoring.scorer` under the name that it had before, for programs that import it from here."""

from .scoring.scorer import EssayScore, EssayScorer

__all__ = ["EssayScore", "EssayScorer"]
