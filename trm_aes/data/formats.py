"""What a table's file is by its name, and how it is to be read, known without the libraries that read it."""

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import InputError, brief

WORKBOOKS = ("xlsx", "xls", "ods")
FORMATS = ("csv", "tsv", "jsonl", "parquet", *WORKBOOKS, "txt")
OUTPUT_FORMATS = ("csv", "tsv", "jsonl", "parquet", "xlsx")
# Compressed within themselves.
BINARY_FORMATS = ("parquet", *WORKBOOKS)
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd", ".zip": "zip"}
OTHER_NAMES = {"json": "jsonl", "ndjson": "jsonl", "pq": "parquet"}
STRICT, REPLACE = ENCODING_ERRORS = ("strict", "replace")
# What people call delimiters that a shell does not pass on.
NAMED_DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";"}
# In place of a file: standard input, or standard output.
STANDARD_STREAM = "-"


@dataclass(frozen=True)
class TableReading:
    """
    What a table's file does not say of itself.

    Args:
        encoding: of CSV, TSV, JSON lines and text; UTF-8 (with a byte-order mark or without) if not given.
        encoding_errors: what becomes of bytes that are not in the encoding: `strict` refuses them, `replace` puts U+FFFD.
        delimiter: the character between cells of CSV and TSV, or `tab`; found from the content if not given.
        sheet: the sheet of a workbook; its only sheet that holds rows if not given.
        sheet_is_choice: whether whoever reads an error can choose the sheet.

    Raises:
        InputError: for an encoding that does not exist, or what is no delimiter.
    """

    encoding: str | None = None
    encoding_errors: str = STRICT
    delimiter: str | None = None
    sheet: str | None = None
    sheet_is_choice: bool = True

    def __post_init__(self):
        if self.encoding is not None:
            _check_encoding(self.encoding)
        if self.encoding_errors not in ENCODING_ERRORS:
            raise InputError(f"`encoding_errors` {self.encoding_errors}: there are {' and '.join(ENCODING_ERRORS)}.")
        if self.delimiter is not None:
            delimiter = NAMED_DELIMITERS.get(self.delimiter, self.delimiter)
            if len(delimiter) != 1 or delimiter in '"\r\n\0' or delimiter.isalnum():
                raise InputError(f"`delimiter` {self.delimiter!r}: give one character such as ; or |, or the word tab.")
            object.__setattr__(self, "delimiter", delimiter)

    def without_encoding(self) -> "TableReading":
        """The same for a format that has no encoding to choose."""
        return replace(self, encoding=None, encoding_errors=STRICT)


# Nothing is said of the file.
AS_FOUND = TableReading()


def _check_encoding(encoding: str):
    try:
        # In the way in which the lines of a file are decoded: some of Python's codecs are none for files.
        b"a".decode(encoding, "surrogateescape")
    except UnicodeDecodeError:
        pass  # One byte is not enough for UTF-16.
    except (LookupError, ValueError):
        raise InputError(f"`encoding` {encoding}: no such encoding. Often it is utf-8 or windows-1252.") from None


def is_local(path: str) -> bool:
    """Whether a path leads into this machine's file system, as far as its form tells."""
    return "://" not in path


def file_format(path: str | Path) -> str:
    """
    The format of a file by its name, compressed or not: one of `FORMATS`. Of a zip whose own name tells none, the name of
    the table in it counts.

    Raises:
        InputError: if the name tells none.
    """
    named = _named_format(str(path))
    if named is None and _suffixes(path)[-1:] == [".zip"] and Path(path).is_file():
        with open_zip(path) as archive:
            named = _named_format(table_in_zip(archive, str(path)).filename)
    if named is None:
        raise InputError(f"{path}: unknown format. Known are {', '.join('.' + known for known in FORMATS)}.")
    return named


def output_format(path: str | Path) -> str:
    """
    The format in which scores are written to a file, by its name: one of `OUTPUT_FORMATS`.

    Raises:
        InputError: if the name tells none, or one that is only read.
    """
    name, suffixes = file_format(path), _suffixes(path)
    if name not in OUTPUT_FORMATS:
        raise InputError(f"{path} cannot be written. Scores are written as {', '.join(OUTPUT_FORMATS)}.")
    if ".json" in suffixes:
        raise InputError(f"{path} cannot be written: scores are written as one JSON object a line. Name it .jsonl.")
    if name in BINARY_FORMATS and compression(path):
        raise InputError(f"{path} cannot be written: .{name} is compressed within itself. Leave {suffixes[-1]} out.")
    return name


def check_is_json_lines(output: str | Path):
    """
    Checks that objects of any shape may be written to a file, one a line.

    Raises:
        InputError: if its name is not that of JSON lines.
    """
    if output_format(output) != "jsonl":
        raise InputError(f"{output} cannot be written: explanations are one JSON object a line. Name it .jsonl.")


def check_is_parquet_folder(output: str | Path):
    """
    Checks that an output is named as a folder of Parquet files may be.

    Raises:
        InputError: if its name is that of a table of another format.
    """
    named = _named_format(str(output))
    if named not in (None, "parquet"):
        raise InputError(
            f"{output} cannot be written: `engine` ray writes a folder of Parquet files. Name it without .{named}."
        )


def name_without_format(path: str | Path) -> str:
    """A table's name without what tells its format and its compression: `spring.2026.csv.gz` is `spring.2026`."""
    name = Path(path)
    for known in (COMPRESSIONS, [f".{ending}" for ending in (*FORMATS, *OTHER_NAMES)]):
        if name.suffix.lower() in known:
            name = name.with_suffix("")
    return name.name


def compression(path: str | Path) -> str | None:
    """How a file is compressed by its name: one of the values of `COMPRESSIONS`, or None."""
    return COMPRESSIONS.get(next(iter(_suffixes(path)[-1:]), ""))


def check_is_file(path: str | Path) -> Path:
    """
    Checks that there is something to read.

    Raises:
        InputError: if there is no such file, or it is empty.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    if not path.is_file():
        raise InputError(f"{path} is not a file.")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty.")
    return path


def open_zip(file, name: str | None = None) -> zipfile.ZipFile:
    """
    A zip, opened to be read.

    Args:
        file: path or binary file.
        name: what to call it in the error; its path if not given.

    Raises:
        InputError: if it is damaged.
    """
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise InputError(f"{name or file} cannot be read: {brief(error)}.") from None


def table_in_zip(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """
    The one table in a zip. Folders, hidden files and what macOS adds are no tables.

    Raises:
        InputError: if there is none, there are several, or it is encrypted.
    """
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir()
        and not member.filename.startswith("__MACOSX/")
        and not Path(member.filename).name.startswith(".")
    ]
    tables = [member for member in members if _named_format(member.filename) is not None]
    if len(tables) != 1:
        found = ", ".join(member.filename for member in (tables or members)[:5]) or "nothing"
        problem = f"holds {len(tables)} tables" if tables else "holds no table"
        raise InputError(f"{name} {problem} ({found}). Unpack it, and give one table.")
    if tables[0].flag_bits & 1:
        raise InputError(f"{name} is encrypted. Unpack it, and give the table.")
    return tables[0]


def _suffixes(path: str | Path) -> list[str]:
    return [suffix.lower() for suffix in Path(path).suffixes]


def _named_format(name: str) -> str | None:
    suffixes = _suffixes(name)
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    last = suffixes[-1].lstrip(".") if suffixes else ""
    last = OTHER_NAMES.get(last, last)
    return last if last in FORMATS else None
