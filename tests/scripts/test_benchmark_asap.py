"""The benchmark, end to end on a small release of made-up essays, and its figures by hand."""

import importlib.util
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from benchmarks.cost import forward_gflop
from benchmarks.depth import depth_table
from benchmarks.peers import surface_features
from benchmarks.protocol import fisher_mean
from benchmarks.references import label_noise_ceiling
from benchmarks.report import markdown_table, results_table
from benchmarks.systems import parse_system
from helpers import ROOT, small_model
from transformers import BertConfig, BertModel, Trainer
from transformers.trainer_callback import DefaultFlowCallback

from trm_aes.checkpoints import find_checkpoint, load_tokenizer
from trm_aes.cli.runner import run as run_program
from trm_aes.data.dataset import load_essay_dataset
from trm_aes.errors import InputError
from trm_aes.scoring.scorer import EssayScorer

spec = importlib.util.spec_from_file_location("benchmark_asap", ROOT / "scripts" / "benchmark_asap.py")
benchmark_asap = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark_asap)

SMALL = "hidden_size=32,num_attention_heads=2,intermediate_size=32,num_train_epochs=2,learning_rate=0.003"


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """Eighty essays of prompts 3 and 4 whose words tell their score, and two folds of ids."""
    folder = tmp_path_factory.mktemp("release")
    lines = ["essay_id\tessay_set\tessay\trater1_domain1\trater2_domain1\tdomain1_score"]
    for number in range(80):
        score = number // 2 % 4
        words = " ".join(["bad", "fair", "good", "excellent"][score] for _ in range(6 + number % 5))
        lines.append(
            f"{number}\t{3 + number % 2}\tEssay {number} is {words}.\t{score}\t{max(0, score - number % 3 // 2)}\t{score}"
        )
    (folder / "release.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for fold in (0, 1):
        (folder / "folds" / f"fold_{fold}").mkdir(parents=True)
        order = np.random.default_rng(fold).permutation(80)
        for name, ids in (("train", order[:48]), ("dev", order[48:64]), ("test", order[64:])):
            path = folder / "folds" / f"fold_{fold}" / f"{name}_ids.txt"
            path.write_text("\n".join(map(str, ids)) + "\n", encoding="utf-8")
    return folder


def arguments(release, work_dir, *more):
    return ["--release", str(release / "release.tsv"), "--fold-dir", str(release / "folds"), "--work-dir", str(work_dir),
            "--max-tokens", "160", "--hardware", "cpu", *more]  # fmt: skip


def test_systems_folds_and_report(release, tmp_path, monkeypatch, capsys):
    systems = ["--system", "ridge", "--system", f"tiny:{SMALL}", "--system", f"tiny:{SMALL},H_cycles=1"]
    depth = ["--depth-of", f"tiny:{SMALL}"]
    benchmark_asap.main(arguments(release, tmp_path, *systems, "--folds", "0", "1", *depth))
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(tmp_path.rglob("result.json"))]
    assert len(results) == 6
    for result in results:
        assert set(result["test_qwk"]) == {"3", "4"} and result["num_essays"] == {"validation": 16, "test": 16}
    ridge = [result for result in results if result["system"] == "ridge"]
    assert all(result["test_qwk"]["3"] > 0.8 for result in ridge)
    recipe = next(result for result in results if result["system"] == f"tiny:{SMALL}")
    control = next(result for result in results if result["system"].endswith("H_cycles=1"))
    assert recipe["cost"]["parameters"] == control["cost"]["parameters"]
    gflop = "gflop_an_essay_of_350_tokens"
    # H=2, L=2 calls the network six times, H=1, L=2 three times; the tokens are encoded once in both.
    assert 1.1 * control["cost"][gflop] < recipe["cost"][gflop] < 2 * control["cost"][gflop]
    # Predictions hold ids and scores, and no essay.
    files = list(tmp_path.glob("runs/**/test.csv"))
    assert len(files) == 6
    assert all(list(pd.read_csv(path)) == ["essay_id", "prompt_id", "score", "predicted_score"] for path in files)
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    for part in ("Paired differences", "less ridge", "label-noise ceiling", "R2BERT", "Score against depth"):
        assert part in report
    assert (tmp_path / "depth.png").stat().st_size > 5000
    assert "Essay 1 is" not in report

    # What is done is not done again.
    monkeypatch.setattr("benchmarks.runner.train_scorer", lambda *_: pytest.fail("trained again"))
    capsys.readouterr()
    benchmark_asap.main(arguments(release, tmp_path, *systems, "--folds", "0", "1"))
    assert "ridge (per-prompt)" in capsys.readouterr().out


