"""What the benchmark compares: recipes with their variations, and peers, each under a name that says all of it."""

import json
from dataclasses import dataclass, field
from typing import Any

from trm_aes.errors import InputError
from trm_aes.presets import recipe_names
from trm_aes.training.arguments import TRMTrainingArguments
from trm_aes.training.recipe import check_fields

from .peers import PEERS

SET_BY_THE_BENCHMARK = {"seed": "--seeds", "output_dir": "--work-dir"}


@dataclass(frozen=True)
class System:
    """
    Args:
        name: as given on the command line: a recipe or a peer, then what is changed of a recipe, as in
            `tiny:H_cycles=1,L_cycles=1`.
        base: the recipe or the peer.
        model: changed fields of `TRMConfig`.
        training: changed fields of `TRMTrainingArguments`.
    """

    name: str
    base: str
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def is_recipe(self) -> bool:
        return self.base not in PEERS

    @property
    def slug(self) -> str:
        """A folder name."""
        return "".join(letter if letter.isalnum() or letter in "-_.=" else "_" for letter in self.name)


def parse_system(name: str) -> System:
    """
    Raises:
        InputError: for a name that is neither a recipe nor a peer, or changes what cannot be changed.
    """
    base, _, changes = name.partition(":")
    if base not in recipe_names() and base not in PEERS:
        raise InputError(
            f"--system {name}: {base!r} is no recipe ({', '.join(recipe_names())}) or peer ({', '.join(PEERS)})."
        )
    system = System(name, base)
    if changes and not system.is_recipe:
        raise InputError(f"--system {name}: a peer has nothing to change.")
    for change in filter(None, changes.split(",")):
        key, equals, value = change.partition("=")
        if not equals:
            raise InputError(f"--system {name}: {change!r} is not KEY=VALUE.")
        if key in SET_BY_THE_BENCHMARK:
            raise InputError(f"--system {name}: {key} is the benchmark's to set: see {SET_BY_THE_BENCHMARK[key]}.")
        target = system.training if key in TRMTrainingArguments.__dataclass_fields__ else system.model
        target[key] = _parse_value(value)
    check_fields(f"--system {name}", system.model, system.training)
    return system


def _parse_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
