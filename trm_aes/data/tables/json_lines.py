"""JSON lines: one object a line, its values of the types that they have there."""

import json
import re
from collections.abc import Iterator
from typing import Any

from ...errors import InputError
from ..formats import STRICT, TableReading
from .lines import SURROGATE, TextLines, UnreadRow
from .separated import MAX_COLUMNS

ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def json_rows(lines: TextLines, reading: TableReading) -> Iterator[dict[str, Any] | UnreadRow]:
    """
    The rows of JSON lines; an empty line is no row. A line cannot be read that is no JSON object, has a key twice or too many,
    or holds half of a surrogate pair (which becomes U+FFFD where encoding errors are to be replaced).

    Raises:
        InputError: for bytes that are not in the encoding, and lines without end.
    """
    for line in lines:
        if not line.strip():
            continue
        try:
            yield _row(line, lines, reading)
        except InputError as error:
            yield UnreadRow(str(error), line.rstrip("\r\n"))
        lines.row += 1


def _row(line: str, lines: TextLines, reading: TableReading) -> dict[str, Any]:
    try:
        row = json.loads(line, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        raise lines.error(f"not JSON ({error}). One object a line is needed.") from None
    if not isinstance(row, dict):
        raise lines.error(f"one JSON object a line is needed, not {type(row).__name__}.")
    if len(row) > MAX_COLUMNS:
        raise lines.error(f"{len(row):,} fields; at most {MAX_COLUMNS:,} can be read.")
    return _with_whole_characters(row, lines, reading) if ESCAPED_SURROGATE.search(line) else row


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
    if reading.encoding_errors == STRICT:
        raise lines.half_a_character(half[0])
    return json.loads(SURROGATE.sub("\ufffd", written))
