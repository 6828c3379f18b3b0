"""Where training keeps an encoder's states, known without the libraries that train."""

import shutil
from pathlib import Path

from huggingface_hub import cached_assets_path


def states_folder() -> Path:
    """With what else the Hub's client keeps for libraries: in `HF_HOME`, or where `HF_ASSETS_CACHE` says."""
    return cached_assets_path(library_name="trm-aes", namespace="encoder-states")


def states_size() -> int:
    """Bytes of all states that are kept."""
    return sum(file.stat().st_size for file in states_folder().rglob("*") if file.is_file())


def clear_states():
    """Deletes all states that are kept. Training computes them again when it needs them."""
    shutil.rmtree(states_folder())
