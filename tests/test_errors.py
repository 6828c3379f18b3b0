"""What is shown of other libraries' errors, which may have several lines or none."""

import pytest

from trm_aes.errors import brief, one_line


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
