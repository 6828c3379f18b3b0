"""The study of recursion: designs compute what they say they do, and results are of one data set and of one training each."""

import importlib.util
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from benchmarks import designs
from benchmarks.designs import DESIGNS, INPUTS, by_parts, by_words
from benchmarks.study import Study
from helpers import ROOT

from trm_aes.cli import build
from trm_aes.cli.runner import run
from trm_aes.data.dataset import load_essay_dataset
from trm_aes.errors import TrainingDivergedError
from trm_aes.model.latents_trm import LatentInput


@pytest.fixture(scope="module")
def study(data_dir):
    return Study.prepare(load_essay_dataset(data_dir), with_test=False)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("study_recursion", ROOT / "scripts/study_recursion.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def batch_of(study, size=6):
    return next(study.batches("train", [list(range(size))]))


def started(study, name):
    """A design whose residual branches are not zero, so that all of it has a say."""
    design = study.design(name, seed=0).eval()
    torch.manual_seed(1)
    for weight in design.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.1)
    return design


@pytest.mark.parametrize("name", ["once", "once-longer", "cycles"])
def test_plain_designs_are_the_model(study, name):
    design, batch = started(study, name), batch_of(study)
    with torch.no_grad():
        [score] = design(batch).scores
        logits = design.model(**{key: batch[key] for key in INPUTS}).logits[:, 0]
    bank = design.model.model.prompt_bank
    torch.testing.assert_close(bank.to_unit_scale(score, batch["prompt_indices"]), logits)


