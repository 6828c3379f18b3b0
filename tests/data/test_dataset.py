import json
import shutil

import datasets
import pandas as pd
import pytest
import torch

from trm_aes.cli import build
from trm_aes.data.dataset import load_essay_dataset
from trm_aes.data.tokenizing import TokenLimits, tokenize_frame
from trm_aes.errors import InputError
from trm_aes.model.essay_tokens import EssayCollator
from trm_aes.model.score_scale import ScoreRange


def test_data_set_and_card(data_dir, essays_csv, tokenizer):
    data = load_essay_dataset(data_dir)
    source = pd.read_csv(essays_csv)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 36, "validation": 12, "test": 12}
    rows = pd.concat(split.to_pandas() for split in data.splits.values())
    assert set(rows["essay_id"]) == set(source["essay_id"])
    for row in rows.to_dict("records"):
        assert list(row["input_ids"]) == tokenizer(row["prompt"], row["essay"])["input_ids"]
        assert row["rater1"] == row["score"]
    assert data.score_ranges["a"].span == 3 and data.score_ranges["b"].min_score == 1
    assert data.card["prompts"]["a"]["num_essays"] == {"train": 18, "validation": 6, "test": 6}
    assert sum(data.card["prompts"]["b"]["scores"].values()) == 30
    assert len(data.card["source_sha256"]) == 64
    assert data.card["token_limits"] == {"max_tokens": 64, "max_prompt_tokens": 8, "drop_longer_than": None}
    assert data.load_tokenizer().model_max_length == 64


def test_what_is_cut_is_counted(essays_csv, tmp_path):
    build.main(
        [
            "--source",
            str(essays_csv),
            "--output-dir",
            str(tmp_path / "d"),
            "--max-tokens",
            "12",
            "--max-prompt-tokens",
            "2",
        ]
    )
    data = load_essay_dataset(tmp_path / "d")
    rows = pd.concat(split.to_pandas() for split in data.splits.values())
    assert rows["input_ids"].map(len).max() == 12
    cards = data.card["prompts"].values()
    assert sum(card["num_prompts_cut"] for card in cards) == (rows["prompt_tokens_cut"] > 0).sum() > 0
    assert sum(card["num_essays_cut"] for card in cards) == (rows["essay_tokens_cut"] > 0).sum() > 0


def test_long_essays_can_be_left_out(essays_csv, tmp_path):
    arguments = ["--source", str(essays_csv), "--max-tokens", "64", "--max-prompt-tokens", "8"]
    build.main([*arguments, "--output-dir", str(tmp_path / "d"), "--drop-longer-than", "20"])
    data = load_essay_dataset(tmp_path / "d")
    kept = sum(len(split) for split in data.splits.values())
    assert 0 < kept < 60 and kept + sum(data.card["num_dropped_as_too_long"].values()) == 60
    assert max(len(ids) for split in data.splits.values() for ids in split["input_ids"]) <= 20
    with pytest.raises(InputError, match="leaves no essay in the train split"):
        build.main([*arguments, "--output-dir", str(tmp_path / "e"), "--drop-longer-than", "3"])
    assert not (tmp_path / "e").exists() and [path.name for path in tmp_path.iterdir()] == ["d"]


def test_lengths_are_printed_and_nothing_saved(essays_csv, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    build.main(["--source", str(essays_csv), "--analyze-lengths", "--max-tokens", "20", "--max-prompt-tokens", "8"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Read 60 rows of {essays_csv}."
    assert lines[2].split() == ["n", "mean", "median", "p90", "p95", "p99", "longest", "over", "20"]
    assert lines[-1].split()[:2] == ["all", "60"]
    # Essays have 5 to 11 telling words and 11 tokens besides.
    assert lines[-1].split()[-1] == f"{sum(5 + n % 7 + 11 > 20 for n in range(60)) / 60:.1%}"
    assert not list(tmp_path.iterdir())


def test_an_existing_output_is_left_alone(essays_csv, tmp_path):
    arguments = ["--source", str(essays_csv), "--output-dir", str(tmp_path / "d"), "--max-tokens", "64",
                 "--max-prompt-tokens", "8"]  # fmt: skip
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "thesis.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(InputError, match="exists.*--overwrite"):
        build.main(arguments)
    assert (tmp_path / "d" / "thesis.txt").read_text(encoding="utf-8") == "precious"
    # Nobody but its owner deletes what we did not write.
    with pytest.raises(InputError, match="is not what `trm-aes build` wrote, so --overwrite leaves it alone"):
        build.main([*arguments, "--overwrite"])
    assert (tmp_path / "d" / "thesis.txt").read_text(encoding="utf-8") == "precious"
    (tmp_path / "d" / "thesis.txt").unlink()
    build.main(arguments)
    build.main([*arguments, "--overwrite"])
    assert (
        json.loads((tmp_path / "d" / "dataset_card.json").read_text(encoding="utf-8"))["options"]["overwrite"] is True
    )


def test_damaged_data_sets_are_refused(data_dir, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_essay_dataset(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no dataset_card.json"):
        load_essay_dataset(tmp_path)
    (tmp_path / "dataset_card.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="is damaged"):
        load_essay_dataset(tmp_path)


def test_an_error_of_a_tokenizer_is_not_taken_for_bad_input(tokenizer, monkeypatch):
    frame, limits = pd.DataFrame({"prompt": ["Write."], "essay": ["An essay."]}), TokenLimits(64, 8)
    assert len(tokenize_frame(frame, tokenizer, limits, "Tokenizing")) == 1
    with pytest.raises(InputError, match="`max_tokens` 8 leaves no room"):
        tokenize_frame(frame, tokenizer, TokenLimits(8, 8), "Tokenizing")

    def fail(*args):
        raise ValueError("a bug")

    monkeypatch.setattr("trm_aes.model.essay_tokens._token_ids", fail)
    with pytest.raises(ValueError, match="a bug") as caught:
        tokenize_frame(frame, tokenizer, limits, "Tokenizing")
    assert not isinstance(caught.value, InputError)


def test_data_sets_of_whole_points_load_without_a_step(data_dir, tmp_path):
    """As version 0.1 wrote them: neither rows nor card know of steps and labels, nor the card of checksums."""
    old = tmp_path / "old"
    card = json.loads((data_dir / "dataset_card.json").read_text(encoding="utf-8"))
    del card["files"]
    splits = {}
    for name in ("train", "validation", "test"):
        splits[name] = datasets.load_from_disk(data_dir)[name].remove_columns(["score_step", "score_labels"])
    for prompt in card["prompts"].values():
        assert (prompt.pop("score_step"), prompt.pop("score_labels")) == (1, "")
    datasets.DatasetDict(splits).save_to_disk(old)
    shutil.copytree(data_dir / "tokenizer", old / "tokenizer")
    (old / "dataset_card.json").write_text(json.dumps(card), encoding="utf-8")
    data, today = load_essay_dataset(old), load_essay_dataset(data_dir)
    assert data.score_ranges == today.score_ranges == {"a": ScoreRange(0, 3), "b": ScoreRange(1, 4)}
    assert "score_step" not in data.splits["train"].column_names
    collate = EssayCollator(data.load_tokenizer())
    for old_batch, batch in zip(
        *(collate(each.splits["test"].to_list()).items() for each in (data, today)), strict=True
    ):
        assert torch.equal(old_batch[1], batch[1]), batch[0]
