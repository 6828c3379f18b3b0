"""JSON objects against the types that a dataclass declares for its fields."""

from collections.abc import Collection, Mapping
from typing import Any, TypedDict

from huggingface_hub.dataclasses import validate_typed_dict
from huggingface_hub.errors import StrictDataclassFieldValidationError

from .errors import InputError, brief
from .naming import listing


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
    declared = {name: float | int if kind is float else kind for name, kind in types.items() if name in values}
    schema: Any = TypedDict("Declared", declared, total=False)  # type: ignore[misc]
    try:
        validate_typed_dict(schema, {name: values[name] for name in declared})  # type: ignore[type-var]
    except StrictDataclassFieldValidationError as error:
        cause = error.__cause__
        raise InputError(f"{where}: {brief(cause if isinstance(cause, Exception) else error)}.") from None


def refuse_unknown(values: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """
    Checks that a JSON object holds nothing that would be passed over.

    Raises:
        InputError: for the first key that is not among the known ones; it names the file and the key.
    """
    for key in values:
        if key not in known:
            raise InputError(f"{where}: unknown key {key!r}; known are {listing(sorted(known), key)}")
