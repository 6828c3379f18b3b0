"""The benchmarks of speed and growth run and report what they measured; how fast things are is no test's business."""

import importlib.util
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from benchmarks.processes import ProcessCost, Sample
from benchmarks.speed import build_system, essay_lengths, ratios
from benchmarks.words import draw_words
from helpers import ROOT

from trm_aes.errors import InputError
from trm_aes.scoring.scorer import EssayScorer


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_speed(tmp_path, capsys, monkeypatch):
    # Memory is measured in a process of its own, which finds the package as it does under a script started by a user.
    monkeypatch.syspath_prepend(ROOT / "scripts")
    peer = "all-MiniLM-L6-v2"
    output = tmp_path / "speed.json"
    short = ["--device", "cpu", "--essays", "3", "--rounds", "2", "--min-seconds", "0", "--latency-calls", "2"]
    short += ["--train-batch-size", "2"]
    arguments = ["--system", "tiny", peer, "--base", peer, "--dtype", "float32", *short]
    script("benchmark_speed").main([*arguments, "--output", str(output)])
    # Many CPUs only emulate bfloat16: one narrow system is enough.
    alone = ["--system", "tiny", "--base", "tiny", "--dtype", "bfloat16", *short, "--train-steps", "0"]
    script("benchmark_speed").main([*alone, "--output", str(tmp_path / "bfloat16.json")])
    [measured] = json.loads((tmp_path / "bfloat16.json").read_text(encoding="utf-8"))["dtypes"]["bfloat16"][
        "systems"
    ].values()
    assert len(measured["score_rates"]) == 2 and measured["train_rates"] == []
    record = json.loads(output.read_text(encoding="utf-8"))
    for measured_type in record["dtypes"].values():
        systems = measured_type["systems"]
        assert measured_type["matmul_gflops"] > 0
        for values in systems.values():
            assert len(values["score_rates"]) == len(values["train_rates"]) == 2 and len(values["latencies"]) == 4
            assert min(values["score_rates"] + values["train_rates"] + values["latencies"]) > 0
            # A process with PyTorch and a model in it.
            assert 200 < values["peak_mib"] < 5000
        # Six layers over 276 tokens: 4 d^2 + 2 d f weights and 2 n d for attention, twice each, and the head.
        products = 6 * 276 * 2 * (4 * 384**2 + 2 * 384 * 1536 + 2 * 276 * 384) / 1e9
        assert systems[peer]["gflop"] == pytest.approx(products, rel=0.01)
        assert 0.1 < systems["tiny"]["gflop"] < 1
        assert systems["tiny"]["mean_tokens"] == pytest.approx(essay_lengths(3).mean())
    printed = capsys.readouterr().out
    assert f"times {peer}" in printed and "1.0 (1.0 to 1.0)" in printed
    with pytest.raises(InputError, match="--overwrite"):
        script("benchmark_speed").main([*arguments, "--output", str(output)])
    with pytest.raises(InputError, match="--system GPT"):
        script("benchmark_speed").main(["--system", "GPT", "--output", str(tmp_path / "no.json")])


def test_the_mix_of_lengths_and_the_peers_are_those_they_are_called():
    for number in (32, 1000):
        lengths = essay_lengths(number)
        assert lengths.mean() == pytest.approx(276, rel=0.03) and lengths.max() <= 960 and lengths.min() >= 20
    assert ratios([10, 30, 20], [5, 10, 5]) == (3, 2, 4)
    # As published.
    reads = build_system("default")
    assert reads.config.encoder.num_hidden_layers == 4 and not reads.model.encoder.is_trained
    assert reads.num_parameters() / 1e6 == pytest.approx(20.8, rel=0.01)
    assert build_system("fast").config.text_features
    assert build_system("DistilBERT").num_parameters() / 1e6 == pytest.approx(67, rel=0.01)
    assert build_system("all-MiniLM-L6-v2").num_parameters() / 1e6 == pytest.approx(22.7, rel=0.01)


def test_growth(model_dir, tmp_path, capsys):
    output = tmp_path / "growth.json"
    often = ["--every", "0.05", "--work-dir", str(tmp_path / "work")]
    script("benchmark_growth").main(
        ["--model", str(model_dir), "--essays", "40", "80", *often, "--output", str(output)]
    )
    measured = json.loads(output.read_text(encoding="utf-8"))["measured"]
    assert [row["essays"] for row in measured] == [40, 80]
    assert all(row["seconds"] > 0 and 200 < row["peak_mib"] < 5000 for row in measured)
    assert "1,000,000 essays would take" in capsys.readouterr().out
    samples = measured[1]["samples"]
    assert len(samples) > 10 and max(sample["resident_mib"] for sample in samples) <= measured[1]["peak_mib"] + 1
    assert pq.read_table(tmp_path / "work" / "80.scores.parquet").num_rows == 80


