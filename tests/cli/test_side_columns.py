"""Ids and the columns that ride along, from a table through every command, byte for byte."""

import csv

import pytest

from trm_aes.cli import build, evaluate, score
from trm_aes.data.dataset import load_essay_dataset
from trm_aes.data.tables import read_rows, write_rows

# As people have them: a spreadsheet, pandas or Arrow would retype each.
IDS = ["00001", "12345678901234567", "2E3", "10a", "1.0", "2024-03-01", "TRUE", "NaN", "=1+1", " x"]
SIDES = ["2E3", "007", "", "1.50", "03/04/24", "NULL", "0x1F", "1,5", "+5", "a\rb"]
FORMATS = ["csv", "tsv", "jsonl", "parquet", "xlsx"]
LEVELS = ["bad", "fair", "good", "excellent"]


def essays(number):
    """Essays of the prompts that the scorer of the tests knows, and their score."""
    for n in range(number):
        prompt, low = ("a", 0) if n % 2 else ("b", 1)
        yield {
            "essay_id": f"{IDS[n % 10]}" + (f"-{n // 10}" if n >= 10 else ""),
            "side": SIDES[n % 10],
            "empty": "",
            "prompt_id": prompt,
            "prompt": f"Write about {prompt}.",
            "essay": f"Essay {n} is {LEVELS[n // 2 % 4]}.",
            "score": str(low + n // 2 % 4),
        }


@pytest.mark.parametrize("first", FORMATS)
def test_scoring_adds_columns_and_changes_none(tmp_path, model_dir, first, capsys):
    rows = [{name: cell for name, cell in row.items() if name != "score"} for row in essays(10)]
    write_rows(rows, tmp_path / f"in.{first}", f"in.{first}")
    for second in [*FORMATS, "csv.gz"] if first == "csv" else [first]:
        output = tmp_path / f"out.{second}"
        score.main(["--model", str(model_dir), "--input", str(tmp_path / f"in.{first}"), "--output", str(output)])
        scored = list(read_rows(output))
        assert [{name: row[name] for name in rows[0]} for row in scored] == rows
        assert all(0 <= float(row["confidence"]) <= 1 for row in scored)
        assert f"Read 10 rows of {tmp_path}/in.{first}. Scored 10 essays" in capsys.readouterr().err


@pytest.mark.parametrize("name", FORMATS)
def test_a_data_set_and_its_predictions_keep_them(tmp_path, model_dir, name, capsys):
    rows = list(essays(40))
    write_rows(rows, tmp_path / f"in.{name}", f"in.{name}")
    words = ["--source", str(tmp_path / f"in.{name}"), "--output-dir", str(tmp_path / "data")]
    build.main([*words, "--max-tokens", "64", "--max-prompt-tokens", "8"])
    assert f"Read 40 rows of {tmp_path}/in.{name}." in capsys.readouterr().out
    data = load_essay_dataset(tmp_path / "data")
    kept = {essay["essay_id"]: essay for split in data.splits.values() for essay in split.to_list()}
    assert kept.keys() == {row["essay_id"] for row in rows}
    for row in rows:
        assert {column: kept[row["essay_id"]][column] for column in ("side", "empty")} == {
            "side": row["side"],
            "empty": "",
        }
    if name == "csv":
        evaluate.main(
            ["--model", str(model_dir), "--data", str(tmp_path / "data"), "--output-dir", str(tmp_path / "evaluation")]
        )
        with open(tmp_path / "evaluation" / "predictions.csv", encoding="utf-8", newline="") as file:
            predictions = list(csv.DictReader(file))
        assert len(predictions) == len(data.splits["test"])
        sides = {row["essay_id"]: row["side"] for row in rows}
        assert all(prediction["side"] == sides[prediction["essay_id"]] for prediction in predictions)
        assert list(predictions[0])[:5] == ["essay_id", "prompt_id", "score", "side", "empty"]


def test_values_of_json_keep_their_types_in_a_data_set(tmp_path):
    """Types that no one column can hold become the text that a CSV file would have."""
    sides = [{"whole": n, "half": n + 0.5, "list": [n], "mixed": [n, str(n), None, [n]][n % 4]} for n in range(40)]
    rows = [{**row, **side} for row, side in zip(essays(40), sides, strict=True)]
    write_rows(rows, tmp_path / "in.jsonl", "in.jsonl")
    build.main(
        ["--source", str(tmp_path / "in.jsonl"), "--output-dir", str(tmp_path / "data")]
        + ["--max-tokens", "64", "--max-prompt-tokens", "8"]
    )
    kept = {
        essay["essay_id"]: essay
        for split in load_essay_dataset(tmp_path / "data").splits.values()
        for essay in split.to_list()
    }
    for row in rows:
        essay = kept[row["essay_id"]]
        assert (essay["whole"], essay["half"], essay["list"]) == (row["whole"], row["half"], row["list"])
        mixed = row["mixed"]
        assert essay["mixed"] == (None if mixed is None else str(mixed))
