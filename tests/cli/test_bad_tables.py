"""Tables that cannot be used, through the real command line: one clear message each, and everything around as it was."""

import gzip
import io
import sys
import zipfile

import pytest
import xlsxwriter
from bad_inputs import assert_refused

from trm_aes.cli import score
from trm_aes.scoring.scorer import EssayScorer

GOOD = "essay_id,essay,score\n" + "".join(f"{n},Essay {n} is {'good ' * (n % 4)}.,{n % 4}\n" for n in range(20))


def zipped(**members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("_", "."), text)
    return content.getvalue()


def workbook(**sheets):
    content = io.BytesIO()
    with xlsxwriter.Workbook(content) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
    return content.getvalue()


# name, content, what the message says; all as the source of a data set and as the input of a scorer.
BOTH = {
    "a quote that swallows a row": (
        "t.tsv", 'id\tessay\tscore\n3\tFine\t1\n4\t"Text\t0\n5\tText he said."\t1\n', "row 2, line 3: a quote is opened there"),
    "a quote never closed": ("t.csv", 'essay,score\na,1\n"b,2\nc,3\n', "row 2, line 3: a quote is opened and never closed"),
    "text after a quote": ("t.csv", 'essay,score\n"a" b,1\nc,3\n', "row 1, line 2: text follows a quote that is closed"),
    "too many cells": ("t.csv", "essay,score\na,1\nb,2,3\n", "row 2, line 3: 3 fields where the header has 2"),
    "too few cells": ("t.csv", "essay,score\na,1\nb\n", "row 2, line 3: 1 fields where the header has 2"),
    "two delimiters": ("t.csv", "id;text,mark\n1;a,2\n2;b,3\n", "by commas or by semicolons? Give its --delimiter"),
    "no header": ("t.csv", "\n\n", "has no header line"),
    "a column twice": ("t.csv", "essay,essay\na,b\n", "several columns named 'essay'"),
    "a name with another case": ("t.csv", "ID,Essay,Score\n1,a,2\n", "Did you mean 'Essay'? Name"),
    "a name with a space": ("t.csv", "id, essay, score\n1,a,2\n", "Did you mean ' essay'? Name"),
    "100,000 columns": ("t.csv", ",".join(f"c{n}" for n in range(100_000)) + "\n", "has 100,000 columns; at most 16,384"),
    "100,000 fields": ("t.jsonl", "{" + ",".join(f'"c{n}":1' for n in range(100_000)) + "}\n", "row 1, line 1: 100,000 fields"),
    "17,000 columns, the essay not among them": (
        "t.csv", ",".join(f"c{n}" for n in range(16_000)) + "\n" + "," * 15_999 + "\n", "c19 and 15,980 more"),
    "NUL bytes": ("t.csv", "essay,score\na,1\nb\0,2\n", "row 2, line 3: NUL bytes"),
    "a line without end": ("t.csv", "essay,score\n" + "a" * 2**25, "row 1, line 2: longer than 16,777,216 characters"),
    "a quote without end": (
        "t.csv", 'essay,score\n"' + ("a" * 999 + "\n") * 17_000, "row 1, line 2: longer than 16,777,216 characters"),
    "a byte of another encoding": (
        "t.csv", b"essay,score\ncaf\xc3\xa9,1\nx\xe9,2\n", "row 2, line 3: the text is not utf-8: byte 0xe9"),
    "UTF-16": ("t.csv", "essay,score\na,1\n".encode("utf-16"), "begins with the mark of UTF-16. Give --encoding utf-16"),
    "UTF-16 without a mark": ("t.csv", "essay,score\na,1\n".encode("utf-16-le"), "NUL bytes"),
    "half of a surrogate pair": ("t.jsonl", '{"essay": "\\ud83d", "score": 1}\n', "\\ud83d is half of a surrogate pair"),
    "JSON that is cut": ("t.jsonl", '{"essay": "a", "score": 1}\n{"essay": "b', "row 2, line 2: not JSON"),
    "JSON nested without end": ("t.jsonl", "[" * 100_000 + "\n", "row 1, line 1: not JSON"),
    "JSON with a key twice": ("t.jsonl", '{"essay": "a", "essay": "b"}\n', "not JSON ('essay' is there twice)"),
    "a JSON array": ("t.json", '[{"essay": "a", "score": 1}]\n', "one JSON object a line is needed, not list"),
    "a JSON number": ("t.jsonl", "1" * 5000 + "\n", "not JSON"),
    "two tables in a zip": ("t.zip", zipped(a_csv=GOOD, b_csv=GOOD), "t.zip holds 2 tables (a.csv, b.csv)"),
    "two tables in a named zip": ("t.csv.zip", zipped(a_csv=GOOD, b_csv=GOOD), "t.csv.zip holds 2 tables (a.csv, b.csv)"),
    "no table in a zip": ("t.zip", zipped(a_pdf="x"), "t.zip holds no table (a.pdf)"),
    "no zip": ("t.zip", "essay,score\n", "t.zip cannot be read"),
    "a zip that is cut": ("t.csv.zip", zipped(a_csv=GOOD)[:-30], "t.csv.zip cannot be read"),
    "gzip that is cut": ("t.csv.gz", gzip.compress(GOOD.encode())[:-30], "t.csv.gz cannot be read"),
    "gzip and something after it": ("t.csv.gz", gzip.compress(GOOD.encode()) + b"more", "t.csv.gz cannot be read"),
    "gzip four times": (
        "t.csv.gz", gzip.compress(gzip.compress(gzip.compress(gzip.compress(GOOD.encode())))), "compressed more than 2 times over"),
    "zeros without end": ("t.csv.gz", gzip.compress(b"\0" * 2**25), "NUL bytes|longer than|unpacks to more"),
    "several sheets": (
        "t.xlsx", workbook(A=[["essay"], ["a"]], B=[["essay"], ["b"]]), "several sheets that hold rows: A, B. Name one: --sheet"),
    "an empty workbook": ("t.xlsx", workbook(A=[]), "t.xlsx holds no rows"),
    "a workbook with a header alone": ("t.xlsx", workbook(A=[["essay", "score"]]), "t.xlsx holds no"),
    "a workbook that is cut": ("t.xlsx", workbook(A=[["essay"], ["a"]])[:-100], "t.xlsx is not a workbook that can be read"),
    "a workbook that is text": ("t.xls", "essay\tscore\na\t1\n", "Is it text? Name it .csv or .tsv"),
    "a workbook named .csv": ("t.csv", workbook(A=[["essay"], ["a"]]), "t.csv is .xlsx by its content"),
    "a cell without a column": (
        "t.xlsx", workbook(A=[["essay", ""], ["a", "b"]]), "row 1: 'b' stands in a column that has no name"),
    "text named .parquet": ("t.parquet", "essay,score\na,1\n", "t.parquet is not a Parquet file"),
    "a Parquet file that is cut": ("t.parquet", b"PAR1abcdef", "t.parquet is not a Parquet file"),
    "an empty file": ("t.csv", "", "t.csv is empty"),
    "another format": ("t.docx", "x", "t.docx: unknown format"),
}  # fmt: skip


