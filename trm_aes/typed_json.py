"""JSON objects against the types that a dataclass declares for its fields, and dataclasses read from JSON files."""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypedDict, TypeVar, Union, get_args, get_origin, get_type_hints

from huggingface_hub.dataclasses import validate_typed_dict
from huggingface_hub.errors import StrictDataclassFieldValidationError

from .errors import InputError
from .files import read_json
from .naming import listing

IN_WORDS = {
    bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list", dict: "an object",
    type(None): "null",
}  # fmt: skip
SHOWN_LETTERS = 60

T = TypeVar("T")


def read_record(kind: type[T], path: Path, program: str, format_version: int) -> T:
    """
    An object of a dataclass, and of the dataclasses within it, from a JSON file. Keys that it has no field for are passed
    over. A field's metadata may name `keys` that its object must hold, and `keys_of_each` that each object in it must.

    Args:
        kind: the dataclass, which has a field `format_version`.
        path: of the file.
        program: that writes such files, for the message.
        format_version: the highest that this version reads.

    Raises:
        InputError: if there is no such file, or it is damaged, from a later version, or not such a record.
    """
    content = read_json(path)
    found = content.get("format_version", format_version) if isinstance(content, dict) else format_version
    if isinstance(found, int) and found > format_version:
        raise InputError(f"{path} has format version {found}, this version reads {format_version}: upgrade trm-aes.")
    try:
        return _build(kind, content, str(path))
    except InputError as error:
        raise InputError(f"{error} Is it what `{program}` wrote? If an earlier version did, run that again.") from None


def _build(kind: type[T], content: Any, where: str) -> T:
    if not isinstance(content, dict):
        raise InputError(f"{where} holds no JSON object.")
    types, values = get_type_hints(kind), {}
    for item in fields(kind):  # type: ignore[arg-type]
        if item.name in content:
            values[item.name] = _build_value(types[item.name], content[item.name], f"{where}, {item.name}")
        elif item.default is MISSING and item.default_factory is MISSING:
            raise InputError(f"{where} lacks {item.name!r}.")
    check_types(values, types, where)
    for item in fields(kind):  # type: ignore[arg-type]
        _check_keys(item, values.get(item.name), f"{where}, {item.name}")
    return kind(**values)


def _build_value(kind: Any, value: Any, where: str) -> Any:
    """A field's value, the dataclasses in it built: one, one or none, or those of a list or of an object's values."""
    if isinstance(kind, type) and is_dataclass(kind):
        return _build(kind, value, where)
    if get_origin(kind) is list and isinstance(value, list):
        return [_build_value(get_args(kind)[0], item, f"{where} {place}") for place, item in enumerate(value, start=1)]
    if get_origin(kind) is dict and isinstance(value, dict):
        return {key: _build_value(get_args(kind)[1], item, f"{where}, {key}") for key, item in value.items()}
    if get_origin(kind) in (Union, UnionType) and value is not None:
        nested = [part for part in get_args(kind) if isinstance(part, type) and is_dataclass(part)]
        return _build(nested[0], value, where) if nested else value
    return value


def _check_keys(item: Field, value: Any, where: str):
    needed = [(where, value, key) for key in item.metadata.get("keys", ())]
    for name, inner in value.items() if "keys_of_each" in item.metadata else ():
        needed += [(f"{where}, {name}", inner, key) for key in item.metadata["keys_of_each"]]
    for place, holder, key in needed:
        if key not in holder:
            raise InputError(f"{place} lacks {key!r}.")


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
    kind = _with_whole_numbers(kind)
    schema: Any = TypedDict("schema", {"value": kind})
    try:
        validate_typed_dict(schema, {"value": value})  # type: ignore[type-var]
    except StrictDataclassFieldValidationError:
        return False
    return _is_finite(value, kind)


def _is_finite(value: Any, kind: Any) -> bool:
    """Whether numbers are finite, those within lists and objects whose entries the type declares among them."""
    if not isinstance(value, (list, dict)):
        return not isinstance(value, float) or math.isfinite(value)
    parts = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    inner = [get_args(part)[-1] for part in parts if get_origin(part) is type(value)]
    if not inner or inner[0] is Any:
        return True
    return all(_is_finite(item, inner[0]) for item in (value.values() if isinstance(value, dict) else value))


def _with_whole_numbers(kind: Any) -> Any:
    """A type that takes whole numbers wherever it takes fractions."""
    if kind is float:
        return float | int
    if get_origin(kind) in (Union, UnionType):
        return Union[tuple(map(_with_whole_numbers, get_args(kind)))]  # noqa: UP007
    if get_origin(kind) in (list, dict):
        return get_origin(kind)[tuple(map(_with_whole_numbers, get_args(kind)))]
    return kind


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
