"""What visitors upload: it lies in a private folder, in memory where the system has such a place, until it has been read."""

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .limits import MAX_UPLOAD, MEGABYTE, SECONDS_HELD, SWEEP_SECONDS

# Of Linux: files there are pages of memory.
MEMORY_FOLDER = Path("/dev/shm")
# By which Gradio is told where uploads go.
GRADIO_FOLDER = "GRADIO_TEMP_DIR"


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """
    A folder that nobody else may read, which is gone with all that is in it when the block ends: in memory where the system
    has a place for that, else among its temporary files.
    """
    in_memory = MEMORY_FOLDER.is_dir() and os.access(MEMORY_FOLDER, os.W_OK)
    with tempfile.TemporaryDirectory(prefix="trm-aes-page-", dir=MEMORY_FOLDER if in_memory else None) as folder:
        yield Path(folder)


def remove_older(folder: Path, seconds: float) -> None:
    """
    Removes the files in a folder, and in those within it, that were last written so long ago. Gradio itself removes what it has
    received to the end, and leaves what was broken off.
    """
    for path in folder.rglob("*"):
        # It may go at any moment.
        with contextlib.suppress(OSError):
            if path.is_file() and time.time() - path.stat().st_mtime > seconds:
                path.unlink()


def _sweep(folder: Path, ended: threading.Event) -> None:
    while not ended.wait(SWEEP_SECONDS):
        remove_older(folder, SECONDS_HELD)


@contextlib.contextmanager
def uploads_in_private() -> Iterator[Path]:
    """Within this block Gradio keeps uploads in a [`private_folder`], where none stays longer than half an hour."""
    before, ended = os.environ.get(GRADIO_FOLDER), threading.Event()
    with private_folder() as folder:
        os.environ[GRADIO_FOLDER] = str(folder)
        threading.Thread(target=_sweep, args=(folder, ended), name="sweeps-uploads", daemon=True).start()
        try:
            yield folder
        finally:
            ended.set()
            if before is None:
                del os.environ[GRADIO_FOLDER]
            else:
                os.environ[GRADIO_FOLDER] = before


@dataclass(frozen=True)
class Upload:
    """
    A file that a visitor has sent, in memory.

    Args:
        name: as the visitor calls it.
        content: its bytes.
    """

    name: str
    content: bytes

    @classmethod
    def taken(cls, path: str) -> "Upload":
        """
        The file at the path where Gradio has put it, which is there no longer after that.

        Raises:
            InputError: if it is larger than this page takes, or is not there: the same file, sent by two visitors at the same
                moment, has one path.
        """
        file = Path(path)
        try:
            size = file.stat().st_size
            content = file.read_bytes() if size <= MAX_UPLOAD else b""
            file.unlink()
        except FileNotFoundError:
            raise InputError("The file did not arrive. Choose it again.") from None
        # Gradio makes a folder for each.
        with contextlib.suppress(OSError):
            file.parent.rmdir()
        if size > MAX_UPLOAD:
            raise InputError(
                f"{file.name} has {size / MEGABYTE:,.1f} MB, and this page takes at most {MAX_UPLOAD // MEGABYTE} MB. For more, "
                "use the command trm-aes score."
            )
        return cls(file.name, content)

    @contextlib.contextmanager
    def as_file(self) -> Iterator[Path]:
        """
        The file in a private folder of its own, in which others may be written beside it, until the block ends. Errors for
        people that leave the block do not name that folder.
        """
        with private_folder() as folder:
            path = folder / self.name
            path.write_bytes(self.content)
            try:
                yield path
            except InputError as error:
                error.args = (without_folder(str(error), path),)
                raise


def without_folder(text: str, path: Path) -> str:
    """A text in which files that lie beside a path have their names alone."""
    return text.replace(f"{path.parent}{os.sep}", "")
