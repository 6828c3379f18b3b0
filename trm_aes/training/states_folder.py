"""Where training keeps an encoder's states, known without the libraries that train."""

import re
from pathlib import Path

from huggingface_hub import cached_assets_path

CHECKSUM = "[0-9a-f]{32}"
STATES_NAME = rf"{CHECKSUM}(\.npy|\.\d+\.tmp)"


def states_folder() -> Path:
    """With what else the Hub's client keeps for libraries: in `HF_HOME`, or where `HF_ASSETS_CACHE` says."""
    return cached_assets_path(library_name="trm-aes", namespace="encoder-states")


def states_size() -> int:
    """Bytes of all states that are kept."""
    return sum(file.stat().st_size for file in _state_files())


def clear_states():
    """
    Deletes all states that are kept, and nothing else that lies among them. Training computes them again when it needs
    them.
    """
    for file in _state_files():
        file.unlink()
    for folder in _folders():
        if not any(folder.iterdir()):
            folder.rmdir()


def _state_files() -> list[Path]:
    """What training writes: folders and files named by checksums, and what a killed run left of one."""
    return [file for folder in _folders() for file in folder.iterdir() if re.fullmatch(STATES_NAME, file.name)]


def _folders() -> list[Path]:
    found = states_folder().iterdir()
    return [folder for folder in found if re.fullmatch(CHECKSUM, folder.name) and folder.is_dir()]
