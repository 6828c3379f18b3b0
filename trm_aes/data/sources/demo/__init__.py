"""A synthetic corpus of scored essays, so that every command can be tried without data of one's own."""

from .corpus import DEMO_CORPUS, load_demo

__all__ = ["DEMO_CORPUS", "load_demo"]
