"""Shared fixtures. The tests use no network: the Hub is switched off before anything that knows it is imported."""

import os
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
# An empty cache: whatever checkpoints the machine holds, the tests see none.
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="trm-aes-tests-")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest
import torch

from trm_aes import TRMConfig, TRMForEssayScoring
from trm_aes.cli import build, train
from trm_aes.pretrained import find_checkpoint, load_tokenizer

torch.set_num_threads(1)
ROOT = Path(__file__).parent.parent
# Small enough to train in seconds.
SMALL_MODEL = [
    "--hidden_size", "32", "--num_attention_heads", "2", "--intermediate_size", "48", "--learning_rate", "3e-3",
]  # fmt: skip


def small_config(**changes) -> TRMConfig:
    """A model of a few thousand weights, without dropout."""
    settings = {
        "vocab_size": 60,
        "hidden_size": 16,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 32,
        "H_cycles": 2,
        "L_cycles": 2,
        "num_supervision_steps": 2,
        "hidden_dropout_prob": 0.0,
        "embedding_dropout_prob": 0.0,
        "residual_initialization": "lecun",
    }
    return TRMConfig(**{**settings, **changes})


def small_model(seed: int = 0, **changes) -> TRMForEssayScoring:
    torch.manual_seed(seed)
    return TRMForEssayScoring(small_config(**changes))


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
def data_dir(tmp_path_factory, essays_csv) -> Path:
    """A data set built from those essays."""
    path = tmp_path_factory.mktemp("data") / "built"
    build.main(
        ["--source", str(essays_csv), "--output-dir", str(path), "--max-tokens", "64", "--max-prompt-tokens", "8"]
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
