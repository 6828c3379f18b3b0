"""`trm-aes explain` writes what `EssayScorer.explain` says, an object an essay, and none of the essays' text."""

import csv
import gzip
import json

import pytest
from made_up_scorer import ESSAY, full_scorer

from trm_aes.cli import explain
from trm_aes.cli.runner import run
from trm_aes.scoring.scorer import EssayScorer

ESSAYS = [("e2", "2", "Ships are large. They swim."), ("e1", "1", ESSAY), ("e0", "1", "One sentence.")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer):
    """A scorer and a table of essays."""
    path = tmp_path_factory.mktemp("explain")
    full_scorer(tokenizer).save_pretrained(path / "model")
    write(path / "essays.csv", ("essay_id", "prompt_id", "essay"), ESSAYS)
    return path


def write(path, columns, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def explained(folder, *more, essays="essays.csv", output="explanations.jsonl"):
    words = ["--model", str(folder / "model"), "--input", str(folder / essays), "--output", str(folder / output)]
    return run(explain.main, [*words, "--device", "cpu", *more])


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_an_object_an_essay_in_their_order(folder, capsys):
    assert explained(folder) == 0
    assert "Explained the scores of 3 essays of" in capsys.readouterr().err
    records = read(folder / "explanations.jsonl")
    assert [record["id"] for record in records] == ["e2", "e1", "e0"]
    scorer = EssayScorer.from_pretrained(folder / "model", "cpu")
    for record, (_, prompt_id, essay) in zip(records, ESSAYS, strict=True):
        found = scorer.explain(essay, prompt_id)
        assert record["prompt_id"] == prompt_id and record["num_sentences"] == found.num_sentences
        assert record["score"] == pytest.approx(found.result.score, abs=1e-5)
        assert record["rounded_score"] == found.result.rounded_score and record["advisories"] == []
        for name in ("start", "end"):
            assert [part[name] for part in record["sentences"]] == [getattr(part, name) for part in found.sentences]
            assert [part[name] for part in record["words"]] == [getattr(part, name) for part in found.words]
        assert [part["change"] for part in record["sentences"]] == pytest.approx(
            [part.change for part in found.sentences], abs=1e-5
        )
        total = sum(part["contribution"] for part in record["words"]) + sum(record["lexical_parts"].values())
        assert total == pytest.approx(record["lexical_score"], abs=1e-4)
        assert record["lexical_score"] == pytest.approx(found.lexical_score, abs=1e-5)
        assert sum(record["score_parts"].values()) == pytest.approx(record["score"], abs=1e-4)
        assert record["note"].startswith("What moved the score. It does not say what is wrong")


def test_nothing_of_the_text_is_written(folder):
    explained(folder, "--overwrite")
    written = (folder / "explanations.jsonl").read_text(encoding="utf-8").lower()
    for word in ("unbelievable", "children", "uncle", "ships", "swim"):
        assert word in str(ESSAYS).lower() and word not in written


def test_essays_without_ids_are_counted(folder):
    write(folder / "plain.csv", ("name", "text"), [("x", ESSAY), ("y", "Two. Sentences.")])
    named = ("--essay-column", "text", "--prompt-id", "1")
    assert explained(folder, *named, essays="plain.csv", output="plain.jsonl.gz") == 0
    with gzip.open(folder / "plain.jsonl.gz", "rt", encoding="utf-8") as file:
        assert [json.loads(line)["id"] for line in file] == [1, 2]
    assert explained(folder, *named, "--essay-id-column", "name", essays="plain.csv", output="named.jsonl") == 0
    assert [record["id"] for record in read(folder / "named.jsonl")] == ["x", "y"]


REFUSED = {
    "an empty essay": ([("a", "1", "Fine. Text."), ("b", "1", " ")], (), "bad.csv, row 2: the essay is empty."),
    "an unknown prompt": ([("a", "7", "Fine.")], (), "Unknown prompt_id '7'"),
    "no such column": (
        [("a", "1", "Fine.")],
        ("--essay-id-column", "key"),
        "no column 'key'; there are essay_id, prompt_id, essay. Name it with --essay-id-column.",
    ),
    "no essays": ([], (), "bad.csv holds no essays that can be scored."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_explained_leaves_nothing_behind(folder, capsys, case):
    rows, options, said = REFUSED[case]
    write(folder / "bad.csv", ("essay_id", "prompt_id", "essay"), rows)
    before = sorted(path.name for path in folder.iterdir())
    assert explained(folder, *options, essays="bad.csv", output="none.jsonl") == 2
    assert said in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == before


def test_an_output_is_not_replaced_unasked(folder, capsys):
    (folder / "kept.jsonl").write_text("mine", encoding="utf-8")
    assert explained(folder, output="kept.jsonl") == 2
    assert "kept.jsonl exists" in capsys.readouterr().err
    assert (folder / "kept.jsonl").read_text(encoding="utf-8") == "mine"
