"""The folder of a report: `report.json`, and the same as tables."""

from dataclasses import asdict
from pathlib import Path

from ..files import write_json
from ..records import REPORT_NAME
from ..typed_json import read_record
from .record import FORMAT_VERSION, Report
from .tables import write_tables

TABLES_FOLDER = "tables"


def write_report(report: Report, folder: Path):
    """Writes a report into a folder that is there and empty."""
    (folder / TABLES_FOLDER).mkdir()
    write_tables(report, folder / TABLES_FOLDER)
    write_json(folder / REPORT_NAME, asdict(report))


def read_report(folder: Path) -> Report:
    """
    The report in a folder.

    Raises:
        InputError: if there is none, or the file is damaged, from a later version, or not a report.
    """
    return read_record(Report, folder / REPORT_NAME, "trm-aes report", FORMAT_VERSION)
