"""What the results in a folder depend on, written beside them, so that those of two settings never share a table."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import trm_aes
from trm_aes.errors import InputError
from trm_aes.files import read_json, write_json

SETTINGS = "settings.json"
# Parts of the package that no result depends on.
APART = ("cli", "page", "publishing", "report")


def code_checksum(*modules: ModuleType) -> str:
    """Of the package that is measured, but for what only shows results, and of modules beside it."""
    package = Path(str(trm_aes.__file__)).parent
    files = [path for path in package.rglob("*.py") if path.relative_to(package).parts[0] not in APART]
    files += [*package.glob("presets/**/*.json"), *(Path(str(module.__file__)) for module in modules)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()


def check_settings(folder: Path, settings: Mapping[str, Any], parameter: str, *results: str):
    """
    Checks that what a folder holds already is of the same settings, and writes them down.

    Args:
        folder: of the results.
        settings: `name -> value`, as JSON has it.
        parameter: that names the folder, for the message.
        results: what results in it are called, as patterns.

    Raises:
        InputError: if there are results of other settings, or of settings that are not known; it names what differs.
    """
    path, now = folder / SETTINGS, json.loads(json.dumps(settings))
    if any(any(folder.glob(pattern)) for pattern in results):
        if not path.exists():
            raise InputError(f"{folder} holds results whose settings are not known. Choose another `{parameter}`.")
        before = read_json(path)
        other = [name for name in {**now, **before} if before.get(name) != now.get(name)]
        if other:
            raise InputError(
                f"{folder} holds results of other settings ({', '.join(other)}). Choose another `{parameter}`."
            )
    write_json(path, now)
