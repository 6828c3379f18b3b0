"""Which essays train, which choose, which test."""

import hashlib
import re
from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ..checks import check_at_least_one
from ..errors import InputError
from ..naming import listing
from .choices import DEFAULT_SHARE, check_shares
from .schema import EssayTable
from .tables import read_ids

SPLITS = ("train", "validation", "test")
# The published folds call validation "dev".
FOLD_FILES = {"train": "train_ids.txt", "validation": "dev_ids.txt", "test": "test_ids.txt"}
# What people call splits in a column of theirs, in small letters and without hyphens and underscores.
SPLIT_NAMES = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "development": "validation",
    "test": "test", "testing": "test", "heldout": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Splits:
    """
    The essays of a source, dealt to its splits.

    Args:
        frames: `train`, `validation` and `test`, none of them empty; without `test` where there is none.
        num_left_out: essays in no split.
        num_not_read: ids of published folds whose essays the table has left out.
        num_texts_across: texts that are in more than one split; only published folds have any.
        num_copies_dropped: essays that were dropped because a later split (train, validation, test) has the same text;
            only splits of the source's own have any.
    """

    frames: dict[str, pd.DataFrame]
    num_left_out: int = 0
    num_not_read: int = 0
    num_texts_across: int = 0
    num_copies_dropped: int = 0


def split_essays(table: EssayTable, validation_share: float, test_share: float, seed: int) -> Splits:
    """
    Splits essays so that each split has nearly the same mix of prompts and scores, and no text is in two splits.

    Essays are put in order of prompt and score, at random within a score, and every split is drawn from that order at
    even intervals (systematic sampling), which also serves scores with too few essays to stratify by. Copies of a text
    (case and spacing aside) go where the first of them goes. With a `test_share` of 0 there is no test split.

    Raises:
        InputError: if a share is out of range (see [`check_shares`]), or a split would be empty.
    """
    check_shares(validation_share, test_share)
    frame = table.frame
    keys = _text_keys(frame)
    firsts = frame[~keys.duplicated()]
    rng = np.random.default_rng(seed)
    order = firsts.iloc[rng.permutation(len(firsts))].sort_values(["prompt_id", "score"], kind="stable").index
    names = np.full(len(order), "train", dtype=object)
    is_test = _at_even_intervals(len(order), test_share, rng)
    names[is_test] = "test"
    rest = np.flatnonzero(~is_test)
    names[rest[_at_even_intervals(len(rest), validation_share / (1 - test_share), rng)]] = "validation"
    split_of_text = pd.Series(names, index=keys.loc[order].to_numpy())
    split_of_row = keys.map(split_of_text)
    frames = {split: frame[split_of_row == split] for split in SPLITS if split != "test" or test_share > 0}
    _check_not_empty(frames, table.source)
    return Splits(frames)


def read_own_splits(table: EssayTable, validation_share: float | None, seed: int) -> Splits:
    """
    Splits as the source itself has them (`table.split_of`). Where it has no validation essays, they are drawn from the
    training essays; where it has no test essays, there is no test split. A text that stands in two splits stays in the
    later one (train, validation, test): what measures is not trained on.

    Args:
        table: essays with their splits.
        validation_share: of the training essays, where the source has no validation essays; None for a fifth.
        seed: of that draw.

    Raises:
        InputError: if the source calls a split by a name that is not known, has no training essays, or has validation
            essays and a share is given.
    """
    if table.split_of is None:
        raise ValueError("The source has no splits of its own.")
    split_of = pd.Series(
        [_split_called(name, row, table.source) for row, name in table.split_of.items()], index=table.frame.index
    )
    frames = {split: table.frame[split_of == split] for split in SPLITS if (split_of == split).any()}
    if "train" not in frames:
        raise InputError(f"{table.source} has no training essays: none is in the split train.")
    if "validation" in frames and validation_share is not None:
        raise InputError(f"`validation_share` has no effect: {table.source} says which essays validate.")
    frames, num_dropped = _without_copies(frames)
    _check_not_empty(frames, table.source)
    if "validation" not in frames:
        share = DEFAULT_SHARE if validation_share is None else validation_share
        train = split_essays(replace(table, frame=frames["train"], split_of=None), share, 0.0, seed)
        frames = {**train.frames, **{name: frame for name, frame in frames.items() if name == "test"}}
    return Splits(frames, num_copies_dropped=num_dropped)


def _split_called(name: object, row: Hashable, source: str) -> str:
    bare = re.sub(r"[\s_-]+", "", str(name)).casefold()
    if bare not in SPLIT_NAMES:
        raise InputError(
            f"{source}, row {row}: {str(name)[:40]!r} is no name of a split; there are {listing(SPLIT_NAMES, str(name))} To "
            "draw splits instead, give `validation_share` and `test_share`."
        )
    return SPLIT_NAMES[bare]


