"""JSON objects against the types that a dataclass declares for its fields."""

import json
import math
from collections.abc import Collection, Mapping
from types import UnionType
from typing import Any, Literal, TypedDict, Union, get_args, get_origin

from huggingface_hub.dataclasses import validate_typed_dict
from huggingface_hub.errors import StrictDataclassFieldValidationError

from .errors import InputError
from .naming import listing

IN_WORDS = {
    bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list", dict: "an object",
    type(None): "null",
}  # fmt: skip
SHOWN_LETTERS = 60


def check_types(values: Mapping[str, Any], types: Mapping[str, Any], where: str) -> None:
    """
    Checks values that were read from a JSON file. A whole number will do where a fraction is asked for: JSON has one kind
    of number.

    Args:
        values: `name -> value`; names that `types` lacks are not looked at.
        types: `name -> type`, as `typing.get_type_hints` gives them for a dataclass.
        where: the file and the part of it, for the message.

    Raises:
        InputError: for the first value of another type; it names the file, the key and the value.
    """
    for name, kind in types.items():
        if name in values and not _is_of(values[name], kind):
            shown = json.dumps(values[name], ensure_ascii=False, default=str)
            raise InputError(f"{where}: {name!r} must be {in_words(kind)}, not {_shortened(shown)}.")


def in_words(kind: Any) -> str:
    """What a type asks for, in people's words: `int | None` is "a whole number or null"."""
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    if get_origin(kind) in (Union, UnionType):
        # A number that need not be whole may be whole.
        kinds = [part for part in get_args(kind) if not (part is int and float in get_args(kind))]
        return " or ".join(dict.fromkeys(map(in_words, kinds)))
    if get_origin(kind) in (list, tuple) and get_args(kind):
        return f"a list, each entry {in_words(get_args(kind)[0])}"
    if get_origin(kind) is dict:
        return f"an object, each value {in_words(get_args(kind)[1])}"
    return IN_WORDS.get(kind, "another kind of value")


def _is_of(value: Any, kind: Any) -> bool:
    """Whether a value is of a type, numbers in it finite."""
    kind = float | int if kind is float else kind
    schema: Any = TypedDict("schema", {"value": kind})
    try:
        validate_typed_dict(schema, {"value": value})  # type: ignore[type-var]
    except StrictDataclassFieldValidationError:
        return False
    return not isinstance(value, float) or math.isfinite(value)


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_LETTERS else text[:SHOWN_LETTERS] + " …"


def refuse_unknown(values: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """
    Checks that a JSON object holds nothing that would be passed over.

    Raises:
        InputError: for the first key that is not among the known ones; it names the file and the key.
    """
    for key in values:
        if key not in known:
            raise InputError(f"{where}: unknown key {key!r}; known are {listing(sorted(known), key)}")
