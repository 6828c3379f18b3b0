"""The folder of a training run, and whether it may be written to, known without the libraries that train."""

import os

from ..errors import InputError
from ..files import check_is_free, is_occupied
from ..records import RUN_RECORD_NAME

# `PREFIX_CHECKPOINT_DIR` of Transformers, whose import takes seconds; a test compares the two.
CHECKPOINT_PREFIX = "checkpoint"


def check_is_named(output_dir: str | None):
    """
    Checks that a run has a folder.

    Raises:
        InputError: if no folder, or an empty name, is given.
    """
    if not output_dir:
        raise InputError("`output_dir` is needed: the folder for the trained scorer.")


def check_may_write(output_dir: str | os.PathLike, overwrite: bool):
    """
    Checks the folder of a run that starts anew, before anything in it is replaced.

    Raises:
        InputError: if the folder holds something and `overwrite` is false, or what it holds is not a training run.
    """
    folder = check_is_free(output_dir, overwrite)
    is_run = any((folder / name).exists() for name in (RUN_RECORD_NAME, "config.json"))
    is_run = is_run or any(folder.glob(f"{CHECKPOINT_PREFIX}-*"))
    if is_occupied(folder) and not is_run:
        raise InputError(f"{folder} is not what a training run wrote, so `overwrite` leaves it alone. Choose another.")