@pytest.fixture
def table(tmp_path, request):
    name, content, says = BOTH[request.param]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return tmp_path, name, says


def assert_says(said, says):
    assert any(part in said for part in says.split("|")), said


@pytest.mark.parametrize("table", BOTH, indirect=True)
def test_build(table):
    folder, name, says = table
    assert_says(assert_refused(folder, "build", "--source", name, "--output-dir", "out"), says)


@pytest.fixture(scope="module")
def loaded(model_dir):
    return EssayScorer.from_pretrained(model_dir, "cpu")


@pytest.fixture
def scorer(loaded, monkeypatch):
    """The one scorer of all these tests: to load it is another's concern."""
    monkeypatch.setattr(score, "load_scorer", lambda *_: loaded)
    return loaded.name


@pytest.mark.parametrize("table", BOTH, indirect=True)
def test_score(table, scorer):
    folder, name, says = table
    words = ["score", "--model", scorer, "--input", name, "--output", "out.csv", "--prompt-id", "a"]
    assert_says(assert_refused(folder, *words), says)


OPTIONS = {
    "no encoding": (["--encoding", "klingon"], "--encoding klingon: no such encoding"),
    "an encoding of bytes": (["--encoding", "base64"], "--encoding base64: no such encoding"),
    "encoding errors": (["--encoding-errors", "ignore"], "--encoding-errors"),
    "a long delimiter": (["--delimiter", "ab"], "--delimiter 'ab': give one character"),
    "a letter": (["--delimiter", "a"], "--delimiter 'a': give one character"),
    "a quote": (["--delimiter", '"'], "give one character"),
    "a sheet of no workbook": (["--sheet", "One"], "--sheet has no effect on good.csv"),
    "another delimiter": (["--delimiter", "|"], "no column 'essay'"),
}


