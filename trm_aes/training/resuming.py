"""The checkpoint in the folder of a training run to go on from."""

import json
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from ..data.dataset import EssayDataset
from ..errors import InputError
from ..files import read_json
from ..model.modeling_trm import FORMER_NAMES
from ..typed_json import check_types
from .folder import AVERAGE_STATE_NAME, SETTINGS_NAME, STATE_NAME, checkpoints, unfinished_folder
from .recipe import TrainingPlan

LAST_CHECKPOINT = "last"
# Without each of these a run cannot go on as if it had not been interrupted. Under FSDP and with several processes the
# names go on (`rng_state_0.pth`).
NEEDED_FILES = ("model.safetensors", "optimizer", "scheduler", "rng_state")
OWN_WEIGHTS_NAME = "optimizer_weights.safetensors"
# What is needed of the files that are JSON.
JSON_FILES: dict[str, dict[str, Any]] = {
    STATE_NAME: {"global_step": int, "epoch": float, "max_steps": int},
    AVERAGE_STATE_NAME: {"num_updates": int},
    SETTINGS_NAME: {"data": str, "model": dict, "choices": dict, "training": dict},
}
# Essays in a batch: of all processes, and of all parts that are accumulated.
ESSAYS_AT_ONCE = "essays in a batch"
# Of a plan's choices and training arguments, those that the same run has.
SAME_CHOICES = (
    "embeddings", "rescale_embeddings", "freeze_embeddings", "encoder", "encoder_layers", "freeze_encoder", "text_features",
    "revision", "shrink_recursion", "auxiliary_columns", "traits",
)  # fmt: skip
SAME_TRAINING = (
    "seed", "data_seed", "learning_rate", "embedding_learning_rate", "weight_decay", "adam_beta1", "adam_beta2",
    "adam_epsilon", "max_grad_norm", "optim", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "ema_decay",
    "halt_exploration_prob", "metric_for_best_model", "greater_is_better",
)  # fmt: skip


def last_checkpoint(output_dir: str | os.PathLike) -> Path | None:
    """The newest whole checkpoint of a run. The trainer's state is written last, so one that lacks it is not whole."""
    return next((folder for folder in reversed(checkpoints(output_dir)) if (folder / STATE_NAME).is_file()), None)


def last_good_checkpoint(output_dir: str | os.PathLike) -> Path | None:
    """The newest whole checkpoint of a run whose weights are all finite numbers."""
    for folder in reversed(checkpoints(output_dir)):
        if (folder / STATE_NAME).is_file() and all(map(_is_whole, folder.iterdir())) and _is_finite(folder):
            return folder
    return None


def settings_of(plan: TrainingPlan, data: EssayDataset) -> dict[str, Any]:
    """
    What a run that goes on must have in common with the one that it goes on from, as JSON has it: what decides the model, the
    essays, their order and each step. How long it trains, how often it saves, and on what machine may change.
    """
    choices = {name: plan.choices[name] for name in SAME_CHOICES}
    args = plan.training
    training = {name: getattr(args, name) for name in SAME_TRAINING}
    training[ESSAYS_AT_ONCE] = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    settings = {
        "data": data.essays_checksum or data.checksum,
        "model": plan.model,
        "choices": choices,
        "training": training,
    }
    return json.loads(json.dumps(settings, default=str))


