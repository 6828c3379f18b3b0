"""JSON lines: one object a line, its values of the types that they have there."""

import json
import re
from collections.abc import Iterator
from typing import Any

from ..formats import TableReading
from .lines import TextLines
from .separated import MAX_COLUMNS

# Half of a character: JSON can write it, no encoding can.
SURROGATE = re.compile("[\ud800-\udfff]")
ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def json_rows(lines: TextLines, reading: TableReading) -> Iterator[dict[str, Any]]:
    """
    The rows of JSON lines; an empty line is no row.

    Raises:
        InputError: where a line is no JSON object, has a key twice or too many, or holds half of a surrogate pair (which
            becomes U+FFFD where encoding errors are to be replaced).
    """
    for line in lines:
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_without_repetition)
        except (ValueError, RecursionError) as error:
            raise lines.error(f"not JSON ({error}). One object a line is needed.") from None
        if not isinstance(row, dict):
            raise lines.error(f"one JSON object a line is needed, not {type(row).__name__}.")
        if len(row) > MAX_COLUMNS:
            raise lines.error(f"{len(row):,} fields; at most {MAX_COLUMNS:,} can be read.")
        if ESCAPED_SURROGATE.search(line):
            row = _with_whole_characters(row, lines, reading)
        yield row
        lines.row += 1


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return row


def _with_whole_characters(row: dict[str, Any], lines: TextLines, reading: TableReading) -> dict[str, Any]:
    written = json.dumps(row, ensure_ascii=False)
    half = SURROGATE.search(written)
    if half is None:
        return row
    if reading.encoding_errors == "strict":
        raise lines.error(
            f"\\u{ord(half[0]):x} is half of a surrogate pair, and no character. Mend it, or set `encoding_errors` to replace."
        )
    return json.loads(SURROGATE.sub("\ufffd", written))