@pytest.mark.parametrize("case", OPTIONS)
@pytest.mark.parametrize("command", ["build", "score"])
def test_options(tmp_path, scorer, case, command):
    (tmp_path / "good.csv").write_text(GOOD, encoding="utf-8")
    words, says = OPTIONS[case]
    of_command = {
        "build": ["--source", "good.csv", "--output-dir", "out"],
        "score": ["--model", scorer, "--input", "good.csv", "--output", "out.csv", "--prompt-id", "a"],
    }
    assert_refused(tmp_path, command, *of_command[command], *words, says=says)


OUTPUTS = {
    "JSON": ("out.json", [], "out.json cannot be written: scores are written as one JSON object a line. Name it .jsonl"),
    "compressed JSON": ("out.json.gz", [], "Name it .jsonl"),
    "a format that is only read": ("out.ods", [], "out.ods cannot be written"),
    "compressed twice": ("out.xlsx.zip", [], ".xlsx is compressed within itself"),
    "safe JSON lines": ("out.jsonl", ["--safe-for-spreadsheets"], "--safe-for-spreadsheets has no effect on out.jsonl"),
    "an essay that no sheet holds": ("out.xlsx", [], "row 2, column 'essay': 40,000 characters, and a cell of .xlsx holds 32,767"),
}  # fmt: skip


@pytest.mark.parametrize("case", OUTPUTS)
def test_outputs(tmp_path, scorer, case):
    (tmp_path / "in.csv").write_text("essay\nshort\n" + "x" * 40_000 + "\n", encoding="utf-8")
    output, words, says = OUTPUTS[case]
    assert_refused(
        tmp_path,
        "score",
        "--model",
        scorer,
        "--input",
        "in.csv",
        "--output",
        output,
        "--prompt-id",
        "a",
        *words,
        says=says,
    )


STANDARD_INPUT = {
    "a header": ('ID,Essay\n007,"I think."\n', "Did you mean 'Essay'? Name the right one with --essay-column"),
    "a header of other names": ("number;body\n1;I think so\n", "none is called 'essay'"),
    "nothing": ("", "Standard input is empty"),
    "empty lines": ("\n\n", "Standard input is empty"),
    "a header alone": ("id,essay\n", "holds no essays"),
    "two tables": (zipped(a_csv=GOOD, b_csv=GOOD), "standard input holds 2 tables (a.csv, b.csv)"),
    "a list for a prompt": (
        '{"essay": "x", "prompt_id": ["a"]}\n',
        "row 1, column 'prompt_id': a list names no prompt",
    ),
}


@pytest.mark.parametrize("case", STANDARD_INPUT)
def test_standard_input(tmp_path, scorer, case, monkeypatch):
    content, says = STANDARD_INPUT[case]
    content = content if isinstance(content, bytes) else content.encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert_refused(tmp_path, "score", "--model", scorer, "--input", "-", "--output", "out.csv", says=says)


def test_ids_that_are_lists(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"essay_id": [1, 2], "essay": "x", "score": 1}\n', encoding="utf-8")
    assert_refused(
        tmp_path, "build", "--source", "t.jsonl", "--output-dir", "out", says="column 'essay_id': a list is no id"
    )
