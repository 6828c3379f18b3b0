"""Errors meant for people: one or two lines that say what was wrong, where, and what to do.

A message names a parameter in backticks (`max_tokens`). The command line shows the option of that name in its place.
"""

import contextlib
import errno
import os
from collections.abc import Iterator

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What the errors of each library are about, by the module that defines them: none of these needs to be imported here.
LIBRARIES = {
    "datasets": "a data set",
    "httpx": "the Hub",
    "huggingface_hub": "the Hub",
    "json": "a JSON file",
    "jinja2": "a template",
    "lzma": "a compressed file",
    "onnxruntime": "an ONNX graph",
    "pickle": "a checkpoint",
    "_pickle": "a checkpoint",
    "pyarrow": "a file of a data set",
    "requests": "the Hub",
    "safetensors": "a file of weights",
    "safetensors_rust": "a file of weights",
    "tokenizers": "a tokenizer",
    "zipfile": "a compressed file",
    "zlib": "a compressed file",
}
# Of an accelerator; PyTorch's name for it.
OUT_OF_MEMORY = "OutOfMemoryError"


class TRMError(Exception):
    """Base of the errors that the command line prints without a traceback, with exit code 2."""


class InputError(TRMError, ValueError):
    """Something the user gave (a file, a row, a column, an option) cannot be used."""


class OutputError(TRMError, RuntimeError):
    """An output cannot be written: a full disk, say."""


class TrainingDivergedError(TRMError, RuntimeError):
    """The training loss is no longer a finite number."""


class DependencyError(TRMError, ImportError):
    """A package that is needed is missing or too old."""


class InterruptedRun(KeyboardInterrupt):
    """Ctrl-C during long work, with a message that says how to go on."""


def brief(error: BaseException) -> str:
    """The first line of another library's error that says something, or its kind where none does."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def one_line(error: BaseException) -> str:
    """All of another library's error in one line, or its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def is_full_disk(error: BaseException) -> bool:
    """Whether an error, whichever library raised it, comes of a full disk, quota or file-size limit."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in FULL_DISK
    return any(os.strerror(code) in str(error) for code in FULL_DISK)


def explain(error: BaseException) -> str | None:
    """
    What an error of the operating system or of another library comes to for people, in one line. None for any other:
    that is a fault of ours.
    """
    if is_full_disk(error):
        return f"the disk is full ({one_line(error)}). Free some space, and run it again; what was there before is unchanged."
    if isinstance(error, UnicodeError):
        return f"a text holds what its encoding cannot express: {one_line(error)}."
    if isinstance(error, MemoryError) or type(error).__name__ == OUT_OF_MEMORY:
        return f"there is not enough memory ({brief(error)}). Close other programs, or take smaller batches."
    library = next((LIBRARIES[root] for root in _modules(error) if root in LIBRARIES), None)
    if library is not None:
        return f"{library} cannot be used: {one_line(error)}. Is it damaged or cut short?"
    if isinstance(error, OSError):
        return _explain_os_error(error)
    return None


@contextlib.contextmanager
def explained(what: str, advice: str = "Is it damaged or cut short?") -> Iterator[None]:
    """
    This block is where what a library makes of a file enters the program: whatever the library raises there means that
    the file cannot be used. The library's error stays as the cause, for `--debug`.

    Args:
        what: the file or folder, and what becomes of it: `"… cannot be loaded"`.
        advice: what to do.

    Raises:
        InputError: for any error but ours, a full disk and too little memory.
    """
    try:
        yield
    except (TRMError, MemoryError):
        raise
    except Exception as error:
        if is_full_disk(error):
            raise
        said = _explain_os_error(error) if isinstance(error, OSError) and error.errno else brief(error)
        raise InputError(f"{what} ({said.rstrip('.')}). {advice}") from error


def _explain_os_error(error: OSError) -> str:
    paths = [str(path) for path in (error.filename, error.filename2) if path is not None]
    reason = error.strerror or one_line(error)
    return f"{' and '.join(paths)}: {reason}" if paths else reason


def _modules(error: BaseException) -> list[str]:
    """The top packages of the modules that define an error and its bases."""
    return [kind.__module__.partition(".")[0] for kind in type(error).__mro__]
