"""The rows of an input that is to be scored, each checked before any is scored."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..data.cells import check_essay_text, id_in_words, is_missing
from ..data.formats import STANDARD_STREAM, TableReading, output_format
from ..data.rejection import RowCheck
from ..data.tables import CHUNK, ParquetTypes, check_fits_sheet, read_or_unread_rows, safe_row
from ..data.tables.unpacking import called
from ..errors import InputError
from ..model.score_scale import ScoreRange
from ..naming import listing
from .review import NEEDS_REVIEW, ReviewRule
from .unknown_prompts import ERROR, PromptRule

ADDED_COLUMNS = (
    "predicted_score",
    "rounded_score",
    "confidence",
    "supervision_steps",
    "predicted_error",
    "score_low",
    "score_high",
    "advisories",
)


def added_columns(traits: Iterable[str], review: ReviewRule | None) -> tuple[str, ...]:
    """
    Columns that scores are written to: `ADDED_COLUMNS`, two for each trait before the advisories, and last `NEEDS_REVIEW`
    where there is a rule for it.
    """
    of_traits = [name for trait in traits for name in trait_columns(trait)]
    of_review = [] if review is None else [NEEDS_REVIEW]
    return (*ADDED_COLUMNS[:-1], *of_traits, ADDED_COLUMNS[-1], *of_review)


def trait_columns(trait: str) -> tuple[str, str]:
    """The columns of a trait's score, and of it rounded."""
    return f"predicted_{trait}", f"rounded_{trait}"


def shown_types(scales: Iterable[ScoreRange]) -> set[type]:
    """The types (int, float, str) of rounded scores of these scales, as they are written."""
    return {type(scale.shown(scale.min_score + step)) for scale in scales for step in (0, scale.step)}


# A row, and the id of the prompt as whose its essay is scored; None for an essay that is not scored.
CheckedRow = tuple[dict[str, Any], str | None]


@dataclass(frozen=True)
class InputColumns:
    """
    Which columns of the input hold what. One that is named must be there; None stands for the usual name, which is the
    field's own, and an empty name for none, whatever columns there are. `prompt_id` and `prompt` may be absent where they are not
    named.
    """

    essay: str | None = None
    prompt_id: str | None = None
    prompt: str | None = None

    def usual(self, role: str) -> str:
        """
        The name of the column that holds something, whether or not it was named. One that was named for something else holds
        nothing beside it: then no column has this name.
        """
        named = getattr(self, role)
        others = {getattr(self, other) for other in ("essay", "prompt_id", "prompt") if other != role}
        return named if named is not None else "" if role in others else role


USUAL_COLUMNS = InputColumns()


@dataclass(frozen=True)
class BadRows:
    """
    What becomes of rows that cannot be scored.

    Args:
        unknown_prompt: as of [`PromptRule`].
        skip: whether rows that cannot be used are set aside (see [`RowCheck`]) in `OUTPUT.rejected.csv`; the first is an
            error otherwise.
        in_words: makes of a reason what that file says.
    """

    unknown_prompt: str = ERROR
    skip: bool = False
    in_words: Callable[[str], str] = str


# The first is an error.
REFUSED = BadRows()


def check_rows(
    source: str,
    reading: TableReading,
    columns: InputColumns,
    prompt_id: str | None,
    rule: PromptRule,
    check: RowCheck,
    added: Sequence[str] = ADDED_COLUMNS,
) -> Iterator[CheckedRow]:
    """
    The rows of an input that can be used, in its order, each with the columns that the rule adds.

    Args:
        source, reading, columns, prompt_id: as of [`score_file`].
        rule: what becomes of unknown prompts.
        check: what becomes of rows that cannot be used.
        added: columns that the scores are written to.

    Raises:
        InputError: if a column that is named is not there or one of the scores' is, and for a row that cannot be used where
            such rows are not set aside.
    """
    name, is_first = called(source), True
    for number, row in check.readable(read_or_unread_rows(source, reading, [columns.usual("essay")]), name):
        where = f"{name}, row {number}"
        if is_first:
            # What the first row lacks, the table lacks.
            check_columns(row, where, columns, (*rule.added(""), *added))
            is_first = False
        with check.of(number, row):
            check_columns(row, where, columns, (*rule.added(""), *added))
            found = check_row(row, where, columns, prompt_id, rule)
        if number not in check.reasons:
            yield {**row, **rule.added(found)}, found


def check_columns(row: dict, where: str, columns: InputColumns, added: Sequence[str]):
    """
    Checks that a row has the columns that are named, and none of those that are added.

    Raises:
        InputError: if it does not; `where` names its place.
    """
    for role in ("essay", "prompt_id", "prompt"):
        name = columns.usual(role)
        if name not in row and (role == "essay" or getattr(columns, role)):
            raise InputError(
                f"{where}: no column {name!r}; there are {listing(row, name)} Name it with `columns.{role}`."
            )
    taken = [name for name in added if name in row]
    if taken:
        raise InputError(f"{where}: the input has a column {taken[0]!r} of its own. Rename it: the scores go there.")


def check_row(row: dict, where: str, columns: InputColumns, prompt_id: str | None, rule: PromptRule) -> str | None:
    """
    The id of the prompt as whose a row's essay is scored, after everything about the row has been checked.

    Raises:
        InputError: if the row cannot be used; `where` names its place.
    """
    check_essay_text(row[columns.usual("essay")], where)
    # A table may have a column without a name, which is none of these.
    names = (columns.usual(role) for role in ("prompt_id", "prompt"))
    named, text = (name_in_cell(row.get(name), where, name) if name else None for name in names)
    if prompt_id is not None:
        rule.check_is_no_other(named, text, prompt_id, where)
        return prompt_id
    return rule.prompt_of(named, text, where)


def name_in_cell(value: Any, where: str, column: str) -> str | None:
    """
    A prompt's id or text; None for a blank cell, which names no prompt. A whole number is named alike whether its column holds
    whole numbers or, since some of its cells are empty, fractions.

    Args:
        value: of the cell.
        where, column: its place, for the error.

    Raises:
        InputError: if the cell holds a list or an object.
    """
    if isinstance(value, (list, dict)):
        raise InputError(
            f"{where}, column {column!r}: a {type(value).__name__} names no prompt. Give text or a number."
        )
    return None if is_missing(value) else id_in_words(value).strip() or None


def writable(rows: Iterable[CheckedRow], output: str, safe_for_spreadsheets: bool = False) -> Iterator[CheckedRow]:
    """The rows as they come, as long as the output's format can hold them as they are to be written."""
    written_as = "csv" if output == STANDARD_STREAM else output_format(output)
    first = None
    types, chunk = ParquetTypes(output), []
    for number, (row, prompt_id) in enumerate(rows, start=1):
        first = first or row
        if written_as != "jsonl":
            check_is_like_first(row, first, f"Row {number}", output)
        if written_as == "xlsx":
            check_fits_sheet(safe_row(row) if safe_for_spreadsheets else row, number, output)
        if written_as == "parquet":
            chunk.append(row)
            if len(chunk) == CHUNK:
                types.add(chunk)
                chunk = []
        yield row, prompt_id
    if chunk:
        types.add(chunk)


def check_is_like_first(row: dict, first: dict, where: str, output: str):
    """
    Checks that a row has no column that the first row lacks.

    Raises:
        InputError: if it has; `where` names its place.
    """
    strange = [name for name in row if name not in first]
    if strange:
        raise InputError(
            f"{where} has a field {strange[0]!r} that the first row lacks, and {output} needs the same columns throughout. "
            "Write .jsonl instead."
        )
