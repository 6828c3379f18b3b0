"""Tables written and read back: every cell is what it was, in every pair of formats."""

import csv
import datetime
import decimal
import gzip
import json
import lzma
import math
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import python_calamine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trm_aes.data.tables import check_safe_for_spreadsheets, read_rows, write_rows
from trm_aes.errors import InputError

FORMATS = ["csv", "tsv", "jsonl", "parquet", "xlsx"]
COMPRESSED = ["csv.gz", "tsv.bz2", "jsonl.xz", "csv.zst", "tsv.zip"]
# Cells that something on the way may retype, reformat or cut.
CELLS = [
    "00001", "12345678901234567", "2E3", "10a", "1.0", "1.50", "+5", "-0", "1,5", "0x1F", "1_000", "Infinity", "nan", "NaN", "NULL",
    "None", "N/A", "TRUE", "false", "2024-03-01", "03/01/24", "1-2", "12:30", "", " ", " x ", "\tx", "x\n", "\r", "a\rb", "a\r\nb",
    "=1+1", "@x", "'x", '"', '""', 'a"b', ",", ";", "|", "a,b;c|d\te", "_x000D_", "caf\u00e9", "\u201cx\u201d", "\U0001f600",
    "\u2028", "\x85", "\x0b", "\ufeffx", "http://x.org", "<b>&amp;</b>", "#N/A", "\\n", "\\ud83d", "sep=;",
]  # fmt: skip
# As much as a cell of a sheet holds.
LONGEST = "x" * 32_767
# Without NUL, halves of surrogate pairs (no text), and U+FFFE and U+FFFF (which XML has not).
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufffe\uffff"), max_size=12)
ODD = st.one_of(st.sampled_from(CELLS), TEXT, st.text(' "\n\r,;\t|=0a', max_size=8))


def copied(rows, first, second):
    """The rows after they were written in one format, read, written in another, and read."""
    with tempfile.TemporaryDirectory() as folder:
        for name in (f"one.{first}", f"two.{second}"):
            write_rows(rows, Path(folder) / name, name)
            rows = list(read_rows(Path(folder) / name))
    return rows


@pytest.mark.parametrize("first", [*FORMATS, *COMPRESSED])
@pytest.mark.parametrize("second", FORMATS)
def test_cells_are_byte_equal_in_every_pair_of_formats(first, second):
    rows = [
        {"essay_id": cell, "essay": f"Essay {number}", "side": cell} for number, cell in enumerate([*CELLS, LONGEST])
    ]
    assert copied(rows, first, second) == rows


@pytest.mark.parametrize("first", FORMATS)
@pytest.mark.parametrize("second", FORMATS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cells=st.lists(st.tuples(ODD, ODD, ODD), min_size=1, max_size=6))
def test_odd_strings_are_written_and_read_back(first, second, cells):
    rows = [{"id": one, "essay": f"e{two}", "x y": three} for one, two, three in cells]
    assert copied(rows, first, second) == rows


VALUES = [{"essay": "a", "n": 12345678901234567, "x": 0.1 + 0.2, "t": True, "l": [1, "b"], "none": None},
          {"essay": "b", "n": -3, "x": 1e300, "t": False, "l": [2, "c"], "none": "now"}]  # fmt: skip


def test_values_have_types_where_the_format_has_them():
    homogeneous = [{**row, "l": [str(cell) for cell in row["l"]]} for row in VALUES]
    assert copied(VALUES, "jsonl", "jsonl") == VALUES
    assert copied(homogeneous, "jsonl", "parquet") == copied(homogeneous, "parquet", "jsonl") == homogeneous
    as_text = {
        "essay": "a",
        "n": "12345678901234567",
        "x": "0.30000000000000004",
        "t": "True",
        "l": '[1, "b"]',
        "none": "",
    }
    assert copied(VALUES, "jsonl", "csv")[0] == as_text
    # A sheet has truth values of its own; what its numbers cannot hold is text.
    assert copied(VALUES, "jsonl", "xlsx")[0] == {**as_text, "t": "TRUE"}


def test_json_has_no_nan_and_dates_are_iso(tmp_path):
    row = {"essay": "a", "x": math.nan, "l": [1.0, -math.inf], "day": datetime.date(2024, 3, 1),
           "at": datetime.datetime(2024, 3, 1, 10, 5), "d": decimal.Decimal("1.50"), "b": b"caf\xc3\xa9"}  # fmt: skip
    write_rows([row], tmp_path / "t.jsonl", "t.jsonl")

    def refuse(constant):
        pytest.fail(constant)

    found = json.loads((tmp_path / "t.jsonl").read_text(encoding="utf-8"), parse_constant=refuse)
    assert found == {"essay": "a", "x": None, "l": [1.0, None], "day": "2024-03-01", "at": "2024-03-01T10:05:00",
                     "d": "1.50", "b": "caf\u00e9"}  # fmt: skip


