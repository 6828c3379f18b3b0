"""Workbooks (.xlsx, .xls, .ods) as rows of strings, each cell as the sheet shows its value, without its format."""

import datetime
import io
import zipfile
from collections.abc import Iterator
from typing import Any

from ...errors import InputError, brief
from ...naming import listing
from ..formats import TableReading
from .separated import check_columns
from .unpacking import ALWAYS_UNPACKED, MAX_RATIO
from .workbook_errors import error_cell

# Above it, numbers are shown with an exponent.
MAX_WRITTEN_OUT = 1e21


def workbook_rows(content: bytes, source: str, reading: TableReading) -> Iterator[dict[str, str]]:
    """
    The rows of a workbook's sheet. The first row that is not empty names the columns; empty rows are none. Text is text,
    whole numbers have no decimal point, dates and times are ISO 8601, formulas are their results. (The results of an .xls that
    are errors are empty: they cannot be told from blank cells there.)

    Args:
        content: the file.
        source: what to call it in messages.
        reading: names the sheet, where several hold rows.

    Raises:
        InputError: if it cannot be read, the sheet cannot be told, a cell holds an error (#N/A), or one stands in a column
            without a name.
    """
    import python_calamine

    _check_size(content, source)
    try:
        workbook = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
        sheet = _choose_sheet(workbook, source, reading)
        _check_has_no_error(content, source, sheet.name)
        yield from _rows(sheet.iter_rows(), source)
    except InputError:
        raise
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise InputError(f"{source} is not a workbook that can be read: {brief(error)}.") from None


def _check_size(content: bytes, source: str):
    """Refuses a workbook that is made to fill memory."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > max(ALWAYS_UNPACKED, MAX_RATIO * len(content)):
        raise InputError(f"{source} unpacks to more than {MAX_RATIO} times its size. Save it as .csv.")


def _check_has_no_error(content: bytes, source: str, sheet: str):
    """Refuses a sheet with a cell that holds an error, or no result of its formula: it would be read as an empty one."""
    found = error_cell(io.BytesIO(content), sheet)
    if found is not None and found.error is None:
        raise InputError(
            f"{source}, {found.place}: its formula has no result. Open the workbook in a spreadsheet program and save it."
        )
    if found is not None:
        raise InputError(
            f"{source}, {found.place}: it holds the error {found.error or 'of a formula'}. Mend its formula, or clear the cell."
        )


def _choose_sheet(workbook: Any, source: str, reading: TableReading) -> Any:
    names, wanted = workbook.sheet_names, reading.sheet
    if wanted is not None:
        if wanted not in names:
            raise InputError(f"`sheet`: {source} has no sheet {wanted!r}; it has {listing(names, wanted)}")
        names = [wanted]
    filled = [sheet for sheet in map(workbook.get_sheet_by_name, names) if sheet.height]
    if not filled:
        raise InputError(f"{source} holds no rows.")
    if len(filled) > 1:
        remedy = "Name one: `sheet`." if reading.sheet_is_choice else "Save the one that is meant as a file of its own."
        raise InputError(
            f"{source} has several sheets that hold rows: {', '.join(sheet.name for sheet in filled)}. {remedy}"
        )
    return filled[0]


def _rows(cells: Iterator[list[Any]], source: str) -> Iterator[dict[str, str]]:
    """Rows by the names of their columns."""
    header: list[str] | None = None
    number = 0
    for values in cells:
        texts = [_as_text(value) for value in values]
        if not any(texts):
            continue
        if header is None:
            check_columns(texts, source)
            header = texts
            continue
        number += 1
        nameless = [text for name, text in zip(header, texts, strict=True) if not name.strip() and text.strip()]
        if nameless:
            raise InputError(
                f"{source}, row {number}: {nameless[0][:40]!r} stands in a column that has no name in the header."
            )
        yield {name: text for name, text in zip(header, texts, strict=True) if name.strip()}
    if header is None:
        raise InputError(f"{source} holds no rows.")


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < MAX_WRITTEN_OUT else repr(value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value)
