"""Outputs that appear whole or not at all: written under a temporary name, then renamed."""

import contextlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import InputError


def is_occupied(path: str | os.PathLike) -> bool:
    """Whether a file, or a folder that is not empty, has this path."""
    path = Path(path)
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


def check_is_free(path: str | os.PathLike, overwrite: bool) -> Path:
    """
    Checks that an output may be written.

    Raises:
        InputError: if `path` exists (an empty folder does not count) and `overwrite` is false.
    """
    path = Path(path)
    if is_occupied(path) and not overwrite:
        raise InputError(f"{path} exists. Choose another output, or pass `overwrite` to replace it.")
    return path


@contextlib.contextmanager
def new_folder(path: str | os.PathLike, overwrite: bool = False) -> Iterator[Path]:
    """
    A temporary folder beside `path` that takes its place when the block ends well, and vanishes when it does not.

    Raises:
        InputError: if `path` exists and `overwrite` is false.
    """
    path = check_is_free(path, overwrite)
    if path.is_file():
        raise InputError(f"{path} is a file, and the output is a folder. Choose another output.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        if path.is_dir():
            replaced = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
            os.replace(path, replaced / path.name)
            os.replace(temporary, path)
            shutil.rmtree(replaced)
        else:
            os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def new_file(path: str | os.PathLike, overwrite: bool = False) -> Iterator[Path]:
    """
    A temporary file name beside `path`; the file takes its place when the block ends well.

    Raises:
        InputError: if `path` exists and `overwrite` is false.
    """
    path = check_is_free(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_files(folder: str | os.PathLike) -> Iterator[Path]:
    """A temporary folder inside `folder`; when the block ends well its files move up, each replacing its predecessor."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".", suffix=".tmp", dir=folder))
    try:
        yield temporary
        for path in temporary.iterdir():
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: str | os.PathLike, content: Any, overwrite: bool = True):
    """Writes JSON that any parser reads: numbers that are not finite become null."""
    with new_file(path, overwrite) as temporary:
        temporary.write_text(
            json.dumps(_finite(content), indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8"
        )


def read_json(path: str | os.PathLike) -> Any:
    """
    The content of a JSON file.

    Raises:
        InputError: if the file is missing or is not JSON.
    """
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}.") from None


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(key): _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    if hasattr(content, "item") and getattr(content, "ndim", None) == 0:
        content = content.item()
    return None if isinstance(content, float) and not math.isfinite(content) else content