def test_compressed_outputs_are_compressed(tmp_path):
    rows = [{"essay": "word " * 1000, "n": str(number)} for number in range(100)]
    for name, decompress in (("t.csv.gz", gzip.decompress), ("t.jsonl.xz", lzma.decompress)):
        write_rows(rows, tmp_path / "temporary", name)
        plain = name.rsplit(".", 1)[0]
        write_rows(rows, tmp_path / plain, plain)
        content = (tmp_path / "temporary").read_bytes()
        assert len(content) < 20_000 and decompress(content) == (tmp_path / plain).read_bytes()
        # Neither the time nor the name of the temporary file is in it.
        write_rows(rows, tmp_path / "other", name)
        assert (tmp_path / "other").read_bytes() == content


@pytest.mark.parametrize("name", ["t.xlsx", "t.csv.zip", "t.parquet", "t.csv.zst"])
def test_the_same_rows_give_the_same_bytes(tmp_path, name):
    for copy in ("a", "b"):
        write_rows([{"essay": "x"}], tmp_path / copy, name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_lone_carriage_return_is_quoted(tmp_path):
    """Any reader of CSV finds the cell again."""
    write_rows([{"essay": "a\rb", "n": 1}], tmp_path / "t.csv", "t.csv")
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["essay", "n"], ["a\rb", "1"]]


def test_formulas_are_text_in_a_sheet(tmp_path):
    write_rows([{"essay": "=1+1", "=x": "@y"}], tmp_path / "t.xlsx", "t.xlsx")
    [sheet] = map(python_calamine.CalamineWorkbook.from_path(tmp_path / "t.xlsx").get_sheet_by_name, ["scores"])
    assert sheet.to_python() == [["essay", "=x"], ["=1+1", "@y"]]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.xlsx"])
def test_what_is_safe_for_spreadsheets(tmp_path, name):
    cells = ["=1+1", "+a", "-a", "@a", "\ta", "\ra", "-5", "+1.5", "a=1", "", "'=1"]
    rows = [{"essay": cell, "=n": 1} for cell in cells]
    write_rows(rows, tmp_path / name, name, safe_for_spreadsheets=True)
    safe = ["'=1+1", "'+a", "'-a", "'@a", "'\ta", "'\ra", "-5", "+1.5", "a=1", "", "'=1"]
    assert list(read_rows(tmp_path / name)) == [{"essay": cell, "'=n": "1"} for cell in safe]


def test_what_a_format_cannot_hold_is_an_error_that_names_it(tmp_path):
    with pytest.raises(
        InputError, match="rows 1 to 2: column 'k' holds|column 'k': it holds values of several types.*jsonl"
    ):
        write_rows([{"essay": "a", "k": 1}, {"essay": "b", "k": "x"}], tmp_path / "t", "t.parquet")
    with pytest.raises(InputError, match="row 1, column 'essay': 32,768 characters, and a cell of .xlsx holds 32,767"):
        write_rows([{"essay": "x" * 32_768}], tmp_path / "t", "t.xlsx")
    for output in ("t.jsonl", "t.parquet"):
        with pytest.raises(InputError, match="`safe_for_spreadsheets` has no effect"):
            check_safe_for_spreadsheets(output)


@pytest.mark.parametrize("row_group_size", [200, 20_000])
def test_parquet_is_read_in_memory_that_does_not_grow(tmp_path, row_group_size):
    """However its rows are grouped: of 30 MB of text a few are there at a time."""
    path, random = tmp_path / "t.parquet", np.random.default_rng(0)
    texts = [random.bytes(750).hex() for _ in range(20_000)]
    pq.write_table(pa.table({"essay": texts}), path, row_group_size=row_group_size, compression="none")
    before, held = pa.total_allocated_bytes(), []
    for row, text in zip(read_rows(path), texts, strict=True):
        assert row["essay"] == text
        held.append(pa.total_allocated_bytes() - before)
    assert max(held) < 6e6


def test_types_of_parquet_are_known_when_all_rows_are(tmp_path, monkeypatch):
    """Chunks that hold nothing, whole numbers or halves of a column make one column."""
    monkeypatch.setattr("trm_aes.data.tables.writing.CHUNK", 2)
    values = [None, None, 1, 2, 2.5, None]
    write_rows([{"essay": "x", "k": value} for value in values], tmp_path / "t.parquet", "t.parquet")
    assert pq.read_table(tmp_path / "t.parquet")["k"].to_pylist() == values
    with pytest.raises(InputError, match="several types"):
        write_rows([{"k": value} for value in [1, 2, "x", "y"]], tmp_path / "t", "t.parquet")
