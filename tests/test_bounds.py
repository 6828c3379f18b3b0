"""Bounds of the numbers that people give."""

import pytest

from trm_aes.bounds import BOUNDS, Bounds, check_bounds
from trm_aes.errors import InputError


@pytest.mark.parametrize(
    ("bounds", "inside", "outside", "said"),
    [
        (Bounds(least=1), [1, 1e30], [0, 0.99, -1, float("inf"), float("nan"), 2**31], "be at least 1"),
        (Bounds(above=0), [1e-9], [0, -1], "be above 0"),
        (Bounds(least=0, most=1), [0, 0.5, 1], [-0.1, 1.1, float("nan")], "lie between 0 and 1"),
        (Bounds(least=0, below=1), [0, 0.99], [1, -0.1], "lie in [0, 1)"),
        (Bounds(above=0, below=1), [0.5], [0, 1], "lie in (0, 1)"),
        (Bounds(least=1, or_exactly=-1), [-1, 1], [0, -2], "be at least 1"),
        (Bounds(least=0, most=2**32 - 1), [2**32 - 1], [2**32], "lie between 0 and 4,294,967,295"),
    ],
)
def test_bounds(bounds, inside, outside, said):
    assert all(bounds.hold(value) for value in inside)
    assert not any(bounds.hold(value) for value in outside)
    assert str(bounds) == said


def test_numbers_alone_are_checked():
    check_bounds({"seed": None, "max_steps": -1, "ema_decay": True, "warmup_steps": "a fifth", "no_such": -5})
    with pytest.raises(InputError, match="^mine.json, training: `ema_decay` must lie in .0, 1., got 1.5.$"):
        check_bounds({"ema_decay": 1.5}, "mine.json, training")
    with pytest.raises(InputError, match="`max_tokens` must be at most 2,147,483,647, got 1000000"):
        check_bounds({"max_tokens": 10**400})
    check_bounds({"seed": [0, 42]})
    with pytest.raises(InputError, match="`seed` must lie between 0 and .*got -1"):
        check_bounds({"seed": [42, -1]})
    # Every bound says which values it takes.
    assert all(bounds.least is not None or bounds.above is not None for bounds in BOUNDS.values())
