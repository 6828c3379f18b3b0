"""Outputs that appear whole or not at all, each owned by one run: written under another name, then renamed.

Beside an output `NAME` lie, while a run writes it and after one that was killed, `.NAME.lock` (who owns it), `.NAME.new`
(what is being written) and `.NAME.old` (what it takes the place of). The next run puts back or clears what is left of them.
"""

import contextlib
import datetime
import hashlib
import json
import logging
import math
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .errors import InputError

logger = logging.getLogger(__name__)


def beside(path: Path, kind: str) -> Path:
    """The path of what lies beside an output: `.NAME.KIND`."""
    return path.with_name(f".{path.name}.{kind}")


def is_occupied(path: str | os.PathLike) -> bool:
    """Whether a file, or a folder that is not empty, has this path."""
    path = Path(path)
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


def check_is_free(path: str | os.PathLike, overwrite: bool) -> Path:
    """
    Checks that an output may be written.

    Raises:
        InputError: if `path` exists (an empty folder does not count) and `overwrite` is false, or nothing can be written
            there.
    """
    path = Path(path)
    _check_place(followed(path))
    if is_occupied(path) and not overwrite:
        raise InputError(f"{path} exists. Choose another output, or pass `overwrite` to replace it.")
    return path


def followed(path: str | os.PathLike) -> Path:
    """
    The path that links lead to.

    Raises:
        InputError: if a link leads to itself.
    """
    found = Path(os.path.realpath(path))
    if found.is_symlink():
        raise InputError(f"{path} is a link that leads to itself.")
    return found


def _check_place(path: Path):
    """Checks the folder in which an output is to be written, or the first above it that there is."""
    # The root is in no folder but itself.
    parent = next((parent for parent in path.parents if parent.exists()), path)
    if not parent.is_dir():
        raise InputError(f"{path} cannot be written: {parent} is a file.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be written: you may not write to {parent}.")


def check_is_file_to_be(path: str | os.PathLike, overwrite: bool) -> Path:
    """
    Checks that an output may be written as a file.

    Raises:
        InputError: if `path` exists and `overwrite` is false, or it is a folder, a pipe or a device.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder, and the output is a file. Choose another output.")
    check_is_free(path, overwrite)
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is a pipe or a device, and the output is a file. Choose another output.")
    return path


@dataclass(frozen=True)
class FolderKind:
    """
    What a folder that a program writes is told by, so that `overwrite` replaces nothing else.

    Args:
        writer: what writes such folders: "`trm-aes build`".
        is_ours: whether a folder is one of them.
    """

    writer: str
    is_ours: Callable[[Path], bool]

    @classmethod
    def with_record(cls, writer: str, record: str, beside: str | None = None) -> "FolderKind":
        """
        Folders in which the writer leaves a record of this name (see [`is_record`]) and, where other folders have one, too, a file
        beside it that they lack.
        """
        return cls(
            writer, lambda folder: is_record(folder / record) and (beside is None or (folder / beside).is_file())
        )


def check_is_folder_to_be(path: str | os.PathLike, overwrite: bool, kind: FolderKind) -> Path:
    """
    Checks that an output may be written as a folder. Only a folder of the same kind is replaced.

    Raises:
        InputError: if `path` is occupied and `overwrite` is false, or it is a file or a folder of another kind.
    """
    path = check_is_free(path, overwrite)
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file, and the output is a folder. Choose another output.")
    if is_occupied(path) and not kind.is_ours(path):
        raise InputError(f"{path} is not what {kind.writer} wrote, so `overwrite` leaves it alone. Choose another.")
    return path


def is_record(path: Path) -> bool:
    """Whether a file is a record that we write: a JSON object that names the versions of packages."""
    try:
        content = read_json(path)
    except InputError:
        return False
    return isinstance(content, dict) and isinstance(content.get("packages"), dict)


def check_is_outside(path: str | os.PathLike, output: str | os.PathLike, parameter: str):
    """
    Checks that an input is not among what its output would replace.

    Raises:
        InputError: if `path`, which `parameter` named, is the output or lies in it.
    """
    inner, outer = Path(os.path.realpath(path)), Path(os.path.realpath(output))
    if inner == outer or outer in inner.parents:
        raise InputError(
            f"`{parameter}` {path} is in the output {output}, which would replace it. Choose another output."
        )


@contextlib.contextmanager
def owned(path: str | os.PathLike) -> Iterator[Path]:
    """
    Within this block no other run writes the output. A process that dies lets go of it, however it dies. An output that
    an earlier run had set aside when it was killed is put back first.

    Yields:
        The path, links followed.

    Raises:
        InputError: if another run owns the output; it says which process.
    """
    path = followed(path)
    with _made(path.parent):
        lock, lock_file = FileLock(beside(path, "lock"), timeout=0), beside(path, "lock")
        # Where nothing can be written, this says why.
        lock_file.touch()
        _acquire(lock, lock_file, path)
        try:
            lock_file.write_text(_this_run(), encoding="utf-8")
            _put_back(path)
            yield path
        finally:
            lock_file.unlink(missing_ok=True)
            lock.release()


def _acquire(lock: FileLock, lock_file: Path, path: Path):
    try:
        lock.acquire()
        while not lock_file.exists():
            # Its owner removed it between our opening it and our locking it: others would not see this lock.
            lock.release()
            lock.acquire()
    except Timeout:
        owner = lock_file.read_text(encoding="utf-8") if lock_file.exists() else ""
        raise InputError(
            f"{path} is being written by {owner or 'another process'}. Wait until that ends, or choose another output."
        ) from None


def _this_run() -> str:
    now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
    return f"process {os.getpid()} on {socket.gethostname()}, since {now}"


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Within this block there is a folder. What was made of it goes again if nothing is written into it."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            for parent in missing:
                parent.rmdir()


def _put_back(path: Path):
    old = beside(path, "old")
    if not old.exists():
        return
    if path.exists():
        remove(old)
        logger.warning("Removed %s, which an interrupted run had left.", old)
    else:
        os.replace(old, path)
        logger.warning("Put back %s: an interrupted run had set it aside.", path)


def clear(path: Path):
    """Removes what an interrupted run left at a path, if anything, and says so."""
    if path.exists():
        remove(path)
        logger.warning("Removed %s, which an interrupted run had left.", path)


def remove(path: Path):
    """Removes a file, or a folder with all that is in it."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def take_place(new: Path, path: Path):
    """Puts a folder in the place of another, which goes only when the new one stands there."""
    if not path.is_dir():
        os.replace(new, path)
        return
    old = beside(path, "old")
    os.replace(path, old)
    try:
        os.replace(new, path)
    except BaseException:
        os.replace(old, path)
        raise
    shutil.rmtree(old)


