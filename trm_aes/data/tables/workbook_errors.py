"""
Cells of workbooks that hold an error (#N/A, #DIV/0!), or a formula that was never worked out: the library that reads their sheets
takes them for empty ones.
"""

import contextlib
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import IO, BinaryIO, NamedTuple
from xml.etree import ElementTree

SHEETS, RELATIONS, ODS_CONTENT = "xl/workbook.xml", "xl/_rels/workbook.xml.rels", "content.xml"
# Looked for first: parsing a large sheet takes seconds.
IN_XLSX = re.compile(rb"""\bt=["']e["']|<(\w+:)?f[\s/>]""")
IN_ODS = re.compile(rb"""value-type=["']error["']""")
READ_AT_ONCE = 2**20


class ErrorCell(NamedTuple):
    """A cell that holds an error: where (`B7`, or a row), and which; None for a formula without a result."""

    place: str
    error: str | None


def error_cell(workbook: BinaryIO, sheet: str) -> ErrorCell | None:
    """
    The first cell of a sheet of an .xlsx or .ods that holds an error, or in an .xlsx a formula without a result; None if there
    is none, or the sheet's part is not found: the library that reads sheets says what is damaged. (An .xls does not tell.)
    """
    if not zipfile.is_zipfile(workbook):
        return None
    with zipfile.ZipFile(workbook) as archive, contextlib.suppress(ElementTree.ParseError, KeyError, ValueError):
        if SHEETS in archive.namelist():
            return _first(archive, _part_of_xlsx(archive, sheet), IN_XLSX, _errors_of_xlsx)
        return _first(archive, ODS_CONTENT, IN_ODS, lambda part: _errors_of_ods(part, sheet))
    return None


def _first(
    archive: zipfile.ZipFile, name: str, pattern: re.Pattern[bytes], errors: Callable[[IO[bytes]], Iterator[ErrorCell]]
) -> ErrorCell | None:
    if not _holds(archive, name, pattern):
        return None
    with archive.open(name) as part:
        return next(errors(part), None)


def _holds(archive: zipfile.ZipFile, name: str, pattern: re.Pattern[bytes]) -> bool:
    end = b""
    with archive.open(name) as part:
        while read := part.read(READ_AT_ONCE):
            if pattern.search(end + read):
                return True
            # It may lie across two reads.
            end = read[-64:]
    return False


def _part_of_xlsx(archive: zipfile.ZipFile, sheet: str) -> str:
    """The name of the part that holds a sheet."""
    [relation] = [
        value
        for element in ElementTree.fromstring(archive.read(SHEETS)).iter()
        if _tag(element) == "sheet" and element.get("name") == sheet
        for name, value in element.attrib.items()
        if name.endswith("}id")
    ]
    targets = {element.get("Id"): element.get("Target") for element in ElementTree.fromstring(archive.read(RELATIONS))}
    # From the root of the archive, or from the folder of the part that has the relation.
    target = (targets[relation] or "").lstrip("/")
    return target if target.startswith("xl/") else f"xl/{target}"


def _errors_of_xlsx(part: IO[bytes]) -> Iterator[ErrorCell]:
    for _, element in ElementTree.iterparse(part):
        if _tag(element) == "c":
            shown = "".join(child.text or "" for child in element if _tag(child) == "v")
            if element.get("t") == "e":
                yield ErrorCell(f"cell {element.get('r')}", shown)
            elif not shown and element.get("t") != "str" and any(_tag(child) == "f" for child in element):
                # Programs that write formulas and work none out leave them so. (An empty text is a result.)
                yield ErrorCell(f"cell {element.get('r')}", None)
        elif _tag(element) == "row":
            # What was read is not needed any more.
            element.clear()


def _errors_of_ods(part: IO[bytes], sheet: str) -> Iterator[ErrorCell]:
    found, row = False, 0
    for event, element in ElementTree.iterparse(part, ("start", "end")):
        tag = _tag(element)
        if event == "start" and tag == "table":
            found, row = any(name.endswith("}name") and value == sheet for name, value in element.attrib.items()), 0
        if not found or event == "start":
            continue
        if tag == "table-cell" and any(
            name.endswith("}value-type") and value == "error" for name, value in element.attrib.items()
        ):
            yield ErrorCell(f"row {row + 1} of the sheet", "".join(element.itertext()))
        if tag == "table-row":
            repeated = [value for name, value in element.attrib.items() if name.endswith("}number-rows-repeated")]
            row += int(repeated[0]) if repeated else 1
            element.clear()


def _tag(element: ElementTree.Element) -> str:
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2]
