"""What is shown of other libraries' errors, which may have several lines or none."""

import json

import pyarrow as pa
import pytest
from safetensors import SafetensorError

from trm_aes.errors import InputError, brief, explain, explained, one_line


@pytest.mark.parametrize(
    ("error", "first", "whole"),
    [
        (ValueError("bad\nvery   bad\n"), "bad", "bad very bad"),
        (ValueError("\n  bad\nvery bad"), "bad", "bad very bad"),
        (KeyError(), "KeyError", "KeyError"),
        (OSError(" \n "), "OSError", "OSError"),
    ],
)
def test_an_error_in_one_line(error, first, whole):
    assert (brief(error), one_line(error)) == (first, whole)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (FileNotFoundError(2, "No such file or directory", "essays.csv"), "essays.csv: No such file or directory"),
        (PermissionError(13, "Permission denied", "a", None, "b"), "a and b: Permission denied"),
        (OSError(30, "Read-only file system", "out"), "out: Read-only file system"),
        (OSError(28, "No space left on device"), "the disk is full"),
        (SafetensorError("Error while serializing: No space left on device"), "the disk is full"),
        (SafetensorError("header too small"), "a file of weights cannot be used: header too small"),
        (pa.ArrowInvalid("Not an Arrow file"), "a file of a data set cannot be used: Not an Arrow file"),
        (json.JSONDecodeError("Expecting value", "", 0), "a JSON file cannot be used"),
        (UnicodeEncodeError("utf-8", "\ud83d", 0, 1, "surrogates not allowed"), "surrogates not allowed"),
        (MemoryError(), "there is not enough memory"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_foreign_errors_in_peoples_words(error, says):
    assert says in explain(error) and "\n" not in explain(error)


def test_a_fault_of_ours_is_not_explained_away():
    assert explain(ValueError("a bug")) is None


def test_what_a_library_makes_of_a_file():
    said = r"model cannot be loaded \(bad\)\. Is it damaged"
    with pytest.raises(InputError, match=said) as caught, explained("model cannot be loaded"):
        raise RuntimeError("bad\nvery bad")
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(OSError, match="No space"), explained("model cannot be loaded"):
        raise OSError(28, "No space left on device")
