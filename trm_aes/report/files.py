"""The folder of a report: `report.json`, the same as a page and as tables."""

from dataclasses import asdict
from pathlib import Path

from ..files import write_json
from ..records import REPORT_NAME
from ..typed_json import read_record
from .record import FORMAT_VERSION, Report
from .tables import write_tables

PAGE_NAME, TABLES_FOLDER = "report.html", "tables"


def write_report(report: Report, folder: Path):
    """Writes a report into a folder that is there and empty."""
    # Brings matplotlib, which readers of a report do not need.
    from .page import render_page

    (folder / TABLES_FOLDER).mkdir()
    write_tables(report, folder / TABLES_FOLDER)
    (folder / PAGE_NAME).write_text(render_page(report), encoding="utf-8")
    write_json(folder / REPORT_NAME, asdict(report))


def read_report(folder: Path) -> Report:
    """
    The report in a folder.

    Raises:
        InputError: if there is none, or the file is damaged, from a later version, or not a report.
    """
    return read_record(Report, folder / REPORT_NAME, "trm-aes report", FORMAT_VERSION)
