from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from trm_aes.data.schema import EssayTable
from trm_aes.data.splits import limit_train, read_folds, select_prompts_in_splits, split_essays
from trm_aes.errors import InputError


def table(scores, prompt_ids=None, essays=None):
    frame = pd.DataFrame(
        {
            "essay_id": [f"e{number}" for number in range(len(scores))],
            "prompt_id": prompt_ids or ["1"] * len(scores),
            "prompt": "",
            "essay": essays or [f"Essay {number}" for number in range(len(scores))],
            "score": np.array(scores, dtype=float),
            "min_score": 0.0,
            "max_score": 9.0,
        },
        index=range(1, len(scores) + 1),
    )
    return EssayTable(frame, "a test", "")


def ids(frame):
    return set(frame["essay_id"])


def test_splits_are_stratified_complete_and_reproducible():
    prompt_ids = ["a"] * 600 + ["b"] * 400
    essays = table([number % 4 for number in range(1000)], prompt_ids)
    splits = split_essays(essays, 0.2, 0.2, seed=3)
    assert {name: len(frame) for name, frame in splits.frames.items()} == {"train": 600, "validation": 200, "test": 200}
    assert ids(splits.frames["train"]) | ids(splits.frames["validation"]) | ids(splits.frames["test"]) == ids(
        essays.frame
    )
    for frame in (splits.frames["validation"], splits.frames["test"]):
        assert frame.groupby(["prompt_id", "score"]).size().loc["a"].between(29, 31).all()
        assert frame.groupby(["prompt_id", "score"]).size().loc["b"].between(19, 21).all()
    again = split_essays(essays, 0.2, 0.2, seed=3)
    other = split_essays(essays, 0.2, 0.2, seed=4)
    assert ids(splits.frames["test"]) == ids(again.frames["test"]) != ids(other.frames["test"])


def test_the_same_text_is_never_in_two_splits():
    essays = table([0, 1, 2, 3] * 25, essays=[f"The  same text {number % 20}" for number in range(100)])
    essays.frame["essay"] = [e.upper() if n % 2 else e for n, e in enumerate(essays.frame["essay"])]
    splits = split_essays(essays, 0.2, 0.2, seed=0)
    texts = [set(frame["essay"].str.casefold()) for frame in splits.frames.values()]
    assert not texts[0] & texts[1] and not texts[0] & texts[2] and not texts[1] & texts[2]
    assert sum(len(frame) for frame in splits.frames.values()) == 100


def test_a_split_left_empty_is_an_error():
    with pytest.raises(InputError, match="split is empty"):
        split_essays(table([1, 2]), 0.2, 0.2, seed=0)
    with pytest.raises(InputError, match="nothing to train on"):
        split_essays(table([1, 2, 3]), 0.5, 0.5, seed=0)


def test_subsets_are_nested_and_stratified():
    splits = split_essays(table([number % 5 for number in range(500)]), 0.2, 0.2, seed=0)
    parts = [limit_train(splits, size, seed=1) for size in (20, 50, 100, 1000)]
    train = [ids(part.frames["train"]) for part in parts]
    assert [len(part) for part in train] == [20, 50, 100, 300]
    assert train[0] < train[1] < train[2] < train[3]
    assert parts[1].frames["train"]["score"].value_counts().between(9, 11).all()
    assert ids(parts[0].frames["test"]) == ids(splits.frames["test"])
    assert ids(limit_train(splits, 50, seed=2).frames["train"]) != train[1]


def write_fold(folder, train, dev, test):
    (folder / "fold_0").mkdir(parents=True, exist_ok=True)
    for name, names in (("train", train), ("dev", dev), ("test", test)):
        (folder / "fold_0" / f"{name}_ids.txt").write_text("\n".join(names) + "\n", encoding="utf-8")


def test_published_folds(tmp_path):
    essays = table([0, 1, 2, 3, 4, 5], ["a", "b"] * 3, essays=["x", "y", "z", "Y", "v", "w"])
    write_fold(tmp_path, ["e0", "e1"], ["e2", "e3"], ["e4"])
    splits = read_folds(essays, tmp_path, 0)
    assert [sorted(ids(frame)) for frame in splits.frames.values()] == [["e0", "e1"], ["e2", "e3"], ["e4"]]
    # e5 is in no fold; e1 and e3 are one text.
    assert (splits.num_left_out, splits.num_texts_across) == (1, 1)
    only_a = select_prompts_in_splits(splits, ["a"], "a test")
    assert [sorted(ids(frame)) for frame in only_a.frames.values()] == [["e0"], ["e2"], ["e4"]]
    with pytest.raises(InputError, match="the test split is empty"):
        select_prompts_in_splits(splits, ["b"], "a test")


def test_essays_that_were_left_out_are_in_no_fold(tmp_path):
    essays = replace(table([0, 1, 2]), left_out=frozenset({"e8", "e9"}))
    write_fold(tmp_path, ["e0", "e9"], ["e1", "e8"], ["e2"])
    splits = read_folds(essays, tmp_path, 0)
    assert [sorted(ids(frame)) for frame in splits.frames.values()] == [["e0"], ["e1"], ["e2"]]
    assert (splits.num_left_out, splits.num_not_read) == (0, 2)


def test_folds_that_do_not_fit(tmp_path):
    essays = table([0, 1, 2])
    write_fold(tmp_path, ["e0"], ["e1"], ["e77"])
    with pytest.raises(InputError, match="essay_id e77 is not in a test"):
        read_folds(essays, tmp_path, 0)
    write_fold(tmp_path, ["e0"], ["e1"], ["e0"])
    with pytest.raises(InputError, match="essay_id e0 is in train and test"):
        read_folds(essays, tmp_path, 0)
    with pytest.raises(InputError, match="fold_3.*does not exist"):
        read_folds(essays, tmp_path, 3)
