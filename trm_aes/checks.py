"""Checks of single values that the command line makes before the library is loaded, and the library again."""

from .errors import InputError


def check_at_least_one(value: int, parameter: str):
    """
    Checks a number of things.

    Raises:
        InputError: if it is below 1; it names the `parameter`.
    """
    if value < 1:
        raise InputError(f"`{parameter}` must be at least 1, got {value}.")
