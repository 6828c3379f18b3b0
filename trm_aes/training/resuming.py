"""The checkpoint in the folder of a training run to go on from."""

import os
import re
import zipfile
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ..errors import InputError
from ..model.modeling_trm import FORMER_NAMES
from .folder import CHECKPOINT_PREFIX

LAST_CHECKPOINT = "last"
STATE_NAME = "trainer_state.json"


def last_checkpoint(output_dir: str | os.PathLike) -> Path | None:
    """The newest whole checkpoint of a run. The trainer's state is written last, so one that lacks it is not whole."""
    folders = [path.parent for path in Path(output_dir).glob(f"{CHECKPOINT_PREFIX}-*/{STATE_NAME}")]
    return max(folders, key=lambda folder: int(folder.name.rsplit("-", 1)[1]), default=None)


def checkpoint_to_resume(output_dir: str | os.PathLike, wanted: str | None) -> Path | None:
    """
    The checkpoint that a run goes on from.

    Args:
        output_dir: of the run.
        wanted: folder of a checkpoint, `last` for the newest of `output_dir`, or None to start anew.

    Raises:
        InputError: if there is no such checkpoint, or a file in it is cut short.
    """
    if wanted is None:
        return None
    folder = last_checkpoint(output_dir) if wanted == LAST_CHECKPOINT else Path(wanted)
    if folder is None:
        raise InputError(f"{output_dir} holds no checkpoint to resume from. Leave `resume_from_checkpoint` out.")
    if not (folder / STATE_NAME).is_file():
        raise InputError(f"{folder} is not a whole checkpoint of a training run (it holds no {STATE_NAME}).")
    for path in folder.iterdir():
        if not _is_whole(path):
            raise InputError(f"{path} is damaged or cut short. Resume from an earlier checkpoint, or start anew.")
    if _has_former_names(folder):
        raise InputError(
            f"{folder} was written by version 0.1, which called some weights otherwise: it can be evaluated and score, but "
            "its training cannot be resumed. Leave `resume_from_checkpoint` out, or go on with version 0.1."
        )
    return folder


def _has_former_names(folder: Path) -> bool:
    """Whether a checkpoint's weights have names that [`TRMForEssayScoring.from_pretrained`] translates."""
    for path in folder.glob("model*.safetensors"):
        with safe_open(path, framework="pt") as weights:
            names = " ".join(weights.keys())
        if any(re.search(rf"(^|[ .]){pattern}", names) for pattern in FORMER_NAMES):
            return True
    return False


def _is_whole(path: Path) -> bool:
    """Whether a file of a checkpoint has its end. Of other kinds than tensors nothing is said."""
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt"):
                return True
        except SafetensorError:
            return False
    # PyTorch's files are zip archives, whose directory stands at the end.
    return path.suffix not in (".pt", ".pth") or zipfile.is_zipfile(path)