def test_the_time_of_a_run_that_went_on_is_not_taken_for_that_of_all_its_essays(
    model_dir, tmp_path, monkeypatch, capsys
):
    growth, measured = (
        script("benchmark_growth"),
        iter(
            [(0, ProcessCost(2, 2, 300, [Sample(1, 300, 0)])), (1024, ProcessCost(1, 1, 300, [Sample(1, 300, 1024)]))]
        ),
    )
    monkeypatch.setattr(growth, "score", lambda *args: next(measured))
    output = tmp_path / "growth.json"
    growth.main(["--model", str(model_dir), "--essays", "40", "80", "--output", str(output)])
    assert [row["scored_before"] for row in json.loads(output.read_text(encoding="utf-8"))["measured"]] == [0, 1024]
    # One whole run tells no slope.
    assert "would take" not in capsys.readouterr().out


def test_growth_with_essays_of_another_length(model_dir, tmp_path):
    growth = ["--model", str(model_dir), "--essays", "40", "--work-dir", str(tmp_path), "--output", str(tmp_path / "o")]
    with pytest.raises(InputError, match="--mean-words must be at least 1"):
        script("benchmark_growth").main([*growth, "--mean-words", "0"])
    script("benchmark_growth").main([*growth, "--mean-words", "7"])
    lengths = [len(essay.split()) for essay in pq.read_table(tmp_path / "40_of_7_words.parquet")["essay"].to_pylist()]
    assert 4 < sum(lengths) / 40 < 10 and min(lengths) >= 1


def test_the_course_of_a_run_is_told_in_stretches_of_as_many_essays():
    samples = [Sample(second, 100.0 + second, done) for second, done in enumerate([0, 0, 0, 2, 4, 6, 8, 10, 10, 0])]
    course = script("benchmark_growth").course(samples)
    assert list(course.index) == ["checked", "4", "6", "8", "10", "written"]
    assert list(course["seconds"]) == [3, 4, 5, 6, 7, 9] and list(course["essays/s"][1:-1]) == [2, 2, 2, 2]
    assert list(course["resident MiB"]) == [103, 104, 105, 106, 107, 109]


def test_growth_of_training(tmp_path):
    output = tmp_path / "growth.json"
    sizes = ["--essays", "60", "--prompts", "2", "200"]
    options = "--recipe tiny --max-steps 1 --hidden-size 32 --num-attention-heads 2 --intermediate-size 48"
    script("benchmark_training_growth").main([*sizes, "--train-options", options, "--output", str(output)])
    [row] = json.loads(output.read_text(encoding="utf-8"))["measured"]
    # 200 prompts have not an essay each.
    assert (row["prompts"], row["essays"]) == (2, 60) and 100 < row["build MiB"] < row["train MiB"] < 5000
    assert 0 < row["of which steps"] <= row["train seconds"]


def test_cold_start(model_dir, tmp_path, capsys):
    """The scores of both ways agree, or there is no report."""
    output = tmp_path / "start.json"
    script("benchmark_start").main(["--model", str(model_dir), "--rounds", "1", "--output", str(output)])
    record = json.loads(output.read_text(encoding="utf-8"))
    assert {name: len(of) for name, of in record["measured"].items()} == dict.fromkeys(
        ["import torch", "trm-aes --help", "AutoModel", "trm-aes score"], 1
    )
    seconds, module = record["imports"]["trm-aes score"]["torch"]
    assert seconds > 0.1 and module.startswith("torch") and "sklearn" not in record["imports"]["trm-aes score"]
    assert "trm-aes score takes" in capsys.readouterr().out


def test_code_against_that_of_a_checkout(tmp_path, capsys):
    output = tmp_path / "code.json"
    short = ["--essays", "3", "--rounds", "2", "--latency-calls", "2", "--output", str(output)]
    script("benchmark_code").main(["--against", str(ROOT), *short])
    record = json.loads(output.read_text(encoding="utf-8"))
    assert all(len(found["rates"]) == 2 and len(found["latencies"]) == 4 for found in record["measured"].values())
    # The same code on the same weights; without the prompt's text, which it does not read.
    assert record["difference"] < 1e-6 and "times other" in capsys.readouterr().out
    with pytest.raises(InputError, match="--against .* is no checkout"):
        script("benchmark_code").main(["--against", str(tmp_path), *short, "--overwrite"])


def test_end_to_end(model_dir, tmp_path, capsys):
    prompt_id = next(iter(EssayScorer.from_pretrained(model_dir).score_ranges))
    essays = pd.DataFrame({"essay": ["Ships are large.", "They swim, they say."], "prompt_id": prompt_id})
    essays.to_parquet(tmp_path / "essays.parquet")
    output = tmp_path / "end.json"
    arguments = ["--model", str(model_dir), "--input", str(tmp_path / "essays.parquet"), "--rounds", "2"]
    script("benchmark_end_to_end").main([*arguments, "--output", str(output)])
    rates = json.loads(output.read_text(encoding="utf-8"))["rates"]
    # Whatever else there is to do takes time.
    assert all(whole < alone for whole, alone in zip(rates["end to end"], rates["model"], strict=True))
    assert "of the model's own rate" in capsys.readouterr().out


def test_words_are_repeated_as_in_essays():
    torch.manual_seed(0)
    assert len(draw_words(8192).unique()) == pytest.approx(1600, rel=0.1)
    assert np.mean([len(draw_words(276).unique()) for _ in range(20)]) == pytest.approx(138, rel=0.1)
