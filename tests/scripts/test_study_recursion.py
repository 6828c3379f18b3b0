"""The study of recursion: designs compute what they say they do, and results are of one data set and of one training each."""

import importlib.util
import json

import numpy as np
import pandas as pd
import pytest
import torch
from benchmarks import designs
from benchmarks.designs import DESIGNS, INPUTS, by_parts
from benchmarks.study import Study
from helpers import ROOT

from trm_aes.cli.runner import run
from trm_aes.model.latents_trm import LatentInput


@pytest.fixture(scope="module")
def study(data_dir):
    return Study.prepare(str(data_dir), with_test=False)


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
    for block in stack.blocks:
        block.load_state_dict(stack.model.model.layers.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(stack(batch).scores[0], cycles(batch).scores[0])


def test_segments_go_on_from_one_another(study):
    for name in ("equilibrium", "improvement"):
        design, batch = started(study, name), batch_of(study)
        with torch.no_grad():
            torch.manual_seed(0)
            first = design(batch, None, 0)
            second = design(batch, first.carry, 1)
        assert first.carry.shape == second.carry.shape
        assert not torch.allclose(first.carry, second.carry)
    # The coarse targets have losses of their own, and no score but the last.
    assert (len(first.scores), float(first.extra_loss) > 0) == (0, True)
    with torch.no_grad():
        assert len(design(batch, second.carry, 2).scores) == 1


def test_no_essay_reads_its_own_score(study):
    design = started(study, "comparison")
    study.refresh_references(design, seed=0)
    rows = study._references(design.num_references, 0)
    assert design.rows.tolist() == rows
    prompts = np.array(study.data.splits["train"]["prompt_id"])
    assert [set(prompts[of_prompt]) for of_prompt in rows] == [{prompt} for prompt in study.data.score_ranges]
    batch = next(study.batches("train", [[rows[0][0], rows[0][-1]]]))
    with torch.no_grad():
        before = design(batch).scores[-1]
        # Of the first essay's place among the references, wherever it stands there.
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
    words = by_parts(source, torch.arange(4)[None], is_read)
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
    pieces = torch.tensor([[9, int(design.end_ids[0]), 9, 9]])
    is_end = torch.isin(pieces, design.end_ids).long()
    assert (is_end.cumsum(dim=1) - is_end).tolist() == [[0, 0, 1, 1]]


def test_every_design_is_trained_once_and_measured(script, data_dir, tmp_path, monkeypatch, capsys):
    for design in DESIGNS.values():
        monkeypatch.setattr(design, "epochs", 1)
    monkeypatch.setattr(designs.Comparison, "num_references", 4)
    words = ["--data", str(data_dir), "--output-dir", str(tmp_path / "study")]
    assert run(script.main, words) == 0
    printed = capsys.readouterr().out
    assert "whole, less once" in printed
    assert (tmp_path / "study" / "recursion.png").is_file()
    folders = {name: tmp_path / "study" / "validation" / data_dir.name / f"{name}-seed_42" for name in DESIGNS}
    results = {name: json.loads((folder / "result.json").read_text()) for name, folder in folders.items()}
    assert results["once"]["trained_parameters"] == results["cycles"]["trained_parameters"]
    assert results["stack"]["trained_parameters"] > 2 * results["cycles"]["trained_parameters"]
    # One step to the next: three segments with a score each, a comparison after a first look, and nothing else.
    assert [len(results[name]["error_falls"]) for name in DESIGNS] == [0, 0, 0, 0, 2, 0, 1, 0]
    for name, folder in folders.items():
        table = pd.read_csv(folder / "predictions.csv", dtype={"prompt_id": str})
        assert table[["alone", "whole"]].notna().all(axis=None), name
    alone = results["once"]["mean_qwk"]["alone"]
    assert alone == max(results["once"]["validation_by_epoch"])

    monkeypatch.setattr(Study, "train", None)
    assert run(script.main, words) == 0
    assert printed.splitlines()[-len(DESIGNS) :] == capsys.readouterr().out.splitlines()[-len(DESIGNS) :]


def test_results_of_other_essays_are_refused(script, data_dir, tmp_path, capsys):
    folder = tmp_path / "validation" / data_dir.name / "once-seed_42"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({"files": {"other": "essays"}}))
    assert run(script.main, ["--data", str(data_dir), "--design", "once", "--output-dir", str(tmp_path)]) == 2
    assert "is of other essays" in capsys.readouterr().err
