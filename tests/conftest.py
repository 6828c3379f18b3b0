"""Shared fixtures. The tests use no network: the Hub is switched off before anything that knows it is imported."""

import atexit
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
# An empty cache: whatever checkpoints the machine holds, the tests see none.
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="trm-aes-tests-")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from helpers import SMALL_ENCODER, SMALL_MODEL
from transformers import BertConfig, BertModel

from trm_aes.checkpoints import find_checkpoint, load_tokenizer
from trm_aes.cli import build, train
from trm_aes.data.dataset import load_essay_dataset

torch.set_num_threads(1)
atexit.register(shutil.rmtree, os.environ["HF_HOME"], ignore_errors=True)


def import_from_file(name: str, path: Path):
    """
    Makes a package of the scripts importable by its name. Their folder is on no path here: scripts/evaluate.py bears the
    name of a library, and other libraries bring a package `benchmarks`.
    """
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=[str(path.parent)])
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


import_from_file("benchmarks", Path(__file__).parent.parent / "scripts" / "benchmarks" / "__init__.py")


@pytest.fixture(scope="session")
def tokenizer():
    return load_tokenizer(find_checkpoint())


@pytest.fixture(scope="session")
def essays_csv(tmp_path_factory) -> Path:
    """Sixty essays of two prompts whose score is told by a word in them."""
    path = tmp_path_factory.mktemp("essays") / "essays.csv"
    rows = ["essay_id,prompt_id,prompt,essay,score,rater1,rater2"]
    for number in range(60):
        prompt, low = ("a", 0) if number % 2 else ("b", 1)
        score = low + number // 2 % 4
        words = " ".join(["bad", "fair", "good", "excellent"][number // 2 % 4] for _ in range(5 + number % 7))
        rows.append(
            f"e{number},{prompt},Write about {prompt}.,Essay {number} is {words}.,{score},{score},{low if number == 2 else score}"
        )
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def traits_csv(tmp_path_factory, essays_csv) -> Path:
    """
    Scores of traits of the same essays, told by the same word: of organization 1 to 6 in prompt b and 0 to 3 by half points in
    a, of voice in a alone, where every seventh essay has none.
    """
    path = tmp_path_factory.mktemp("traits") / "traits.csv"
    rows = ["essay_id,organization,voice"]
    for number in range(60):
        level = number // 2 % 4
        organization = level * 0.5 + number % 3 * 0.5 if number % 2 else 1 + level + number % 3
        voice = level + number % 2 if number % 2 and number % 7 else ""
        rows.append(f"e{number},{organization},{voice}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def trait_data_dir(tmp_path_factory, essays_csv, traits_csv) -> Path:
    """A data set built from those essays and their traits."""
    path = tmp_path_factory.mktemp("trait-data") / "built"
    scales = ["organization=b=1:6", "organization=a=0:3:0.5", "voice"]
    build.main(
        ["--source", str(essays_csv), "--traits", str(traits_csv), "--output-dir", str(path)]
        + [word for scale in scales for word in ("--trait-column", scale)]
        + ["--max-tokens", "64", "--max-prompt-tokens", "8"]
    )
    return path


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory, essays_csv) -> Path:
    """A data set built from those essays."""
    path = tmp_path_factory.mktemp("data") / "built"
    build.main(
        ["--source", str(essays_csv), "--output-dir", str(path), "--max-tokens", "64", "--max-prompt-tokens", "8"]
    )
    return path


@pytest.fixture(scope="session")
def encoder_dir(tmp_path_factory, data_dir) -> Path:
    """A small encoder of the data set's vocabulary, of three layers, without dropout: what it draws depends on the batch."""
    folder = tmp_path_factory.mktemp("encoder")
    tokenizer = load_essay_dataset(data_dir).load_tokenizer()
    shape = {**SMALL_ENCODER, "vocab_size": len(tokenizer), "max_position_embeddings": 12, "num_hidden_layers": 3}
    shape |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    torch.manual_seed(0)
    BertModel(BertConfig(**shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def demo_dir(tmp_path_factory) -> Path:
    """A data set built from the synthetic corpus."""
    path = tmp_path_factory.mktemp("demo") / "data"
    build.main(["--source", "demo", "--output-dir", str(path)])
    return path


@pytest.fixture(scope="session")
def trait_model_dir(tmp_path_factory, trait_data_dir) -> Path:
    """A scorer of traits, by both heads."""
    path = tmp_path_factory.mktemp("trait-model") / "trained"
    train.main(
        [
            "--data",
            str(trait_data_dir),
            "--recipe",
            "tiny",
            "--hardware",
            "cpu",
            "--output_dir",
            str(path),
            *SMALL_MODEL,
        ]
        + ["--num_train_epochs", "12", "--per_device_train_batch_size", "4", "--disable_tqdm", "true"]
        + ["--auxiliary_loss_weight", "0.5", "--lexical_share", "0.5"]
    )
    return path


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory, data_dir) -> Path:
    """A scorer trained on that data set."""
    path = tmp_path_factory.mktemp("model") / "trained"
    train.main(
        ["--data", str(data_dir), "--recipe", "tiny", "--hardware", "cpu", "--output_dir", str(path), *SMALL_MODEL]
        + ["--num_train_epochs", "12", "--per_device_train_batch_size", "4", "--disable_tqdm", "true"]
    )
    return path
