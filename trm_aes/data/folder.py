"""What the folder of a data set holds, known without the libraries that read it."""

from pathlib import Path

from ..errors import InputError
from ..files import FolderKind

CARD_NAME = "dataset_card.json"
DATASET = FolderKind.with_record("`trm-aes build`", CARD_NAME)
TOKENIZER_FOLDER = "tokenizer"


def check_is_dataset(folder: str | Path) -> Path:
    """
    Checks that a folder is a data set, by what it holds.

    Raises:
        InputError: if the folder does not exist, or `trm-aes build` did not write it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist. Build a data set with `trm-aes build` first.")
    if not (folder / CARD_NAME).is_file():
        raise InputError(f"{folder} holds no {CARD_NAME}: it is not a data set that `trm-aes build` wrote.")
    return folder
