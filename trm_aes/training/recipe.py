"""Options of a training run, of three kinds (the run's, the model's, the Trainer's), over the presets."""

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import field, make_dataclass
from typing import Literal, get_args, get_origin

from transformers import HfArgumentParser

from ..devices import available_device
from ..errors import InputError
from ..model.configuration_trm import TRMConfig
from ..presets import hardware_names, load_hardware, load_recipe, recipe_names
from .arguments import TRMTrainingArguments
from .run import RunArguments

AUTO_HARDWARE = "auto"
REPORTERS = ("wandb", "trackio", "tensorboard")
# Follow from the data set and the tokenizer.
NOT_CHOSEN = ("vocab_size", "type_vocab_size", "pad_token_id", "problem_type", "score_ranges", "prompt_texts",
              "max_prompt_tokens")  # fmt: skip


def _option_type(annotation):
    """The one type that a command line gives for a field: `float` for `float | int`, `int` for `int | None`."""
    if get_origin(annotation) is Literal:
        return annotation
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)] or [annotation]
    return float if float in kinds else kinds[0]


def _model_options() -> type:
    """A dataclass of `TRMConfig`'s own fields, all optional: what is not given comes from the recipe."""
    return make_dataclass(
        "ModelOptions",
        [
            (name, _option_type(annotation) | None, field(default=None, metadata={"help": "See TRMConfig."}))
            for name, annotation in TRMConfig.__annotations__.items()
            if name not in NOT_CHOSEN
        ],
    )


def parse_arguments(argv: Sequence[str] | None) -> tuple[RunArguments, dict, TRMTrainingArguments]:
    """
    Options over presets: what the command line gives wins over the hardware preset, that over the recipe, that over
    the defaults.

    Returns:
        The run's arguments, the model's fields that were given, the Trainer's arguments.

    Raises:
        InputError: for presets that do not exist, hardware that is absent, and values that contradict one another.
    """
    parser = HfArgumentParser(
        (RunArguments, _model_options(), TRMTrainingArguments),
        prog="trm-aes train",
        description=f"Train a scorer. Recipes: {', '.join(recipe_names())}. Hardware: {', '.join(hardware_names())}.",
        allow_abbrev=False,
    )
    parser.set_defaults(output_dir=None)
    chosen = parser.parse_args(argv)
    recipe = load_recipe(chosen.recipe)
    hardware_name = available_device() if chosen.hardware == AUTO_HARDWARE else chosen.hardware
    hardware = load_hardware(hardware_name)
    _check_device(hardware_name, hardware.device)
    parser.set_defaults(**recipe.training, **hardware.training)
    try:
        run, model, args = parser.parse_args_into_dataclasses(argv, look_for_args_file=False)
    except (ValueError, ImportError) as error:
        raise InputError(" ".join(str(error).split())) from None
    for reporter in args.report_to:
        if reporter in REPORTERS and importlib.util.find_spec(reporter) is None:
            raise InputError(f"--report_to {reporter} needs a package: pip install 'trm-aes[{reporter}]'")
    if not chosen.output_dir:
        raise InputError("--output_dir is needed: the folder for the trained scorer.")
    run.hardware = hardware_name
    if run.project_name:
        args.project = run.project_name
        os.environ["WANDB_PROJECT"] = run.project_name
    return run, {name: value for name, value in vars(model).items() if value is not None}, args


def _check_device(name: str, device: str):
    there = available_device()
    if device not in ("cpu", there):
        raise InputError(
            f"--hardware {name} needs {device.upper()}, which is absent here (PyTorch finds {there}). "
            f"Use --hardware {there}."
        )
