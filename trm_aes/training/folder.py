"""The folder of a training run, and whether it may be written to, known without the libraries that train.

A run that starts anew where nothing is writes into its output folder from the start. One that replaces another (`overwrite`)
writes into `.NAME.training` beside it, and takes its place when it is whole. Checkpoints of an interrupted run stay where
they were written, for `resume_from_checkpoint`.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError
from ..files import (
    FolderKind,
    beside,
    check_is_folder_to_be,
    clear,
    is_occupied,
    is_record,
    owned,
    read_json,
    remove,
    take_place,
    write_json,
)
from ..records import RUN_RECORD_NAME

# `PREFIX_CHECKPOINT_DIR` of Transformers and the model's `model_type`, whose imports take seconds; a test compares them.
CHECKPOINT_PREFIX = "checkpoint"
MODEL_TYPE = "trm"
# What a checkpoint holds first of all.
AVERAGE_STATE_NAME = "weight_average.json"
SETTINGS_NAME = "run_settings.json"
STATE_NAME = "trainer_state.json"


def check_is_named(output_dir: str | None):
    """
    Checks that a run has a folder.

    Raises:
        InputError: if no folder, or an empty name, is given.
    """
    if not output_dir:
        raise InputError("`output_dir` is needed: the folder for the trained scorer.")


def check_may_write(output_dir: str | os.PathLike, overwrite: bool) -> Path:
    """
    Checks the folder of a run that starts anew, before anything in it is replaced.

    Raises:
        InputError: if the folder holds something and `overwrite` is false, or what it holds is not a training run.
    """
    return check_is_folder_to_be(output_dir, overwrite, RUN)


def check_may_train(output_dir: str | os.PathLike, overwrite: bool) -> Path:
    """
    As [`check_may_write`], where a run that was interrupted could go on.

    Raises:
        InputError: as of that; of such a run it says how to go on.
    """
    if not overwrite and checkpoints(output_dir) and not (Path(output_dir) / RUN_RECORD_NAME).exists():
        raise InputError(
            f"{output_dir} exists, and holds a run that was interrupted. Go on with `resume_from_checkpoint` last, or pass "
            "`overwrite` to begin anew."
        )
    return check_may_write(output_dir, overwrite)


def unfinished_folder(output_dir: str | os.PathLike) -> Path:
    """Where a run trains that will take the place of another in `output_dir`."""
    return beside(Path(os.path.realpath(output_dir)), "training")


def checkpoints(folder: str | os.PathLike) -> list[Path]:
    """The checkpoints of a run, whole or not, the oldest first."""
    found = [path for path in Path(folder).glob(f"{CHECKPOINT_PREFIX}-*") if path.name.rsplit("-", 1)[1].isdigit()]
    return sorted(found, key=lambda path: int(path.name.rsplit("-", 1)[1]))


@contextlib.contextmanager
def folder_to_train_in(output_dir: str | os.PathLike, overwrite: bool, resume_from: Path | None) -> Iterator[Path]:
    """
    The folder in which a run trains. The output is owned by the run within the block. When the block ends well the folder
    is the output, or takes its place; when it does not, and no checkpoint was written, nothing is left of it.

    Args:
        output_dir, overwrite: of the run.
        resume_from: checkpoint that it goes on from, or None.

    Raises:
        InputError: if the output may not be written, or another run is writing it.
    """
    with owned(output_dir) as output:
        folder = _choose_folder(output, overwrite, resume_from)
        was_there, was_occupied = folder.exists(), is_occupied(folder)
        try:
            yield folder
            if folder != output:
                _name_checkpoints_anew(folder, output)
                take_place(folder, output)
        finally:
            if (
                not was_occupied
                and folder.exists()
                and not is_record(folder / RUN_RECORD_NAME)
                and not checkpoints(folder)
            ):
                remove(folder)
                if was_there:
                    folder.mkdir()


def _choose_folder(output: Path, overwrite: bool, resume_from: Path | None) -> Path:
    unfinished = unfinished_folder(output)
    if resume_from is not None:
        run = Path(os.path.realpath(resume_from)).parent
        if run in (output, unfinished):
            return run
    check_may_train(output, overwrite)
    clear(unfinished)
    return unfinished if is_occupied(output) else output


def _name_checkpoints_anew(folder: Path, output: Path):
    """Each checkpoint names the best one by its path, which is about to change."""
    for path in folder.glob(f"{CHECKPOINT_PREFIX}-*/{STATE_NAME}"):
        state = read_json(path)
        if state.get("best_model_checkpoint"):
            state["best_model_checkpoint"] = str(output / Path(state["best_model_checkpoint"]).name)
            write_json(path, state)


def _is_run(folder: Path) -> bool:
    """Whether a folder holds a scorer, or checkpoints of one whose training has not ended."""
    return is_record(folder / RUN_RECORD_NAME) or any(
        _is_scorer(path) for path in (folder, *folder.glob(f"{CHECKPOINT_PREFIX}-*"))
    )


def _is_scorer(folder: Path) -> bool:
    if (folder / AVERAGE_STATE_NAME).is_file():
        return True
    try:
        config = read_json(folder / "config.json")
    except InputError:
        return False
    return isinstance(config, dict) and config.get("model_type") == MODEL_TYPE


RUN = FolderKind("a training run", _is_run)
