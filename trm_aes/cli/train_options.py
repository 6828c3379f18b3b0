"""The options of `trm-aes train`, read off the source of the dataclasses they fill.

They only serve help and an early refusal of what is wrong: `trm_aes.training.recipe` parses the command line again, with
`HfArgumentParser` over the dataclasses themselves, whose rules for turning a field into an option these follow.
"""

import argparse
import ast
from dataclasses import MISSING
from typing import Any

from ..presets import hardware_names, recipe_names
from .options import new_parser
from .parser import CommandParser
from .source import COMPUTED, Field, argument_docs, constant, fields

RUN = ("trm_aes.training.arguments", "RunArguments")
MODEL = ("trm_aes.model.configuration_trm", "TRMConfig")
TRAINING = ("trm_aes.training.arguments", "TRMTrainingArguments")
TRANSFORMERS = ("transformers.training_args", "TrainingArguments")
REQUIRED = ("data", "output_dir")
METAVARS = {"bool": "true|false", "int": "N", "float": "X", "str": "TEXT", "list": "TEXT"}


def build_parser() -> CommandParser:
    """The parser of `trm-aes train`: the run's options, the model's, ours of the training, and Transformers' own."""
    parser = new_parser(
        "train",
        f"Train a scorer. Recipes: {', '.join(recipe_names())}. Hardware: {', '.join(hardware_names())}. An option wins over "
        "the hardware preset, that over the recipe, and that over the default shown here.",
    )
    parser.usage = "trm-aes train --data FOLDER --output-dir FOLDER [options]"
    # Transformers has a `--debug` of its own, with a value; ours has none (trm_aes/cli/runner.py).
    parser.conflict_handler = "resolve"
    # Defaults stand in the help already, where they say something.
    parser.formatter_class = argparse.HelpFormatter
    theirs = {field.name: field for field in fields(*TRANSFORMERS)}
    ours = {field.name: field for field in fields(*TRAINING)}
    output_dir = Field("output_dir", "str", MISSING, {"help": "Folder for the trained scorer."})
    _add_group(parser, "run", [*fields(*RUN), output_dir])
    _add_group(parser, "model, where it shall differ from the recipe's", _model_fields())
    _add_group(parser, "training", list(ours.values()))
    left = [field for name, field in theirs.items() if name not in ours and name != output_dir.name]
    _add_group(parser, "training, options of Transformers (see its TrainingArguments)", left)
    return parser


def _model_fields() -> list[Field]:
    """Fields of `TRMConfig`, all optional: what is not given comes from the recipe."""
    not_chosen = constant("trm_aes.training.recipe", "NOT_CHOSEN")
    docs = argument_docs(*MODEL)
    return [
        Field(field.name, f"{field.annotation} | None", None, {"help": docs[field.name].replace("%", "%%")})
        for field in fields(*MODEL)
        if field.name not in not_chosen
    ]


def _add_group(parser: argparse.ArgumentParser, title: str, group_fields: list[Field]):
    group = parser.add_argument_group(title)
    for field in group_fields:
        flag = field.name.replace("_", "-")
        group.add_argument(f"--{flag}", required=field.name in REQUIRED, **_settings(field))
        if field.annotation.startswith("bool") and field.default is True:
            group.add_argument(f"--no-{flag}", dest=field.name, action="store_false", help=argparse.SUPPRESS)


def _settings(field: Field) -> dict[str, Any]:
    """What argparse is to make of a field, by the rules of `HfArgumentParser`."""
    kind = _kind(field.annotation)
    settings: dict[str, Any] = {
        "metavar": METAVARS.get(kind, "TEXT"),
        "default": None if field.default in (MISSING, COMPUTED) else field.default,
        "help": field.metadata.get("help", "") + _shown_default(field.default),
    }
    if kind.startswith("Literal"):
        settings["choices"] = ast.literal_eval(kind.removeprefix("Literal"))
        settings["metavar"] = "|".join(settings["choices"])
    elif kind == "bool":
        settings["type"] = true_or_false
        if "None" not in field.annotation or field.default is not None:
            settings |= {"nargs": "?", "const": True}
    elif kind == "list":
        settings["nargs"] = "+"
    elif kind in ("int", "float"):
        settings["type"] = int if kind == "int" else float
    given = {name: value for name, value in field.metadata.items() if name != "help" and value is not COMPUTED}
    return {**settings, **given}


def _kind(annotation: str) -> str:
    """
    The one kind of value that the command line takes for an annotation: `bool`, `int`, `float`, `list`, `Literal[…]`, or
    `str` for all else, which is checked only when the classes are imported.
    """
    kinds = [part.strip() for part in annotation.split("|")]
    is_optional = "None" in kinds
    kinds = [kind for kind in kinds if kind != "None"]
    if not is_optional and "str" in kinds and len(kinds) == 2:
        kinds.remove("str")
    if set(kinds) == {"float", "int"}:
        return "float"
    if kinds[0].startswith("list["):
        # Of an optional union the second kind counts, in older versions of Transformers.
        return "str" if is_optional and kinds[1:2] == ["str"] else "list"
    is_known = kinds[0] in METAVARS or kinds[0].startswith("Literal")
    return kinds[0] if is_known and (len(kinds) == 1 or kinds[0] == "str") else "str"


def _shown_default(default: Any) -> str:
    if default is None or default in (MISSING, COMPUTED):
        return ""
    shown = str(default).lower() if isinstance(default, bool) else str(default)
    return f" (default: {shown})".replace("%", "%%")


def true_or_false(text: str) -> bool:
    """
    The truth value that a word stands for, as `HfArgumentParser` reads it.

    Raises:
        argparse.ArgumentTypeError: for what `HfArgumentParser` takes for neither.
    """
    lowered = text.lower()
    if lowered in ("yes", "true", "t", "y", "1"):
        return True
    if lowered in ("no", "false", "f", "n", "0"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