def test_one_model_a_prompt(release, tmp_path):
    benchmark_asap.main(
        arguments(release, tmp_path, "--system", f"tiny:{SMALL}", "--folds", "0", "--mode", "per-prompt")
    )
    [result] = [json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.rglob("result.json")]
    assert result["mode"] == "per-prompt" and set(result["test_qwk"]) == {"3", "4"}
    assert sorted(path.parent.name for path in tmp_path.glob("runs/*/*/*/model")) == ["3", "4"]


def test_systems_are_named_by_what_they_are():
    system = parse_system("tiny:H_cycles=1,learning_rate=1e-4,pooling=cls")
    assert (system.base, system.model, system.training) == (
        "tiny",
        {"H_cycles": 1, "pooling": "cls"},
        {"learning_rate": 1e-4},
    )
    for name in ("giant", "ridge:alpha=1", "tiny:H_cycles", "tiny:bf16=False", "tiny:seed=3", "tiny:no_such=1",
                 "tiny:H_cycles=0"):  # fmt: skip
        with pytest.raises(InputError, match="--system"):
            parse_system(name)


def test_the_controls_that_run_by_default_are_those_of_the_recipe():
    systems = [parse_system(name) for name in benchmark_asap.DEFAULT_SYSTEMS]
    recipes = [system for system in systems if system.is_recipe]
    assert len(recipes) == 3 and {system.base for system in recipes} == {"fast"}
    assert [system.model.get("H_cycles") for system in recipes] == [None, 1, 1]


def test_results_of_other_settings_do_not_share_a_table(release, tmp_path, capsys):
    words = arguments(release, tmp_path / "work", "--system", "length", "--folds", "0", "0", "--seeds", "0", "0")
    assert run_program(benchmark_asap.main, words) == 0
    assert "| length (per-prompt) | 1 |" in capsys.readouterr().out
    for more, name in (
        (["--prompt-set", "3"], "prompt_ids"),
        (["--max-tokens", "99"], "limits"),
        (["--hardware", "auto"], "hardware"),
    ):
        assert run_program(benchmark_asap.main, [*words, *more]) == 2
        assert f"holds results of other settings ({name}). Choose another --work-dir." in capsys.readouterr().err
    # What was begun with other settings and has no results is no obstacle.
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "settings.json").write_text("{}", encoding="utf-8")
    assert run_program(benchmark_asap.main, arguments(release, begun, "--system", "length", "--folds", "0")) == 0
    (tmp_path / "work" / "settings.json").unlink()
    assert run_program(benchmark_asap.main, words) == 2
    assert "holds results whose settings are not known" in capsys.readouterr().err


def test_a_depth_that_cannot_be_drawn_is_refused_at_once(release, tmp_path, capsys):
    words = arguments(release, tmp_path, "--system", "length")
    for more in (["--depth-of", "length"], ["--depth-of", "tiny"], ["--depth-of", "tiny", "--mode", "per-prompt"]):
        assert run_program(benchmark_asap.main, [*words, *more]) == 2
        assert "--depth-of" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_references_by_hand():
    assert label_noise_ceiling(0.81, "2") == pytest.approx(0.9)
    assert label_noise_ceiling(0.6, "7") == pytest.approx((1.2 / 1.6) ** 0.5)
    assert fisher_mean([0.0, 0.96]) == pytest.approx(np.tanh(np.arctanh(0.96) / 2))


def test_results_table_by_hand():
    runs = [
        {"system": "x", "mode": "joint", "test_qwk": {"1": a, "2": b}, "cost": {}} for a, b in ((0.5, 0.7), (0.7, 0.9))
    ]
    row = results_table(runs, ["1", "2"]).loc["x (joint)"]
    assert (row["1"], row["2"], row["mean"]) == pytest.approx((0.6, 0.8, 0.7))
    assert row["sd"] == pytest.approx(np.std([0.6, 0.8], ddof=1))
    assert "| x (joint) | 2 | 0.600 |" in markdown_table(results_table(runs, ["1", "2"]))