def checkpoint_to_resume(output_dir: str | os.PathLike, wanted: str | None, settings: dict[str, Any]) -> Path | None:
    """
    The checkpoint that a run goes on from.

    Args:
        output_dir: of the run.
        wanted: folder of a checkpoint, `last` for the newest of the run that is to take the place of `output_dir` where
            there is one, else of `output_dir`; or None to start anew.
        settings: of the run (see [`settings_of`]).

    Raises:
        InputError: if there is no such checkpoint, a file in it is missing or damaged, it is of a run with other settings, or it
            cannot be gone on from.
    """
    if wanted is None:
        return None
    if wanted == LAST_CHECKPOINT:
        folder = last_checkpoint(unfinished_folder(output_dir)) or last_checkpoint(output_dir)
    else:
        folder = Path(wanted)
    if folder is None:
        raise InputError(f"{output_dir} holds no checkpoint to resume from. Leave `resume_from_checkpoint` out.")
    if not (folder / STATE_NAME).is_file():
        raise InputError(f"{folder} is not a whole checkpoint of a training run (it holds no {STATE_NAME}).")
    _check_files(folder)
    if _has_former_names(folder):
        raise InputError(
            f"{folder} was written by version 0.1, which called some weights otherwise: it can be evaluated and score, but "
            "its training cannot be resumed. Leave `resume_from_checkpoint` out, or go on with version 0.1."
        )
    _check_settings(folder, settings)
    return folder


def _check_settings(folder: Path, settings: dict[str, Any]):
    """Refuses to go on as another run than was begun: half of its steps would be of either."""
    if not (folder / SETTINGS_NAME).exists():
        # Of an earlier version, which does not tell.
        return
    begun = read_json(folder / SETTINGS_NAME)
    if begun["data"] != settings["data"]:
        raise InputError(
            f"{folder} is of a run on another data set, or another draw of the same essays: some of its training essays may be "
            "validation or test essays of `data`. Resume with the data set of that run, or start anew."
        )
    for part in ("model", "choices", "training"):
        for name in dict.fromkeys((*begun[part], *settings[part])):
            before, now = begun[part].get(name), settings[part].get(name)
            if before != now:
                what = name if name == ESSAYS_AT_ONCE else f"`{name}`"
                raise InputError(
                    f"{folder} is of a run with {what} {before}, and this one has {now}. Resume with the same options, or start "
                    "anew."
                )


def _check_files(folder: Path):
    otherwise = "Resume from an earlier checkpoint, or start anew."
    names = [path.name for path in folder.iterdir() if path.name != OWN_WEIGHTS_NAME]
    for needed in NEEDED_FILES:
        # A checkpoint may hold our code as well, `modeling_trm.py` among it.
        if not any(re.fullmatch(rf"{re.escape(needed)}([._-].*)?", name) for name in names):
            raise InputError(f"{folder} holds no file {needed}, which a run needs to go on. {otherwise}")
    for path in folder.iterdir():
        if not _is_whole(path):
            raise InputError(f"{path} is damaged or cut short. {otherwise}")
    for name, types in JSON_FILES.items():
        path = folder / name
        if not path.exists():
            # Without a moving average of the weights there is no state of it.
            continue
        content = read_json(path)
        if not isinstance(content, dict) or not set(types) <= set(content):
            raise InputError(f"{path} is damaged: it is not what a training run writes there. {otherwise}")
        check_types(content, types, str(path))


def _has_former_names(folder: Path) -> bool:
    """Whether a checkpoint's weights have names that [`TRMForEssayScoring.from_pretrained`] translates."""
    for path in folder.glob("model*.safetensors"):
        with safe_open(path, framework="pt") as weights:
            names = " ".join(weights.keys())
        if any(re.search(rf"(^|[ .]){pattern}", names) for pattern in FORMER_NAMES):
            return True
    return False


def _is_finite(folder: Path) -> bool:
    """Whether all weights of a checkpoint are finite numbers."""
    weights = (tensor for path in folder.glob("model*.safetensors") for tensor in load_file(path).values())
    return all(bool(torch.isfinite(tensor).all()) for tensor in weights)


def _is_whole(path: Path) -> bool:
    """Whether a file of a checkpoint is whole. Of other kinds than tensors nothing is said."""
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt"):
                return True
        except SafetensorError:
            return False
    if path.suffix not in (".pt", ".pth"):
        return True
    # PyTorch's files are zip archives, whose directory stands at the end.
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except zipfile.BadZipFile:
        return False
