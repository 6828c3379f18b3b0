"""Scoring on many machines: Ray Data reads, shares and writes the essays, actors that each hold one scorer score them."""

import importlib
from typing import Any

# Loaded when they are first used: tasks that only read or write rows need no PyTorch.
MODULES = {
    "Workers": "cluster",
    "joined": "cluster",
    "rejected_rows": "dataset",
    "score_dataset": "dataset",
    "score_files": "run",
}
__all__ = list(MODULES)


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{MODULES[name]}", __name__), name)
