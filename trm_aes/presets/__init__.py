"""Presets, as data: recipes (what is trained, and how) and hardware (on what). Each is a JSON file beside this one."""

import json
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from ..bounds import check_bounds
from ..errors import InputError
from ..files import read_json
from ..naming import listing
from ..typed_json import check_types, refuse_unknown

# The recipe that is used where none is named.
DEFAULT_RECIPE = "default"
RECIPE_SECTIONS = {
    "description": str, "model": dict, "training": dict, "embeddings": dict, "encoder": dict, "text_features": bool,
}  # fmt: skip
EMBEDDING_CHOICES = {"rescale": bool, "freeze": bool}
ENCODER_CHOICES = {"name": str, "layers": int, "freeze": bool}


@dataclass(frozen=True)
class Recipe:
    """
    What is trained, and how. What a recipe leaves out keeps the defaults of the classes that are named here.

    Args:
        name: of the preset, or the path of a file of one's own.
        description: one line for people.
        model: fields of `TRMConfig`.
        training: fields of `TRMTrainingArguments`.
        embeddings: `rescale` (true if left out) and `freeze` (false if left out), for word embeddings that are copied
            from a pretrained encoder; see [`copy_word_embeddings`].
        encoder: `name`, `layers` and `freeze` (true if left out) of the pretrained encoder whose states the latents read;
            see [`copy_encoder`]. Empty for a model that reads word embeddings.
        text_features: whether the model is told what is countable in the essays' texts.
    """

    name: str
    description: str = ""
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    embeddings: dict[str, bool] = field(default_factory=dict)
    encoder: dict[str, Any] = field(default_factory=dict)
    text_features: bool = False

    @property
    def rescale_embeddings(self) -> bool:
        """Whether copied word embeddings are scaled to a root mean square of 1."""
        return self.embeddings.get("rescale", True)

    @property
    def freeze_embeddings(self) -> bool:
        """Whether copied word embeddings are kept out of training."""
        return self.embeddings.get("freeze", False)


@dataclass(frozen=True)
class Hardware:
    """
    A kind of hardware, and how a run makes use of it.

    Args:
        name: of the preset.
        description: one line for people.
        device: `cpu`, `mps` or `cuda`: what must be there.
        training: fields of `TRMTrainingArguments`.
    """

    name: str
    description: str
    device: str
    training: dict[str, Any] = field(default_factory=dict)


def recipe_names() -> list[str]:
    """Names of the recipe presets, in alphabetical order."""
    return _names("recipes")


def hardware_names() -> list[str]:
    """Names of the hardware presets, in alphabetical order."""
    return _names("hardware")


def is_recipe_file(recipe: str) -> bool:
    """Whether a recipe is given as the path of a file: it ends in `.json` or has a folder. Otherwise it is a name."""
    return recipe.endswith(".json") or len(Path(recipe).parts) > 1


def load_recipe(recipe: str) -> Recipe:
    """
    Reads a recipe.

    Args:
        recipe: name of a preset, or path of a JSON file of the same shape:
            an object with some of the fields of [`Recipe`] but its name.

    Raises:
        InputError: if there is no such preset or file, or the file has another shape.
    """
    if is_recipe_file(recipe):
        if not Path(recipe).is_file():
            raise InputError(f"`recipe` {recipe}: there is no such file.")
        return _recipe_of_file(recipe, read_json(recipe))
    if recipe not in recipe_names():
        raise InputError(
            f"`recipe` {recipe}: no such preset; there are {listing(recipe_names(), recipe)} Or give the path of a .json file."
        )
    return Recipe(recipe, **_load("recipes", recipe))


def load_hardware(name: str) -> Hardware:
    """
    Reads a hardware preset.

    Raises:
        InputError: if there is no hardware preset of that name.
    """
    if name not in hardware_names():
        raise InputError(f"`hardware` {name}: no such preset; there are {listing(hardware_names(), name)}")
    return Hardware(name, **_load("hardware", name))


def _recipe_of_file(path: str, content: Any) -> Recipe:
    if not isinstance(content, dict):
        raise InputError(f"{path}: a recipe is a JSON object, and this is not one.")
    refuse_unknown(content, RECIPE_SECTIONS, path)
    check_types(content, RECIPE_SECTIONS, path)
    for section, choices in (("embeddings", EMBEDDING_CHOICES), ("encoder", ENCODER_CHOICES)):
        chosen = content.get(section, {})
        refuse_unknown(chosen, choices, f"{path}, {section}")
        check_types(chosen, choices, f"{path}, {section}")
    encoder = content.get("encoder", {})
    if encoder and not {"name", "layers"} <= set(encoder):
        raise InputError(f"{path}, encoder: give both `name` and `layers`.")
    check_bounds({"encoder_layers": encoder.get("layers")}, f"{path}, encoder")
    return Recipe(path, **content)


def _names(kind: str) -> list[str]:
    files = resources.files(__package__).joinpath(kind).iterdir()
    return sorted(file.name.removesuffix(".json") for file in files if file.name.endswith(".json"))


def _load(kind: str, name: str) -> dict[str, Any]:
    return json.loads(resources.files(__package__).joinpath(kind, f"{name}.json").read_text(encoding="utf-8"))
