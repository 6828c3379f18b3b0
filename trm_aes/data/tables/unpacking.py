"""The bytes of a table, from a file or from standard input, decompressed whatever its name says."""

import bz2
import contextlib
import gzip
import io
import lzma
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from ...errors import InputError, brief
from ..formats import STANDARD_STREAM, check_is_file, open_zip, table_in_zip

# How compressed files begin. Text that begins like that is no table of essays.
GZIP, BZIP2, XZ, ZSTD, ZIP = b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
BZIP2_BLOCKS = (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")
# Essays shrink to a third or a tenth. What unpacks to more than 200 times its size is made to fill memory or disk.
MAX_RATIO = 200
ALWAYS_UNPACKED = 16 * 2**20
# Bytes of what has to be read in any order that are kept in memory.
IN_MEMORY = 256 * 2**20
MAX_LAYERS = 3
STANDARD_INPUT = "standard input"


def called(path: str | Path) -> str:
    """What messages call an input."""
    return STANDARD_INPUT if str(path) == STANDARD_STREAM else str(path)


@contextlib.contextmanager
def opened(path: str | Path) -> Iterator[io.BufferedReader]:
    """
    The bytes of a file, or of standard input for `-`, decompressed where their content says that they are compressed.

    Raises:
        InputError: if there is nothing to read, it is damaged, a zip holds no table or several, or it unpacks to more than
            `MAX_RATIO` times its size.
    """
    with contextlib.ExitStack() as stack, _explained(called(path)):
        if str(path) == STANDARD_STREAM:
            if sys.stdin is None:
                raise InputError("Standard input is closed. Give a file.")
            file = cast(BinaryIO, sys.stdin.buffer)
        else:
            file = stack.enter_context(open(check_is_file(path), "rb"))
        yield _unpacked(file, called(path), stack)


def seekable(file: io.BufferedReader) -> BinaryIO:
    """
    The same bytes in a file that can be read in any order, in memory or, where they are many, in a temporary one, which vanishes
    when it is closed.
    """
    spooled = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - the caller closes it
    shutil.copyfileobj(file, spooled)
    spooled.seek(0)
    return cast(BinaryIO, spooled)


def is_zip_of_parts(head: bytes) -> bool:
    """Whether bytes that begin a zip are those of an .xlsx or .ods, which are zips by their nature."""
    first_name = head[30:80]
    return head.startswith(ZIP) and first_name.startswith(
        (b"[Content_Types].xml", b"_rels/", b"xl/", b"docProps/", b"mimetype")
    )


def _unpacked(file: BinaryIO, name: str, stack: contextlib.ExitStack) -> io.BufferedReader:
    packed = _Counted(file)
    buffered: io.BufferedReader = io.BufferedReader(packed)
    for _ in range(MAX_LAYERS):
        layer = _without_compression(buffered, name, stack)
        if layer is None:
            return buffered
        buffered = io.BufferedReader(_Counted(layer, packed, name))
    raise InputError(f"{name} is compressed more than {MAX_LAYERS - 1} times over. Unpack it.")


def _without_compression(packed: io.BufferedReader, name: str, stack: contextlib.ExitStack) -> Any:
    """What a layer of compression holds, as a binary file; None where there is no compression."""
    head = packed.peek(80)[:80]
    if head.startswith(GZIP):
        return gzip.GzipFile(fileobj=packed)
    if head.startswith(BZIP2) and head[4:10] in BZIP2_BLOCKS:
        return bz2.BZ2File(packed)
    if head.startswith(XZ):
        return lzma.LZMAFile(packed)
    if head.startswith(ZSTD):
        # The standard library has no Zstandard before Python 3.14.
        import pyarrow as pa

        return pa.CompressedInputStream(packed, "zstd")
    if head.startswith(ZIP) and not is_zip_of_parts(head):
        archive = stack.enter_context(open_zip(stack.enter_context(seekable(packed)), name))
        return stack.enter_context(archive.open(table_in_zip(archive, name)))
    return None


class _Counted(io.RawIOBase):
    """
    Reads another file, which it leaves open, and counts.

    Args:
        file: what to read.
        packed: where the bytes came from that `file` unpacks; with it, too much unpacking is an error.
        name: what to call it in that error.
    """

    def __init__(self, file: Any, packed: "_Counted | None" = None, name: str = ""):
        self.num_bytes = 0
        self._file, self._packed, self._name = file, packed, name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        self.num_bytes += len(content)
        if self._packed is not None and self.num_bytes > max(ALWAYS_UNPACKED, MAX_RATIO * self._packed.num_bytes):
            raise InputError(
                f"{self._name} unpacks to more than {MAX_RATIO} times its size, as essays never do. If that is meant, "
                "unpack it first."
            )
        return len(content)


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turns whatever a library raises while bytes are read into an error for people."""
    try:
        yield
    except (InputError, UnicodeDecodeError):
        raise
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise InputError(f"{name} cannot be read: {brief(error)}.") from None
