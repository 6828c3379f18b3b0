"""What the results in a folder depend on, written beside them, so that those of two settings never share a table."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trm_aes.errors import InputError
from trm_aes.files import read_json, write_json

SETTINGS = "settings.json"


def check_settings(folder: Path, settings: Mapping[str, Any], parameter: str, results: str = "*"):
    """
    Checks that what a folder holds already is of the same settings, and writes them down.

    Args:
        folder: of the results.
        settings: `name -> value`, as JSON has it.
        parameter: that names the folder, for the message.
        results: what the results in it are called, as a pattern; of such without settings nothing is known.

    Raises:
        InputError: if it does not; it names what differs.
    """
    path, now = folder / SETTINGS, json.loads(json.dumps(settings))
    if path.exists():
        before = read_json(path)
        other = [name for name in {**now, **before} if before.get(name) != now.get(name)]
        if other:
            raise InputError(
                f"{folder} holds results of other settings ({', '.join(other)}). Choose another `{parameter}`."
            )
    elif any(folder.glob(results)):
        raise InputError(f"{folder} holds results whose settings are not known. Choose another `{parameter}`.")
    write_json(path, now)