def test_surface_features_by_hand():
    [features] = surface_features(pd.Series(['Hello, wonderful world! He said "yes".\n2 more.']))
    words = ["Hello", "wonderful", "world", "He", "said", "yes", "more"]
    assert features[1] == len(words) and features[3] == 7 and features[4] == 1
    assert features[5] == pytest.approx(sum(map(len, words)) / 7)
    assert list(features[6:]) == [3, pytest.approx(7 / 3), 2, 1, 2, 1, 1, 2]


def test_forward_gflop_by_hand():
    model = small_model(H_cycles=2, L_cycles=2, num_supervision_steps=1, num_hidden_layers=1)
    # Six calls; width 16, SwiGLU 24, tokens 10: projections, and attention over all pairs of tokens; two heads at the end.
    a_call = 2 * 10 * (4 * 16 * 16 + 3 * 16 * 24) + 2 * 2 * 10 * 10 * 16
    assert forward_gflop(model, 10) * 1e9 == pytest.approx(6 * a_call + 2 * 2 * 16, rel=0.01)


def test_depth_table_takes_each_step_from_one_pass(model_dir, data_dir):
    scorer = EssayScorer.from_pretrained(model_dir, "cpu")
    data = load_essay_dataset(data_dir)
    table = depth_table(scorer, data, max_steps=3, cycles=((1, 1),))
    assert table[["H", "L", "step"]].to_numpy().tolist() == [
        [2, 2, 1],
        [2, 2, 2],
        [2, 2, 3],
        [1, 1, 1],
        [1, 1, 2],
        [1, 1, 3],
    ]
    assert (scorer.model.config.H_cycles, scorer.model.config.L_cycles) == (2, 2)
    assert np.isnan(table["moved"].iloc[0]) and (table["moved"].dropna() > 0).all()
    rows = data.splits["test"].select_columns(["input_ids", "token_type_ids", "prompt_id"]).to_list()
    scores, _ = scorer.score_steps(rows, 3)
    expected = np.abs(scores[:, 2] - scores[:, 1]).mean()
    assert table["moved"].iloc[2] == pytest.approx(expected)
    with torch.inference_mode():
        torch.testing.assert_close(torch.tensor(scores[:, 0]), torch.tensor(scorer.score_tokens(rows).normalized))


def test_a_fine_tuned_encoder_goes_on_and_goes_on_after_an_interruption(release, tmp_path, monkeypatch):
    """Run twice through the command line, cut off after the first epoch: the second run trains the other epochs alone."""
    tokenizer = load_tokenizer(find_checkpoint())
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    # One essay of the test split fewer than of the validation split.
    release = shutil.copytree(release, tmp_path / "release")
    ids = release / "folds" / "fold_0" / "test_ids.txt"
    ids.write_text("\n".join(ids.read_text(encoding="utf-8").split()[:-1]) + "\n", encoding="utf-8")
    command = arguments(release, tmp_path / "work", "--system", "encoder", "--folds", "0",
                        "--checkpoint", str(tmp_path / "encoder"))  # fmt: skip
    begun, labels = [], []
    predict = Trainer.predict

    def predict_and_note(self, rows):
        output = predict(self, rows)
        labels.append((output.label_ids.tolist(), [row["score"] / 3 for row in rows]))
        return output

    monkeypatch.setattr(Trainer, "predict", predict_and_note)

    def note(self, args, state, control, **kwargs):
        begun.append(state.epoch)
        if len(begun) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(DefaultFlowCallback, "on_epoch_begin", note, raising=False)
    with pytest.raises(KeyboardInterrupt):
        benchmark_asap.main(command)
    benchmark_asap.main(command)
    assert begun == [0, 1, 1, 2]
    # Batches of like length, and yet each prediction is that of its own essay.
    assert len(labels) == 2 and all(seen == pytest.approx(gold) for seen, gold in labels)
    [path] = tmp_path.rglob("result.json")
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["num_essays"] == {"validation": 16, "test": 15} and set(result["test_qwk"]) == {"3", "4"}
    assert not [*path.parent.rglob("checkpoint-*")]
