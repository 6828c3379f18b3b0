"""The benchmark of explanations measures what it says, goes on where it was interrupted, and mixes no two measurements."""

import csv
import importlib.util
import json

import numpy as np
import pytest
from helpers import ROOT
from made_up_scorer import ESSAY, full_scorer

from trm_aes.cli import build
from trm_aes.cli.runner import run
from trm_aes.scoring.scorer import EssayScorer

# Nine sentences, none twice, of words that differ.
LONG = ESSAY.replace("Some say that they are bad. My", "Ships swim in salty water. My") + (
    " We wrote letters before. Nobody reads them now. Everything was slower then!"
)


def script():
    spec = importlib.util.spec_from_file_location("benchmark_explanations", ROOT / "scripts/benchmark_explanations.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer):
    """A scorer, and a data set whose test essays are long enough, but for one."""
    path = tmp_path_factory.mktemp("faithful")
    full_scorer(tokenizer, max_position_embeddings=160).save_pretrained(path / "model")
    with open(path / "essays.csv", "w", encoding="utf-8", newline="") as file:
        rows = [(f"e{number}", "1", f"{LONG} Number {number} ends.", 2 + number % 11) for number in range(29)]
        csv.writer(file).writerows(
            [("essay_id", "prompt_id", "essay", "score"), *rows, ("e30", "1", "Short. Text.", 2)]
        )
    build.main(["--source", str(path / "essays.csv"), "--output-dir", str(path / "data"), "--score-range", "2:12"])
    return path


def measured(folder, *more, output="figures"):
    words = ["--model", str(folder / "model"), "--data", str(folder / "data"), "--output-dir", str(folder / output)]
    return run(script().main, [*words, "--essays", "3", *more])


def test_figures_are_those_of_the_essays(folder, capsys):
    assert measured(folder, "--second-model", str(folder / "model")) == 0
    assert "left out: beyond random" in capsys.readouterr().out
    essays = [json.loads(line) for line in (folder / "figures" / "essays.jsonl").read_text().splitlines()]
    figures = json.loads((folder / "figures" / "figures.json").read_text())
    assert len(essays) == 3 and "Ships" not in (folder / "figures" / "essays.jsonl").read_text()
    # The most important sentence is the one that moves the score most when it alone is left out.
    largest = [max(map(abs, essay["changes"][0])) for essay in essays]
    assert [essay["sentences"]["left out"][0] for essay in essays] == pytest.approx(largest, abs=1e-5)
    moved, peer = (
        [essay["sentences"][name][2] / essay["score_std"] for essay in essays] for name in ("first", "random")
    )
    point = figures["sentences"]["first"][2]
    assert point["movement"]["value"] == pytest.approx(np.mean(moved))
    assert point["beyond random"]["value"] == pytest.approx(np.mean(moved) - np.mean(peer))
    # The first three sentences, by hand.
    scorer = EssayScorer.from_pretrained(folder / "model", "cpu")
    number = essays[0]["essay_id"].removeprefix("e")
    whole = f"{LONG} Number {number} ends."
    [all_of_it, less] = scorer.score([whole, whole[whole.index("Children") :]], ["1", "1"])
    assert essays[0]["sentences"]["first"][2] == pytest.approx(abs(all_of_it.score - less.score), abs=1e-5)
    assert figures["agreement"]["importance by both models"]["value"] == pytest.approx(1)
    assert figures["gap"]["value"] < 1e-3


def test_an_interrupted_measurement_goes_on(folder):
    assert measured(folder, output="whole") == 0
    path = folder / "whole" / "essays.jsonl"
    whole, figures = path.read_text(), (folder / "whole" / "figures.json").read_text()
    # Cut short in the middle of a line.
    path.write_text(whole[: len(whole) // 2])
    assert measured(folder, output="whole") == 0
    assert path.read_text() == whole and (folder / "whole" / "figures.json").read_text() == figures


def test_there_must_be_essays(folder, capsys):
    assert measured(folder, "--essays", "0", output="none") == 2
    assert "--essays must be at least 1, got 0." in capsys.readouterr().err and not (folder / "none").exists()


def test_what_was_measured_of_something_else_is_not_gone_on_with(folder, capsys):
    assert measured(folder, output="other") == 0
    assert measured(folder, "--seed", "1", output="other") == 2
    assert "holds results of other settings (seed). Choose another --output-dir." in capsys.readouterr().err