def test_a_stack_of_equal_layers_is_the_recursion(study):
    stack, cycles, batch = started(study, "stack"), started(study, "cycles"), batch_of(study)
    cycles.model.load_state_dict(stack.model.state_dict())
    for block in stack.others:
        block.load_state_dict(stack.model.model.layers.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(stack(batch).scores[0], cycles(batch).scores[0])


def test_a_seed_says_where_weights_and_states_start(study, data_dir):
    torch.manual_seed(123)
    again = Study.prepare(load_essay_dataset(data_dir), with_test=False)
    one, same, other = (of.design("once", seed).state_dict() for of, seed in ((study, 1), (again, 1), (study, 2)))
    assert all(torch.equal(one[name], same[name]) for name in one)
    for name in ("model.model.initial_z_H", "model.model.layers.0.mlp.gate_up_proj.weight"):
        assert not torch.equal(one[name], other[name])


def test_an_equilibrium_goes_on_from_where_it_is(study):
    design, batch = started(study, "equilibrium"), batch_of(study)
    with torch.no_grad():
        first = design(batch, None, 0)
        second = design(batch, first.carry, 1)
    assert not torch.allclose(first.carry, second.carry)
    assert not torch.allclose(first.scores[0], second.scores[0])
    assert not first.carry.requires_grad


def test_an_improvement_learns_coarse_targets_first_and_is_told_its_answers(study):
    design, batch = started(study, "improvement"), batch_of(study)
    steps = [design(batch, None, 0)]
    for place in (1, 2):
        steps.append(design(batch, steps[-1].carry, place))
    assert [len(step.scores) for step in steps] == [0, 0, 1]
    assert [bool(step.extra_loss > 0) for step in steps] == [True, True, False]
    # No rater's score beside the coarse targets: that is the finest of all.
    assert float(study._loss(design, steps[0], batch).detach()) == pytest.approx(float(steps[0].extra_loss.detach()))
    states, answered = steps[1].carry
    assert not answered.requires_grad
    with torch.no_grad():
        other = design(batch, (states, -answered), 2)
    assert not torch.allclose(other.scores[0], steps[2].scores[0])


def test_a_comparison_goes_by_others_scores_and_never_by_its_own(study):
    design = started(study, "comparison")
    study.refresh_references(design, seed=0)
    rows = study.references(design.num_references, 0)
    assert design.rows.tolist() == rows
    prompts = np.array(study.data.splits["train"]["prompt_id"])
    assert [set(prompts[of_prompt]) for of_prompt in rows] == [{prompt} for prompt in study.data.score_ranges]
    batch = next(study.batches("train", [[rows[0][0], rows[0][-1]]]))
    with torch.no_grad():
        before = design(batch).scores[-1]
        # Of the first essay, wherever it stands among the references.
        design.scores[0][design.rows[0] == rows[0][0]] += 3
        after = design(batch).scores[-1]
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_parts_are_means_of_the_words_that_are_read():
    key = torch.tensor([[1.0, 2.0, 4.0, 8.0]])[:, None, :, None]  # one essay, one head, four words of one number
    source = LatentInput(None, key, 10 * key, None, torch.zeros(1, 1, 1))
    parts, is_read = torch.tensor([[0, 0, 1, 2]]), torch.tensor([[True, True, True, False]])
    coarse = by_parts(source, parts, is_read)
    assert coarse.key.flatten().tolist() == [1.5, 4.0, 0.0]
    assert coarse.value.flatten().tolist() == [15.0, 40.0, 0.0]
    assert (coarse.token_mask.flatten() == 0).tolist() == [True, True, False]
    words = by_words(source, is_read)
    assert words.key is key
    assert (words.token_mask.flatten() == 0).tolist() == [True, True, True, False]


def test_grains_end_sentences_where_they_end(study):
    design, batch = started(study, "grains"), batch_of(study)
    essays = design.model.model.prepare_essays(**{key: batch[key] for key in INPUTS})
    sentences, tenths, is_read = design.parts(essays, essays.source.key.shape[2])
    encoder = design.model.model.encoder
    assert is_read.sum(dim=1).tolist() == encoder.pieces(essays).sum(dim=1).tolist()
    # "Essay 1 is good good. " has one sentence; its last word piece is the dot that ends it.
    assert all(set(row[read].tolist()) == {0} for row, read in zip(sentences, is_read, strict=True))
    assert all(row[read].max() <= 9 and row[read].min() == 0 for row, read in zip(tenths, is_read, strict=True))
    dot = int(design.end_ids[0])
    # Three word pieces behind a prompt of one: fewer than there are tenths.
    essays.input_ids = torch.tensor([[9, 9, dot, 9, 9]])
    essays.is_essay = torch.tensor([[False, True, True, True, True]])
    sentences, tenths, _ = design.parts(essays, 4)
    assert (sentences.tolist(), tenths.tolist()) == ([[0, 0, 1, 1]], [[0, 2, 5, 7]])


def test_every_design_is_trained_once_and_measured(script, data_dir, tmp_path, monkeypatch, capsys):
    for design in DESIGNS.values():
        monkeypatch.setattr(design, "epochs", 1)
    monkeypatch.setattr(designs.Comparison, "num_references", 4)
    words = ["--data", str(data_dir), "--output-dir", str(tmp_path / "study")]
    assert run(script.main, words) == 0
    printed = capsys.readouterr().out
    assert "whole, less once" in printed
    assert (tmp_path / "study" / "validation" / "recursion.png").is_file()
    folders = {name: tmp_path / "study" / "validation" / data_dir.name / f"{name}-seed_42" for name in DESIGNS}
    results = {name: json.loads((folder / "result.json").read_text()) for name, folder in folders.items()}
    assert results["once"]["trained_parameters"] == results["cycles"]["trained_parameters"]
    assert results["stack"]["trained_parameters"] > 2 * results["cycles"]["trained_parameters"]
    # One step to the next: three segments with a score each, a comparison after a first look, and nothing else.
    assert [len(results[name]["error_falls"]) for name in DESIGNS] == [0, 0, 0, 0, 2, 0, 1, 0]
    assert {result["essays"]["validation"] for result in results.values()} == {
        len(pd.read_csv(folders["once"] / "predictions.csv"))
    }
    for name, folder in folders.items():
        table = pd.read_csv(folder / "predictions.csv", dtype={"prompt_id": str})
        assert table[["alone", "whole"]].notna().all(axis=None), name

    monkeypatch.setattr(Study, "train", None)
    # However the folder is written.
    assert run(script.main, ["--data", f"{data_dir}/", *words[2:]]) == 0
    assert printed.splitlines()[-len(DESIGNS) :] == capsys.readouterr().out.splitlines()[-len(DESIGNS) :]
    # Of other code.
    monkeypatch.setattr(script, "code_checksum", lambda *_: "other")
    assert run(script.main, words) == 2
    assert "was measured with other code" in capsys.readouterr().err


def test_a_design_that_diverges_is_left_out_and_the_others_are_shown(script, data_dir, tmp_path, monkeypatch, capsys):
    def scored(self, design, seed):
        if isinstance(design, designs.Stack):
            raise TrainingDivergedError("The loss of Stack is nan.")
        return {"validation": [np.linspace(0, 1, len(self.data.splits["validation"]))]}, 1.0

    monkeypatch.setattr(Study, "train", scored)
    words = ["--data", str(data_dir), "--design", "once", "stack", "cycles", "--seed", "1", "2"]
    words += ["--output-dir", str(tmp_path)]
    for _ in range(2):
        assert run(script.main, words) == 0
        printed = capsys.readouterr().out
        assert printed.count("Left out: stack, seed") == 2 and "The loss of Stack is nan." in printed
        assert "SD 0.0000" in printed and "| stack |" not in printed
        # They are not trained again.
        monkeypatch.setattr(Study, "train", None)
    assert run(script.main, [*words, "--seed", "-1"]) == 2
    assert "--seed must lie between 0 and" in capsys.readouterr().err


def test_differences_are_paired_over_essays_prompts_and_seeds(script, data_dir, tmp_path):
    data = load_essay_dataset(data_dir)
    frame = data.splits["validation"].select_columns(["essay_id", "prompt_id", "score"]).to_pandas()
    for design, shift in (("once", 1), ("cycles", 0)):
        for seed in (1, 2):
            folder = script.run_folder(tmp_path, ("d", design, seed))
            folder.mkdir(parents=True)
            # Of the seed 1 alone, a design of one and the same score has no agreement at all.
            scores = frame["score"] if not shift or seed == 2 else 2.0
            frame.assign(alone=scores, whole=frame["score"]).to_csv(folder / "predictions.csv", index=False)
    results = script.Results(tmp_path, {"d": data}, [1, 2])
    assert results.difference("cycles", "once", "alone").value == pytest.approx(0.5)
    whole = results.difference("cycles", "once", "whole")
    assert (whole.value, whole.low, whole.high) == (0, 0, 0)


@pytest.fixture
def results(data_dir, tmp_path):
    """A result in the place of one of `data_dir`."""
    folder = tmp_path / "validation" / data_dir.name / "once-seed_42"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({"data": "other essays"}))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "was measured with other data"),
        (["missing"], "missing"),
        (["copy"], "Two data sets are called"),
        (["--test"], "`split` test"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_trained(
    script, data_dir, essays_csv, results, monkeypatch, capsys, words, message
):
    monkeypatch.setattr(Study, "prepare", None)
    if "copy" in words:
        shutil.copytree(data_dir, results / data_dir.name)
        words = [str(results / data_dir.name)]
    if "--test" in words:
        data_dir = results / "without-test"
        build.main(["--source", str(essays_csv), "--output-dir", str(data_dir), "--test-share", "0"])
    data = ["--data", str(data_dir), *words, "--design", "once", "--output-dir", str(results)]
    assert run(script.main, data) == 2
    assert message in capsys.readouterr().err
