"""Weights sharded over two processes (FSDP2, gloo): what one process gives, also when interrupted and resumed."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import NO_DROPOUT, free_port, options
from safetensors.torch import load_file

from trm_aes.cli import train
from trm_aes.errors import DependencyError
from trm_aes.training.arguments import TRMTrainingArguments
from trm_aes.training.resuming import last_checkpoint
from trm_aes.version import MIN_SHARDING, check_sharding

try:
    check_sharding()
except DependencyError as error:
    pytest.skip(str(error), allow_module_level=True)


def test_versions_that_shard_wrongly_are_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(MIN_SHARDING, "accelerate", "99.0")
    with pytest.raises(DependencyError, match="Training under FSDP needs accelerate 99.0 or later, and version"):
        TRMTrainingArguments(str(tmp_path), use_cpu=True, fsdp="full_shard")
    # Without sharding it does not matter.
    TRMTrainingArguments(str(tmp_path), use_cpu=True)


def train_sharded(data_dir, output_dir, *more):
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())]
    worker = [
        str(Path(__file__).with_name("fsdp_worker.py")),
        *options(data_dir, output_dir, "--fsdp", "full_shard", *more),
    ]
    run = subprocess.run([sys.executable, *launcher, *worker], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout


@pytest.fixture(scope="module")
def runs(trait_data_dir, tmp_path_factory):
    """With a trait that every essay has, by both heads; where cells are blank, each process takes the mean of its own."""
    data_dir, folder = trait_data_dir, tmp_path_factory.mktemp("fsdp")
    common = [*NO_DROPOUT, "--num-train-epochs", "2", "--num-supervision-steps", "2", "--auxiliary-loss-weight", "0.5"]
    common += ["--traits", "organization"]
    train.main(options(data_dir, folder / "one", *common, "--per-device-train-batch-size", "8"))
    common += ["--per-device-train-batch-size", "4"]
    return folder, common, train_sharded(data_dir, folder / "two", *common)


def check_equal(first, second):
    weights = [load_file(folder / "model.safetensors") for folder in (first, second)]
    assert weights[0].keys() == weights[1].keys()
    for name in weights[0]:
        close = torch.isclose(weights[1][name], weights[0][name], atol=1e-4, rtol=1e-4)
        assert close.all(), name


def test_sharded_weights_give_what_one_process_gives(runs):
    folder, _, output = runs
    weights = len(load_file(folder / "one" / "checkpoint-10" / "optimizer_weights.safetensors"))
    # Word embeddings, the lexical head, that of traits and the passage check are frozen, and sharded, too: seven weights.
    assert output.count("sharded ") == 2 and f"sharded {weights + 7} of {weights + 7}" in output
    check_equal(folder / "one", folder / "two")
    records = [json.loads((folder / name / "run.json").read_text(encoding="utf-8")) for name in ("one", "two")]
    assert [record["machine"]["processes"] for record in records] == [1, 2]
    for name in ("num_parameters", "num_trained_parameters"):
        assert records[0][name] == records[1][name]
    qwk = [record["validation_metrics"]["eval_mean_qwk"] for record in records]
    assert qwk[0] == pytest.approx(qwk[1], abs=1e-4)


def test_a_sharded_run_resumes(runs, trait_data_dir, tmp_path):
    folder, common, _ = runs
    cut = tmp_path / "cut"
    shutil.copytree(folder / "two", cut)
    shutil.rmtree(last_checkpoint(cut))
    (cut / "model.safetensors").unlink()
    train_sharded(trait_data_dir, cut, *common, "--resume-from-checkpoint", "last")
    check_equal(folder / "two", cut)


@pytest.mark.parametrize("frozen", ["true", "false"])
def test_a_scorer_that_reads_with_an_encoder_is_sharded_alike(data_dir, encoder_dir, tmp_path, frozen):
    common = [*NO_DROPOUT, "--recipe", "default", "--encoder", str(encoder_dir), "--encoder-layers", "2"]
    common += ["--freeze-encoder", frozen, "--num-train-epochs", "1"]
    train.main(options(data_dir, tmp_path / "one", *common, "--per-device-train-batch-size", "8"))
    output = train_sharded(data_dir, tmp_path / "two", *common, "--per-device-train-batch-size", "4")
    [counts] = set(re.findall(r"sharded (\d+) of (\d+)", output))
    assert counts[0] == counts[1]
    check_equal(tmp_path / "one", tmp_path / "two")
