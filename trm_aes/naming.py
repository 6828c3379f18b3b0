"""What is said of a name that does not exist: what there is instead, and which of it was probably meant."""

import difflib
import re
from collections.abc import Iterable

# Names that are listed; of more it is said how many.
MAX_LISTED = 20


def listing(known: Iterable[object], meant: str) -> str:
    """
    The end of a sentence about a name that does not exist: `Task, Score. Did you mean 'Task'?`

    Args:
        known: the names that there are, in the order in which they are listed.
        meant: the name that does not exist.
    """
    names = [str(name) for name in known]
    shown = ", ".join(names[:MAX_LISTED]) if names else "none"
    if len(names) > MAX_LISTED:
        shown += f" and {len(names) - MAX_LISTED:,} more"
    near = nearest_name(meant, names)
    return f"{shown}. Did you mean {near!r}?" if near is not None else f"{shown}."


def nearest_name(meant: str, known: Iterable[str]) -> str | None:
    """
    The one of the known names that somebody probably meant: one that differs in case, in spaces, hyphens and underscores,
    or in how a number is written (`01` and `1.0` for `1`); else one that is spelled alike; else None.
    """
    alike: dict[str, str] = {}
    for name in known:
        alike.setdefault(_bare(name), name)
    bare = _bare(meant)
    if bare in alike:
        return alike[bare]
    # Numbers are no misspellings of one another.
    found = [] if bare.isdecimal() else difflib.get_close_matches(bare, alike, n=1)
    return alike[found[0]] if found else None


def _bare(name: str) -> str:
    """A name without what people leave out or add unawares."""
    number = re.fullmatch(r"\s*0*(\d+)(?:\.0*)?\s*", name)
    return number[1] if number else re.sub(r"[\s_-]+", "", name).casefold()
