"""What a table's file is by its name, known without the libraries that read it."""

from pathlib import Path

from ..errors import InputError

FORMATS = ("csv", "tsv", "jsonl", "parquet", "txt")
COMPRESSIONS = (".gz", ".xz", ".bz2", ".zip", ".zst")
# What scores are written as, never compressed.
OUTPUT_FORMATS = ("csv", "tsv", "jsonl")
# In place of a file: standard input, or standard output.
STANDARD_STREAM = "-"


def file_format(path: str | Path) -> str:
    """
    The format of a file by its name, compressed or not: one of `FORMATS`.

    Raises:
        InputError: if the name tells none.
    """
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    name = suffixes[-1].lstrip(".") if suffixes else ""
    name = {"json": "jsonl", "ndjson": "jsonl", "pq": "parquet"}.get(name, name)
    if name not in FORMATS:
        raise InputError(f"{path}: unknown format. Known are {', '.join('.' + known for known in FORMATS)}.")
    return name


def output_format(path: str | Path) -> str:
    """
    The format in which scores are written to a file, by its name: one of `OUTPUT_FORMATS`.

    Raises:
        InputError: if the name tells none, or one that is only read.
    """
    name = file_format(path)
    if name not in OUTPUT_FORMATS or Path(path).suffix.lower() in COMPRESSIONS:
        raise InputError(
            f"{path} cannot be written. Scores are written as {', '.join(OUTPUT_FORMATS)}, not compressed."
        )
    return name


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
