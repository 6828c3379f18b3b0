"""One door for tables: what is read of every kind of file, and what is refused, with its place."""

import bz2
import datetime
import gzip
import io
import lzma
import sys
import zipfile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from trm_aes.data.formats import AS_FOUND, TableReading, file_format
from trm_aes.data.tables import read_ids, read_rows, unpacking
from trm_aes.errors import InputError

ROWS = [{"id": "007", "essay": "Yes, I think so; or not."}, {"id": "2E3", "essay": 'He said "no".\nTwice.'}]


def zipped(**members):
    """A zip whose members are named with `_` for the dot."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("_", "."), text)
    return content.getvalue()


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def standard_input(monkeypatch, content):
    content = content if isinstance(content, bytes) else content.encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def both(path, content, monkeypatch, reading=AS_FOUND):
    """The rows of a file and those of standard input, which are the same."""
    rows = list(read_rows(write(path, content), reading))
    standard_input(monkeypatch, content)
    assert list(read_rows("-", reading)) == rows
    return rows


QUOTED = '"007"{d}"Yes, I think so; or not."{n}"2E3"{d}"He said ""no"".\nTwice."{n}'


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_the_delimiter_is_found_whatever_the_name(tmp_path, monkeypatch, delimiter, newline, name):
    text = f"id{delimiter}essay{newline}" + QUOTED.format(d=delimiter, n=newline)
    for content in (text, text.removesuffix(newline), "\ufeff" + text, f"sep={delimiter}{newline}{text}"):
        assert both(tmp_path / name, content, monkeypatch) == ROWS


def test_a_delimiter_that_is_given_wins(tmp_path, monkeypatch):
    text = "id;essay,score\n1;a,2\n2;b,3\n"
    with pytest.raises(InputError, match="separated by commas or by semicolons\\? Give its `delimiter`"):
        list(read_rows(write(tmp_path / "t.csv", text)))
    rows = both(tmp_path / "t.csv", text, monkeypatch, TableReading(delimiter=";"))
    assert rows == [{"id": "1", "essay,score": "a,2"}, {"id": "2", "essay,score": "b,3"}]
    rows = both(tmp_path / "t.csv", text.replace(";", "\t"), monkeypatch, TableReading(delimiter="tab"))
    assert rows[0] == {"id": "1", "essay,score": "a,2"}


def test_the_column_that_is_expected_tells_the_delimiter(tmp_path):
    path = write(tmp_path / "t.csv", "text;a|b\nx;1|2\n")
    assert list(read_rows(path, expected=["text"])) == [{"text": "x", "a|b": "1|2"}]


PACKED = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda content: pa.compress(content, codec="zstd", asbytes=True),
    "zip": lambda content: zipped(inside_csv=content),
    "csv": gzip.compress,
}


@pytest.mark.parametrize("suffix", PACKED)
def test_compression_is_told_by_content(tmp_path, monkeypatch, suffix):
    content = PACKED[suffix](("id,essay\n" + QUOTED.format(d=",", n="\n")).encode())
    assert both(tmp_path / f"t.csv.{suffix}", content, monkeypatch) == ROWS
    with pytest.raises(InputError, match="cannot be read"):
        list(read_rows(write(tmp_path / f"cut.csv.{suffix}", content[:-12])))


def test_a_zip_of_one_table_is_that_table(tmp_path):
    table = 'id,essay\n1,"a"\n'
    members = {"essays_csv": table, "__MACOSX/._essays_csv": "x", ".hidden_csv": "x", "read/me_pdf": "x"}
    path = tmp_path / "data.zip"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in members.items():
            archive.writestr(name if name.startswith("__") else name.replace("_", "."), text)
    write(path, content.getvalue())
    assert file_format(path) == "csv" and list(read_rows(path)) == [{"id": "1", "essay": "a"}]
    for number, members in ((2, {"a_csv": table, "b_tsv": table}), (0, {"a_pdf": table})):
        write(path, zipped(**members))
        with pytest.raises(InputError, match="2 tables \\(a.csv, b.tsv\\)" if number else "no table \\(a.pdf\\)"):
            file_format(path)
        with pytest.raises(InputError, match="2 tables" if number else "no table"):
            list(read_rows(write(tmp_path / "t.csv.zip", zipped(**members))))


def test_what_unpacks_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "ALWAYS_UNPACKED", 2**16)
    for unpacked in (b"essay,n\n" + b"a,1\n" * 200_000, b"essay\n" * 200_000):
        with pytest.raises(InputError, match="unpacks to more than 200 times its size"):
            for _ in read_rows(write(tmp_path / "t.csv.gz", gzip.compress(unpacked))):
                pass
    with pytest.raises(InputError, match="row 1, line 2: longer than 16,777,216 characters"):
        list(read_rows(write(tmp_path / "t.csv", b"essay\n" + b"a" * 2**25)))


SWALLOWED = {
    "tabs": '4\t"Text\t0\n5\tText he said."\t1\n6\tThird\t2\n',
    "a text column beside it": '4\tWrite it\t"Text\t0\n5\tWrite it\tText he said."\t1\n',
    "commas": '4,"Text,0\n5,Text he said.",1\n',
    "three rows": '4,"Text,0\n5,Other,1\n6,Text he said.",1\n',
    "with CR LF": '4,"Text,0\r\n5,Text he said.",1\r\n',
}


@pytest.mark.parametrize("case", SWALLOWED)
def test_a_quote_that_swallows_rows_is_an_error_that_names_the_row(tmp_path, case):
    rows = SWALLOWED[case]
    delimiter = "\t" if "\t" in rows else ","
    columns = (
        ["id", "essay", "score"]
        if rows.count(delimiter) % 2 == 0 and "Write" not in rows
        else ["id", "p", "essay", "s"]
    )
    first = delimiter.join(["1", *(["Write it"] if len(columns) == 4 else []), "Fine.", "2"])
    path = write(tmp_path / "t.tsv", delimiter.join(columns) + "\n" + first + "\n" + rows)
    with pytest.raises(InputError, match="row 2, line 3: a quote is opened there, and swallows the rows that follow"):
        list(read_rows(path))


PARAGRAPHS = {
    "commas in prose": 'essay,score\n"First, with a comma\nsecond, with another",3\n',
    "a number with a comma": 'essay,score\n"I paid 1,000 dollars\nand left.",3\n',
    "a comma and nothing after it": 'essay,score\n"Dear Sir,\nI write to you, Sir,",3\n',
    "one word before the comma": 'prompt_id,essay\nphones,"I think so.\n\nTherefore, they should be allowed."\n',
    "a name at the end": 'student,essay\nAnna,"Dear Sir,\nSincerely, Anna"\n',
    "three columns": 'essay_id,essay,grade\n1,"I paid 1,000 dollars.\nTherefore, it is",3\n',
    "tabs": 'id\tessay\tscore\n1\t"First\tpart\nsecond\tpart"\t3\n',
    "quotes inside": 'essay,score\n"He said ""a,1""\nb",3\n',
    "every cell quoted": 'essay,score\n"x,0\ny","0"\n',
}


@pytest.mark.parametrize("case", PARAGRAPHS)
def test_paragraphs_are_no_rows(tmp_path, case):
    text = PARAGRAPHS[case]
    delimiter = "\t" if "\t" in text else ","
    expected = pd.read_csv(io.StringIO(text), sep=delimiter, dtype=str).to_dict("records")
    assert list(read_rows(write(tmp_path / "t.csv", text))) == expected and len(expected) == 1


def test_columns_without_names_at_the_right_are_dropped_if_empty(tmp_path):
    path = write(tmp_path / "t.csv", "id;essay;;\n1;a;;\n")
    assert list(read_rows(path)) == [{"id": "1", "essay": "a"}]
    with pytest.raises(InputError, match="row 2, line 3: field 4 is filled in"):
        list(read_rows(write(tmp_path / "t.csv", "id;essay;;\n1;a;;\n2;b;;x\n")))
    # The numbers of rows that pandas writes.
    assert list(read_rows(write(tmp_path / "t.csv", ",essay\n0,a\n"))) == [{"": "0", "essay": "a"}]


def test_empty_lines_may_stand_before_the_header(tmp_path, monkeypatch):
    for text in ("\n\nid,essay\n\n1,a\n", "\r\nid;essay\r\n1;a\r\n"):
        assert both(tmp_path / "t.csv", text, monkeypatch) == [{"id": "1", "essay": "a"}]


def test_half_a_character_is_refused_whatever_the_codec(tmp_path, monkeypatch):
    for encoding, half in (("utf-7", "+2D0-"), ("unicode_escape", "\\ud83d")):
        path, text = tmp_path / "t.csv", f"id,essay\n1,a{half}b\n"
        with pytest.raises(InputError, match=r"row 1, line 2: \\ud83d is half of a surrogate pair"):
            list(read_rows(write(path, text), TableReading(encoding)))
        assert both(path, text, monkeypatch, TableReading(encoding, "replace")) == [{"id": "1", "essay": "a\ufffdb"}]


def test_what_to_do_with_bytes_has_no_effect_where_there_are_none(tmp_path):
    path = workbook(tmp_path / "t.xlsx", {"One": [["essay"], ["a"]]})
    with pytest.raises(InputError, match="`encoding_errors` has no effect"):
        list(read_rows(path, TableReading(encoding_errors="replace")))


def test_one_encoding_a_file(tmp_path, monkeypatch):
    text = "id,essay\n1,caf\u00e9\n2,\u201cna\u00efve\u201d\n"
    for encoding in ("utf-8", "utf-8-sig", "windows-1252", "utf-16"):
        rows = both(tmp_path / "t.csv", text.encode(encoding), monkeypatch, TableReading(encoding))
        assert [row["essay"] for row in rows] == ["caf\u00e9", "\u201cna\u00efve\u201d"]
    # One bad byte does not turn the whole file into another encoding.
    broken = text.encode() + b"3,bad \xe9 byte\n"
    with pytest.raises(
        InputError, match="row 3, line 4: the text is not utf-8: byte 0xe9 .*windows-1252.*`encoding_errors`"
    ):
        list(read_rows(write(tmp_path / "t.csv", broken)))
    rows = both(tmp_path / "t.csv", broken, monkeypatch, TableReading(encoding_errors="replace"))
    assert rows[0]["essay"] == "caf\u00e9" and rows[2]["essay"] == "bad \ufffd byte"
    with pytest.raises(InputError, match="begins with the mark of UTF-16. Give `encoding` utf-16"):
        list(read_rows(write(tmp_path / "t.csv", text.encode("utf-16"))))
    # As in the WHATWG's Encoding Standard, all bytes are characters.
    rows = list(read_rows(write(tmp_path / "t.csv", b"id,essay\n1,\x81\x9d\n"), TableReading("windows-1252")))
    assert rows[0]["essay"] == "\x81\x9d"


def test_standard_input_is_told_by_its_content(tmp_path, monkeypatch):
    def read(text, **options):
        standard_input(monkeypatch, text)
        return list(read_rows("-", **options))

    assert read("Just an essay\nand another, I think\n") == [
        {"essay": "Just an essay"},
        {"essay": "and another, I think"},
    ]
    assert read("Dear Sir, I think\nDear Madam, I do not\n")[0] == {"essay": "Dear Sir, I think"}
    assert read('{"essay": "a", "n": 1}\n') == [{"essay": "a", "n": 1}]
    assert read("n;text\n1;a\n", expected=["text"]) == [{"n": "1", "text": "a"}]
    headers = {
        'ID,Essay\n007,"I think."\n': "columns ID, Essay, and none is called 'essay'. Did you mean 'Essay'",
        "Essay\nI think so.\n": "Did you mean 'Essay'",
        " essay \nI think so.\n": "Did you mean ' essay '",
        "number;body\n1;I think so\n": "columns number, body, and none is called 'essay'",
        "text\nI think so.\n": "columns text",
    }
    for text, message in headers.items():
        with pytest.raises(InputError, match=f"{message}.*`columns.essay`"):
            read(text)
        if "ssay" in text:
            with pytest.raises(
                InputError, match="begins like a table with a column '.*ssay ?'. If it is one, name it .csv"
            ):
                list(read_rows(write(tmp_path / "t.txt", text)))
    for text in ("essays,score\nI think.,3\n", "Essay_text;score\nI think.;3\n"):
        with pytest.raises(InputError, match="begins like a table with a column '[Ee]ssay"):
            list(read_rows(write(tmp_path / "t.txt", text)))
    # What is called text may begin with a word that is like a name of a column.
    for first in ("Sadly, phones are banned.", "Easy, I say; it is.", "Essays, essays, essays!"):
        path = write(tmp_path / "t.txt", f"{first}\nAnother one.\n")
        assert [row["essay"] for row in read_rows(path)] == [first, "Another one."]
    # However long the first line is.
    wide = ",".join(f"column{number}" for number in range(20_000))
    with pytest.raises(InputError, match="columns column0, column1.*none is called 'essay'"):
        read(f"{wide}\n{wide}\n")
    with pytest.raises(InputError, match="Standard input is empty"):
        read("\n\n")


def workbook(path, sheets):
    with xlsxwriter.Workbook(path) as book:
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                for column, value in enumerate(row):
                    if isinstance(value, str):
                        sheet.write_string(number, column, value)
                    elif isinstance(value, datetime.date):
                        sheet.write_datetime(number, column, value, day)
                    else:
                        sheet.write(number, column, value)
    return path


def test_cells_of_a_workbook_are_what_the_sheet_shows(tmp_path, monkeypatch):
    cells = {
        "essay": ("Text, as it is", "Text, as it is"),
        "id": ("00001", "00001"),
        "whole": (7, "7"),
        "large": (123456789012, "123456789012"),
        "half": (6.5, "6.5"),
        "day": (datetime.date(2024, 3, 1), "2024-03-01"),
        "truth": (True, "TRUE"),
        "nothing": ("", ""),
        "sum": ("=1+1", "=1+1"),
    }
    path = workbook(
        tmp_path / "t.xlsx", {"Data": [list(cells), [], [value for value, _ in cells.values()]], "Empty": []}
    )
    expected = [{name: text for name, (_, text) in cells.items()}]
    assert list(read_rows(path)) == expected
    standard_input(monkeypatch, path.read_bytes())
    assert list(read_rows("-")) == expected


def test_a_workbook_of_several_sheets_needs_a_name(tmp_path):
    path = workbook(tmp_path / "t.xlsx", {"One": [["essay"], ["a"]], "Two": [["essay"], ["b"]], "Blank": []})
    with pytest.raises(InputError, match="several sheets that hold rows: One, Two. Name one: `sheet`"):
        list(read_rows(path))
    assert list(read_rows(path, TableReading(sheet="Two"))) == [{"essay": "b"}]
    with pytest.raises(InputError, match="One, Two. Save the one that is meant as a file of its own"):
        list(read_rows(path, TableReading(sheet_is_choice=False)))
    with pytest.raises(InputError, match="no sheet 'two'; it has One, Two, Blank. Did you mean 'Two'"):
        list(read_rows(path, TableReading(sheet="two")))
    with pytest.raises(InputError, match="holds no rows"):
        list(read_rows(path, TableReading(sheet="Blank")))
    with pytest.raises(InputError, match="`sheet` has no effect"):
        list(read_rows(write(tmp_path / "t.csv", "essay\na\n"), TableReading(sheet="Two")))
    with pytest.raises(InputError, match="`encoding` has no effect"):
        list(read_rows(path, TableReading("latin-1", sheet="Two")))
    with pytest.raises(InputError, match="'x' stands in a column that has no name"):
        list(read_rows(workbook(tmp_path / "t.xlsx", {"One": [["essay", ""], ["a", "x"]]})))


def test_ods_and_xls_are_read(tmp_path):
    """The smallest .ods; .xls is refused as damaged by the same library that reads it, and not taken for text."""
    content = (
        '<?xml version="1.0"?><office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
        'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet>'
        '<table:table table:name="S">'
        + "".join(
            "<table:table-row>"
            + "".join(
                f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>'
                for cell in row
            )
            + "</table:table-row>"
            for row in (["id", "essay"], ["007", "Yes"])
        )
        + "</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    manifest = '<?xml version="1.0"?><m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
    with zipfile.ZipFile(tmp_path / "t.ods", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", content)
        archive.writestr("META-INF/manifest.xml", manifest)
    assert list(read_rows(tmp_path / "t.ods")) == [{"id": "007", "essay": "Yes"}]
    with pytest.raises(InputError, match="is not a workbook that can be read"):
        list(read_rows(write(tmp_path / "t.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600)))
    with pytest.raises(InputError, match="Is it text\\? Name it .csv"):
        list(read_rows(write(tmp_path / "t.xls", "id\tessay\n1\ta\n")))
    with pytest.raises(InputError, match="is .ods by its content"):
        list(read_rows(write(tmp_path / "t.csv", (tmp_path / "t.ods").read_bytes())))


def test_halves_of_characters(tmp_path):
    path = write(tmp_path / "t.jsonl", '{"essay": "\\ud83d\\ude00"}\n{"essay": "x\\ud83d"}\n')
    with pytest.raises(InputError, match=r"row 2, line 2: \\ud83d is half of a surrogate pair"):
        list(read_rows(path))
    rows = list(read_rows(path, TableReading(encoding_errors="replace")))
    assert rows == [{"essay": "\U0001f600"}, {"essay": "x\ufffd"}]


def test_lists_of_ids(tmp_path):
    assert read_ids(write(tmp_path / "ids.txt", "\ufeff007\r\nan id\r\n\r\n2E3")) == ["007", "an id", "2E3"]


def test_a_parquet_file_keeps_its_types(tmp_path, monkeypatch):
    rows = [
        {"id": 12345678901234567, "essay": "a", "day": datetime.date(2024, 3, 1)},
        {"id": None, "essay": "b", "day": None},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    assert both(tmp_path / "t.parquet", (tmp_path / "t.parquet").read_bytes(), monkeypatch) == rows
    assert (
        list(read_rows(write(tmp_path / "t.parquet.gz", gzip.compress((tmp_path / "t.parquet").read_bytes())))) == rows
    )


def test_formulas_that_were_never_worked_out_are_not_read_as_empty_cells(tmp_path):
    path = tmp_path / "t.xlsx"

    def book_with(value, formula="=1+1"):
        with xlsxwriter.Workbook(path) as book:
            sheet = book.add_worksheet()
            sheet.write_row(0, 0, ["essay", "score"])
            sheet.write_row(1, 0, ["Text.", 2])
            sheet.write_string(2, 0, "More.")
            sheet.write_formula(2, 1, formula, None, value)
        return path

    assert [row["score"] for row in read_rows(book_with(2))] == ["2", "2"]
    with pytest.raises(InputError, match=r"t\.xlsx, cell B3: its formula has no result\. Open the workbook"):
        list(read_rows(book_with("")))
    # An empty text is a result.
    content = {name: archive.read(name) for archive in [zipfile.ZipFile(path)] for name in archive.namelist()}
    name = "xl/worksheets/sheet1.xml"
    content[name] = content[name].replace(b'r="B3"', b'r="B3" t="str"')
    with zipfile.ZipFile(path, "w") as archive:
        for part, text in content.items():
            archive.writestr(part, text)
    assert [row["score"] for row in read_rows(path)] == ["2", ""]


def test_cells_that_hold_errors_are_not_read_as_empty_ones(tmp_path):
    path = tmp_path / "t.xlsx"
    with xlsxwriter.Workbook(path) as book:
        for name, error in (("Fine", None), ("Odd", "#N/A")):
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, ["prompt_id", "essay"])
            sheet.write_row(1, 0, ["a", "Text."])
            if error:
                sheet.write_formula(1, 0, "=VLOOKUP(7,B1:B2,1)", None, error)
    assert list(read_rows(path, TableReading(sheet="Fine"))) == [{"prompt_id": "a", "essay": "Text."}]
    # Where the parts of a sheet lie may be said from the root of the archive.
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "rooted.xlsx", "w") as rooted:
        for name in archive.namelist():
            content = archive.read(name)
            is_relations = name == "xl/_rels/workbook.xml.rels"
            rooted.writestr(name, content.replace(b'"worksheets/', b'"/xl/worksheets/') if is_relations else content)
    assert list(read_rows(tmp_path / "rooted.xlsx", TableReading(sheet="Fine")))
    with pytest.raises(InputError, match="cell A2: it holds the error #N/A"):
        list(read_rows(tmp_path / "rooted.xlsx", TableReading(sheet="Odd")))
    with pytest.raises(InputError, match=r"t\.xlsx, cell A2: it holds the error #N/A\. Mend its formula"):
        list(read_rows(path, TableReading(sheet="Odd")))
    content = (
        '<?xml version="1.0"?><office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        'xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0" '
        'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
        'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet><table:table table:name="S">'
        '<table:table-row><table:table-cell office:value-type="string"><text:p>essay</text:p></table:table-cell></table:table-row>'
        '<table:table-row table:number-rows-repeated="2"><table:table-cell/></table:table-row>'
        '<table:table-row><table:table-cell office:value-type="string" calcext:value-type="error"><text:p>#DIV/0!</text:p>'
        "</table:table-cell></table:table-row></table:table></office:spreadsheet></office:body></office:document-content>"
    )
    with zipfile.ZipFile(tmp_path / "t.ods", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", content)
        archive.writestr(
            "META-INF/manifest.xml",
            '<?xml version="1.0"?><m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>',
        )
    with pytest.raises(InputError, match=r"t\.ods, row 4 of the sheet: it holds the error #DIV/0!"):
        list(read_rows(tmp_path / "t.ods"))


def test_columns_of_one_name_in_parquet_are_refused(tmp_path):
    table = pa.Table.from_arrays([pa.array(["one"]), pa.array(["two"])], names=["essay", "essay"])
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(InputError, match="several columns named 'essay'"):
        list(read_rows(tmp_path / "t.parquet"))
