"""Scoring on many machines: Ray Data reads, shares and writes the essays, actors that each hold one scorer score them."""

from .cluster import Workers, joined
from .dataset import score_dataset
from .run import score_files

__all__ = ["Workers", "joined", "score_dataset", "score_files"]
