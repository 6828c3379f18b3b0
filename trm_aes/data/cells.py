"""What a cell of a table holds: text, a score, a scale, or nothing.

Nothing heavy is imported here: rows that are to be scored are checked by these functions, and pandas takes a second.
"""

import datetime
import math
import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from ..errors import InputError
from ..model.score_scale import ScoreRange, as_number
from .scales import SCALE_COLUMNS

# A decimal comma, or a percentage: `6,5`, `67 %`.
NEARLY_A_NUMBER = re.compile(r"\s*[+-]?\d+(?:[.,]\d+)?\s*%?\s*")


def parse_score(value: Any, row: Hashable, source: str, column: str, score_range: ScoreRange | None = None) -> float:
    """
    The score in a cell, as a number; of a label, the place in its prompt's list.

    Args:
        value: of the cell.
        row, source, column: the cell's place, for the error.
        score_range: of the prompt, if it is known.

    Raises:
        InputError: if the value is missing, no number, not finite, or not on the prompt's scale.
    """
    where = f"{source}, row {row}, column {column!r}"
    if value is None or (isinstance(value, str) and not value.strip()):
        raise InputError(f"{where}: there is no score. Fill it in, or remove the row.")
    if score_range is not None:
        try:
            return score_range.parse(value)
        except ValueError as error:
            raise InputError(
                f"{where}: {error}. Mend the score, or the scale (`score_ranges`, `score_labels`)."
            ) from None
    try:
        score = as_number(value)
    except ValueError as error:
        advice = "Write it with a point, and without a sign" if NEARLY_A_NUMBER.fullmatch(str(value)) else ""
        raise InputError(
            f"{where}: {error}. {advice or 'If scores are labels, name all of them, the lowest first, with `score_labels`'}."
        ) from None
    if not math.isfinite(score):
        raise InputError(f"{where}: the score is {score}, not a finite number. Fill it in, or remove the row.")
    return score


def parse_value(value: Any, row: Hashable, source: str, column: str, scale: ScoreRange | None) -> float:
    """
    A rater's score or that of a trait, which an essay may lack: NaN for a blank cell.

    Args:
        value, row, source, column: as of [`parse_score`].
        scale: that the score must be on, if it is known.

    Raises:
        InputError: if the value is no number, not finite, or not on the scale.
    """
    if is_blank(value):
        return float("nan")
    if scale is None:
        return parse_score(value, row, source, column)
    try:
        return scale.parse(value)
    except ValueError as error:
        raise InputError(f"{source}, row {row}, column {column!r}: {error}.") from None


def parse_score_range(
    row: Mapping[str, Any], number: Hashable, source: str, columns: Sequence[str] = SCALE_COLUMNS
) -> ScoreRange | None:
    """
    The scale that a row gives in the columns of its lowest and highest score and, where it is not 1, of the step; None where
    it has no such columns.

    Args:
        row: of a table.
        number, source: its place, for the error.
        columns: what the three are called.

    Raises:
        InputError: if there is one of the first two without the other, a value is no number, or they make no scale.
    """
    low, high, step = columns[:3]
    there = [name for name in (low, high, step) if name in row]
    if not there:
        return None
    if low not in row or high not in row:
        raise InputError(
            f"{source} has a column {there[0]!r}, but a scale is told by both {low!r} and {high!r}. Add the other, or "
            "rename it."
        )
    if step in row and is_blank(row[step]):
        there.remove(step)
    values: list[float | str] = [parse_score(row[name], number, source, name) for name in there]
    try:
        return ScoreRange.from_list(values)
    except ValueError as error:
        raise InputError(f"{source}, row {number}, columns {', '.join(there)}: {error}.") from None


def check_essay_text(essay: Any, where: str) -> str:
    """
    The essay, if it can be scored.

    Args:
        essay: of a row.
        where: names its place, for the error.

    Raises:
        InputError: if the essay is missing, blank, not text, or holds NUL bytes.
    """
    if essay is None or (isinstance(essay, str) and not essay.strip()):
        raise InputError(f"{where}: the essay is empty.")
    if not isinstance(essay, str):
        raise InputError(f"{where}: the essay is not text but {type(essay).__name__}.")
    if "\0" in essay:
        raise InputError(f"{where}: the essay holds NUL bytes: the file is damaged, or not in the encoding it claims.")
    return essay


def id_in_words(value: Any) -> str:
    """
    An id as text. Whole numbers have no decimal point: a column of them in which cells are empty comes as fractions from some
    files.
    """
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def is_missing(value: Any) -> bool:
    """Whether a cell is not there: None, or what pandas puts in its place."""
    # Of numbers and times, NaN and NaT alone are unlike themselves.
    return value is None or (isinstance(value, (float, datetime.datetime)) and value != value)


def is_blank(value: Any) -> bool:
    """Whether a cell is not there, or holds white space alone."""
    return is_missing(value) or not str(value).strip()
