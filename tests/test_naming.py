"""What is said of names that do not exist."""

import pytest

from trm_aes.naming import listing, nearest_name


@pytest.mark.parametrize(
    ("meant", "known", "expected"),
    [
        ("task", ["Score", "Task"], "Task"),
        ("essay id", ["Essay_ID", "Essay"], "Essay_ID"),
        ("1.0", ["1", "2"], "1"),
        ("01", ["1", "2"], "1"),
        ("1", ["01", "02"], "01"),
        ("mark", ["marks", "text"], "marks"),
        ("dev", ["train", "validation", "test"], None),
        # Another number is another prompt.
        ("21", ["2", "1"], None),
        ("x", [], None),
    ],
)
def test_what_was_probably_meant(meant, known, expected):
    assert nearest_name(meant, known) == expected


def test_what_there_is_instead():
    assert listing(["Task", "Score"], "task") == "Task, Score. Did you mean 'Task'?"
    assert listing(["a", 5], "zzz") == "a, 5."
    assert listing([], "a") == "none."
    assert listing(range(1, 45), "45").endswith("19, 20 and 24 more.")
