"""Presets, as data: recipes (what is trained, and how) and hardware (on what). Each is a JSON file beside this one."""

import json
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from ..errors import InputError


@dataclass(frozen=True)
class Recipe:
    """
    Args:
        description: one line for people.
        model: fields of `TRMConfig`.
        training: fields of `TRMTrainingArguments`.
        embeddings: `rescale` and `freeze`, for the word embeddings copied from a pretrained encoder.
    """

    description: str
    model: dict[str, Any]
    training: dict[str, Any]
    embeddings: dict[str, bool]


@dataclass(frozen=True)
class Hardware:
    """
    Args:
        description: one line for people.
        device: `cpu`, `mps` or `cuda`: what must be there.
        training: fields of `TRMTrainingArguments`.
    """

    description: str
    device: str
    training: dict[str, Any] = field(default_factory=dict)


def recipe_names() -> list[str]:
    return _names("recipes")


def hardware_names() -> list[str]:
    return _names("hardware")


def load_recipe(name: str) -> Recipe:
    """
    Raises:
        InputError: if there is no recipe of that name.
    """
    return Recipe(**_load("recipes", name))


def load_hardware(name: str) -> Hardware:
    """
    Raises:
        InputError: if there is no hardware preset of that name.
    """
    return Hardware(**_load("hardware", name))


def _names(kind: str) -> list[str]:
    files = resources.files(__package__).joinpath(kind).iterdir()
    return sorted(file.name.removesuffix(".json") for file in files if file.name.endswith(".json"))


def _load(kind: str, name: str) -> dict[str, Any]:
    if name not in _names(kind):
        option = {"recipes": "--recipe", "hardware": "--hardware"}[kind]
        raise InputError(f"{option} {name}: no such preset; there are {', '.join(_names(kind))}.")
    return json.loads(resources.files(__package__).joinpath(kind, f"{name}.json").read_text(encoding="utf-8"))
