"""What the folder of a data set holds, known without the libraries that read it."""

import hashlib
import json
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import FolderKind, file_checksum, read_json
from ..typed_json import check_types

CARD_NAME = "dataset_card.json"
DATASET = FolderKind.with_record("`trm-aes build`", CARD_NAME)
TOKENIZER_FOLDER = "tokenizer"
# What readers need of a card, and of each prompt in it.
CARD_TYPES: dict[str, Any] = {
    "source": str, "source_sha256": str, "options": dict[str, Any], "num_essays": dict[str, int],
    "prompts": dict[str, dict], "tokenizer": dict[str, str], "token_limits": dict[str, int | None],
}  # fmt: skip
PROMPT_TYPES: dict[str, Any] = {"text": str, "min_score": float, "max_score": float}


def check_is_dataset(folder: str | Path) -> Path:
    """
    Checks that a folder is a data set, by what it holds.

    Raises:
        InputError: if the folder does not exist, is a file, or `trm-aes build` did not write it.
    """
    folder = Path(folder)
    if folder.is_file():
        raise InputError(f"{folder} is a file: a data set is a folder that `trm-aes build` wrote.")
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist. Build a data set with `trm-aes build` first.")
    if not (folder / CARD_NAME).is_file():
        raise InputError(f"{folder} holds no {CARD_NAME}: it is not a data set that `trm-aes build` wrote.")
    return folder


def file_checksums(folder: Path) -> dict[str, str]:
    """`path -> SHA-256` of every file of a data set but its card, which keeps them."""
    return {
        path.relative_to(folder).as_posix(): file_checksum(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != CARD_NAME
    }


def essays_checksum(card: dict[str, Any]) -> str | None:
    """
    SHA-256 of the essays of all splits, their scores and tokens, by which a data set that was built again is the same one, and
    another draw of the same table is not; None where a card has no checksums.

    Args:
        card: of a data set. Beside the essays' files it keeps checksums of others, which are new with every build.
    """
    files = {name: checksum for name, checksum in card.get("files", {}).items() if name.endswith(".arrow")}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest() if files else None


def read_card(folder: Path) -> dict[str, Any]:
    """
    The card of a data set, after its files have been held against the checksums in it: a damaged file can end the process
    that maps it into memory. Data sets from before there were checksums are taken as they are.

    Raises:
        InputError: if the card cannot be read or is none, or a file is missing or is not as it was written.
    """
    card = read_json(folder / CARD_NAME)
    _check_card(card, str(folder / CARD_NAME))
    for name, checksum in card.get("files", {}).items():
        if not (folder / name).is_file() or file_checksum(folder / name) != checksum:
            state = "is not as it was written" if (folder / name).is_file() else "is missing"
            raise InputError(f"{folder} is damaged: {name} {state}. Build it again.")
    return card


def _check_card(card: Any, where: str):
    parts: list[tuple[Any, dict[str, Any], str]] = [(card, CARD_TYPES, where)]
    if isinstance(card, dict) and isinstance(card.get("prompts"), dict):
        parts += [(prompt, PROMPT_TYPES, f"{where}, prompt {name}") for name, prompt in card["prompts"].items()]
    for values, types, place in parts:
        missing = [key for key in types if not isinstance(values, dict) or key not in values]
        if missing:
            raise InputError(f"{place} is damaged: it lacks {missing[0]!r}. Build the data set again.")
        check_types(values, types, place)
