"""The version of this package, and the lowest versions of Transformers that it and its models work with."""

import importlib.metadata

from packaging.version import Version

from .errors import DependencyError

__version__ = "0.2.0.dev0"
# requirements.txt says the same, and a test compares the two. Before it, the Trainer's gradients are too small under
# gradient accumulation: it and Accelerate both divide by the number of micro-batches.
MIN_TRANSFORMERS = "5.6"
# The lowest with which a saved model loads and scores by the code beside its weights. Before it, configurations are not
# dataclasses.
MIN_TRANSFORMERS_WITHOUT_PACKAGE = "5.4"
# Sharded training (FSDP): with Transformers 5.6 and Accelerate 1.6 it ends with other weights than one process does.
MIN_SHARDING = {"transformers": "5.23", "accelerate": "1.15"}


def check_transformers() -> None:
    """
    Checks the installed Transformers by its metadata, without importing it.

    Raises:
        DependencyError: if it is missing, or older than `MIN_TRANSFORMERS`.
    """
    _check("trm-aes", "transformers", MIN_TRANSFORMERS)


def check_sharding() -> None:
    """
    Checks that training under FSDP is among what was tested with the installed versions.

    Raises:
        DependencyError: if one is missing, or older than `MIN_SHARDING` says.
    """
    for package, lowest in MIN_SHARDING.items():
        _check("Training under FSDP", package, lowest)


def _check(who: str, package: str, lowest: str) -> None:
    try:
        version = importlib.metadata.version(package)
        found = f"version {version} is installed"
        is_enough = _release(version) >= _release(lowest)
    except importlib.metadata.PackageNotFoundError:
        found = "none is installed"
        is_enough = False
    if not is_enough:
        raise DependencyError(
            f"{who} needs {package} {lowest} or later, and {found}: pip install '{package}>={lowest}'"
        )


def _release(version: str) -> tuple[int, ...]:
    """`"5.23rc1"` and `"5.23.0.dev0"` to `(5, 23)`: what comes after does not decide whether the package works."""
    return Version(version).release[:2]
