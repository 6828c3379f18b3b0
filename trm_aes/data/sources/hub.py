"""Scored essays in a data set on the Hub, whose columns you name."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from huggingface_hub import HfApi

from ...checkpoints import hub_problem
from ...errors import InputError, one_line
from .rows import SourceRows, join_splits

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

# `hub:user/name`, `hub:user/name@revision`, `hub:user/name:config` or `hub:user/name@revision:config`.
PREFIX = "hub:"


def parse_hub_source(source: str) -> tuple[str, str | None, str | None]:
    """
    The name, the revision (None for the main branch) and the configuration (None for the data set's own) that
    `hub:user/name[@revision][:config]` gives. A folder of this machine works in place of a name.

    Raises:
        InputError: if it gives no name, or one of the others is empty.
    """
    name, colon, config = source.removeprefix(PREFIX).partition(":")
    name, at, revision = name.partition("@")
    if not name.strip() or (colon and not config) or (at and not revision):
        raise InputError(
            f"`source` {source}: give the name of a data set, as in {PREFIX}user/name, {PREFIX}user/name@revision or "
            f"{PREFIX}user/name:config."
        )
    return name, revision or None, config or None


def read_hub_source(source: str) -> SourceRows:
    """
    The rows of all splits of a data set. Code that comes with a data set is never run.

    Args:
        source: `hub:user/name[@revision][:config]`. What the rows' source is called names the commit that was read.

    Raises:
        InputError: if it cannot be downloaded or read, or its splits have different columns.
    """
    name, revision, config = parse_hub_source(source)
    splits, commit = load_splits(name, config, revision)
    if commit is not None:
        name = f"{name}@{commit}"
    parts = {str(split): _rows(as_frame(rows), f"{name} ({split})") for split, rows in splits.items()}
    if len(parts) == 1:
        [only] = parts.values()
        return only
    return join_splits(parts, name)


def as_frame(rows: "Dataset") -> pd.DataFrame:
    """The rows of a split; classes by their names, which are what people gave, and not by their numbers."""
    from datasets import ClassLabel

    frame = rows.to_pandas()
    for column, feature in rows.features.items():
        if isinstance(feature, ClassLabel):
            names = dict(enumerate(feature.names))
            # What has no class is empty: no code, or -1.
            frame[column] = frame[column].map(names).astype(object).where(frame[column].isin(names), None)
    return frame


def load_splits(name: str, config: str | None = None, revision: str | None = None) -> tuple["DatasetDict", str | None]:
    """
    The splits of a data set on the Hub, and the commit there that they are of; or those in a folder of this machine, which has
    no commits.

    Args:
        name: of the data set.
        config: name of its configuration; its own if not given.
        revision: commit, branch or tag on the Hub; the main branch if not given.

    Raises:
        InputError: if it cannot be downloaded or read, or a folder is given with a revision.
    """
    commit = None
    if Path(name).is_dir():
        if revision is not None:
            raise InputError(f"`source` {name}@{revision}: {name} is a folder, and only the Hub has revisions.")
    else:
        problem = hub_problem(name, "dataset", revision)
        if problem is not None:
            at = "" if revision is None else f" at {revision}"
            raise InputError(f"{name}{at} cannot be downloaded: {problem}. If it is gated, run: hf auth login")
        # The branch may move on while it is read.
        commit = HfApi().repo_info(name, repo_type="dataset", revision=revision).sha
    from datasets import load_dataset

    try:
        return load_dataset(name, config, revision=commit), commit
    except Exception as error:  # datasets, pyarrow, fsspec and the Hub's client each have their own errors
        raise InputError(f"{name} cannot be loaded: {one_line(error)}") from None


def _rows(frame: pd.DataFrame, source: str) -> SourceRows:
    frame = frame.astype(object).where(frame.notna(), None)
    frame.index += 1
    digest = hashlib.sha256(frame.to_json(orient="records").encode("utf-8", "surrogatepass")).hexdigest()
    return SourceRows(frame, source, digest, [str(row) for row in frame.index])