@contextlib.contextmanager
def new_folder(path: str | os.PathLike, overwrite: bool, kind: FolderKind) -> Iterator[Path]:
    """
    A folder beside `path` that takes its place when the block ends well, and vanishes when it does not. The output is
    owned by this run within the block.

    Args:
        path, overwrite, kind: see [`check_is_folder_to_be`].

    Raises:
        InputError: if the output may not be written, or another run is writing it.
    """
    with owned(path) as path:
        check_is_folder_to_be(path, overwrite, kind)
        new = beside(path, "new")
        clear(new)
        new.mkdir()
        try:
            yield new
            take_place(new, path)
        finally:
            shutil.rmtree(new, ignore_errors=True)


@contextlib.contextmanager
def new_file(path: str | os.PathLike, overwrite: bool = False) -> Iterator[Path]:
    """
    A temporary file name beside `path`; the file takes its place when the block ends well.

    Raises:
        InputError: if `path` exists and `overwrite` is false, or it is not a file.
    """
    path = followed(check_is_file_to_be(path, overwrite))
    with _made(path.parent):
        temporary = beside(path, "new")
        if temporary.is_dir():
            # Of a run that was to write a folder of this name.
            clear(temporary)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_files(folder: str | os.PathLike) -> Iterator[Path]:
    """
    A temporary folder inside `folder`, which this run owns; when the block ends well its files move up, each replacing its
    predecessor.
    """
    folder = Path(folder)
    temporary = folder / ".new"
    clear(temporary)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for path in temporary.iterdir():
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def file_checksum(path: str | os.PathLike) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: str | os.PathLike, content: Any, overwrite: bool = True):
    """Writes JSON that any parser reads: numbers that are not finite become null."""
    with new_file(path, overwrite) as temporary:
        temporary.write_text(
            json.dumps(finite(content), indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8"
        )


def read_json(path: str | os.PathLike) -> Any:
    """
    The content of a JSON file.

    Raises:
        InputError: if the file is missing, cannot be read, or is not JSON.
    """
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}.") from None


def finite(content: Any) -> Any:
    """The same content with null in the place of each number that is not finite, which JSON does not have."""
    if isinstance(content, dict):
        return {str(key): finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [finite(value) for value in content]
    if hasattr(content, "item") and getattr(content, "ndim", None) == 0:
        content = content.item()
    return None if isinstance(content, float) and not math.isfinite(content) else content