def _without_copies(frames: dict[str, pd.DataFrame]) -> tuple[dict[str, pd.DataFrame], int]:
    """The splits without the texts that a later one has, too, and how many essays that leaves out."""
    seen: set[bytes] = set()
    kept, num_dropped = {}, 0
    for split in reversed(list(frames)):
        keys = _text_keys(frames[split])
        is_copy = keys.isin(seen)
        kept[split] = frames[split][~is_copy]
        num_dropped += int(is_copy.sum())
        seen |= set(keys)
    return {split: kept[split] for split in frames}, num_dropped


def read_folds(table: EssayTable, folds: str | Path, fold: int) -> Splits:
    """
    Splits by published ids: `FOLDS/fold_K/{train,dev,test}_ids.txt`, one `essay_id` a line. Call it on the whole
    source, and select prompts afterwards: an id that the source lacks is an error, unless as many rows could not be read. Essays
    that the table has left out are in no split.

    Raises:
        InputError: if a file is missing, an id is not in the source, an id is in two splits, or a split is empty.
    """
    known = set(table.frame["essay_id"])
    seen: dict[str, str] = {}
    not_read = set[str]()
    unknown: dict[str, Path] = {}
    frames = {}
    for split, name in FOLD_FILES.items():
        path = Path(folds) / f"fold_{fold}" / name
        if not path.is_file():
            raise InputError(f"{path} does not exist: `folds` is the folder that holds fold_0, fold_1 and so on.")
        ids = read_ids(path)
        for essay_id in ids:
            if essay_id in table.left_out:
                not_read.add(essay_id)
                continue
            if essay_id not in known:
                unknown.setdefault(essay_id, path)
                continue
            if essay_id in seen:
                raise InputError(f"{path}: essay_id {essay_id} is in {seen[essay_id]} and {split}.")
            seen[essay_id] = split
        frames[split] = table.frame[table.frame["essay_id"].isin(ids)]
    if len(unknown) > table.num_unread:
        essay_id, path = next(iter(unknown.items()))
        unread = f" {len(unknown)} such ids are in these folds, and {table.num_unread} rows of it could not be read."
        raise InputError(f"{path}: essay_id {essay_id} is not in {table.source}.{unread if table.num_unread else ''}")
    _check_not_empty(frames, str(Path(folds) / f"fold_{fold}"))
    return Splits(frames, len(table.frame) - len(seen), len(not_read) + len(unknown), _num_texts_across(frames))


def select_prompts_in_splits(splits: Splits, prompt_ids: list[str], source: str) -> Splits:
    """
    The same splits with only the essays of some prompts.

    Raises:
        InputError: if that leaves a split empty.
    """
    frames = {name: frame[frame["prompt_id"].isin(prompt_ids)] for name, frame in splits.frames.items()}
    _check_not_empty(frames, source)
    return replace(splits, frames=frames, num_texts_across=_num_texts_across(frames))


def limit_train(splits: Splits, num_essays: int, seed: int) -> Splits:
    """
    The same splits with only a part of the training essays, for learning curves. Parts are nested (the first 1,000 are
    among the first 2,000), and each has nearly the whole's mix of prompts and scores.

    Raises:
        InputError: if fewer than one essay is asked for.
    """
    check_at_least_one(num_essays, "num_essays")
    train = splits.frames["train"]
    rng = np.random.default_rng(seed)
    shuffled = train.iloc[rng.permutation(len(train))]
    strata = shuffled.groupby(["prompt_id", "score"])["essay_id"]
    # The k-th of a stratum's n essays comes at (k - u) / n of the way, u random: any prefix holds each stratum's share.
    rank = strata.cumcount() + 1 - rng.random(len(shuffled))
    first = (rank / strata.transform("size")).sort_values(kind="stable").index[:num_essays]
    part = train.loc[train.index.isin(first)]
    return replace(splits, frames={**splits.frames, "train": part})


def _at_even_intervals(size: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """A mask of `size` that is true for a `share` of the places, evenly spread from a random start."""
    steps = np.floor(np.arange(size + 1) * share + rng.random())
    return np.diff(steps) > 0


def _text_keys(frame: pd.DataFrame) -> pd.Series:
    """Of each essay what stands for its text, whatever its case and space: a checksum, since there may be many."""
    plain = (" ".join(essay.casefold().split()) for essay in frame["essay"])
    checksums = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in plain]
    return pd.Series(checksums, index=frame.index, dtype=object)


def _num_texts_across(frames: dict[str, pd.DataFrame]) -> int:
    texts = pd.concat([pd.Series(_text_keys(frame).unique()) for frame in frames.values()])
    return int(texts[texts.duplicated()].nunique())


def _check_not_empty(frames: dict[str, pd.DataFrame], source: str):
    for split, frame in frames.items():
        if frame.empty:
            raise InputError(f"{source}: the {split} split is empty. Too few essays, or none of the prompts chosen.")
