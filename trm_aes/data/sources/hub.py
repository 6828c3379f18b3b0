"""Scored essays in a data set on the Hub, whose columns you name."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ...checkpoints import hub_problem
from ...errors import InputError, one_line
from .rows import SourceRows, join_splits

if TYPE_CHECKING:
    from datasets import DatasetDict

# `hub:user/name` or `hub:user/name:config`.
PREFIX = "hub:"


def parse_hub_source(source: str) -> tuple[str, str | None]:
    """
    The name and the configuration (None for the data set's own) that `hub:user/name[:config]` gives. A folder of this
    machine works in place of a name.

    Raises:
        InputError: if it gives no name.
    """
    name, _, config = source.removeprefix(PREFIX).partition(":")
    if not name.strip():
        raise InputError(
            f"`source` {source}: give the name of a data set, as in {PREFIX}user/name or {PREFIX}user/name:config."
        )
    return name, config or None


def read_hub_source(source: str) -> SourceRows:
    """
    The rows of all splits of a data set. Code that comes with a data set is never run.

    Args:
        source: `hub:user/name[:config]`.

    Raises:
        InputError: if it cannot be downloaded or read, or its splits have different columns.
    """
    name, config = parse_hub_source(source)
    splits = load_splits(name, config)
    parts = {str(split): _rows(rows.to_pandas(), f"{name} ({split})") for split, rows in splits.items()}
    if len(parts) == 1:
        [only] = parts.values()
        return only
    return join_splits(parts, name)


def load_splits(name: str, config: str | None = None) -> "DatasetDict":
    """
    The splits of a data set on the Hub, or in a folder of this machine.

    Args:
        name: of the data set.
        config: name of its configuration; its own if not given.

    Raises:
        InputError: if it cannot be downloaded or read.
    """
    problem = None if Path(name).is_dir() else hub_problem(name, repo_type="dataset")
    if problem is not None:
        raise InputError(f"{name} cannot be downloaded: {problem}. If it is gated, run: hf auth login")
    from datasets import load_dataset

    try:
        return load_dataset(name, config)
    except Exception as error:  # datasets, pyarrow, fsspec and the Hub's client each have their own errors
        raise InputError(f"{name} cannot be loaded: {one_line(error)}") from None


def _rows(frame: pd.DataFrame, source: str) -> SourceRows:
    frame = frame.astype(object).where(frame.notna(), None)
    frame.index += 1
    digest = hashlib.sha256(frame.to_json(orient="records").encode("utf-8", "surrogatepass")).hexdigest()
    return SourceRows(frame, source, digest, [str(row) for row in frame.index])
