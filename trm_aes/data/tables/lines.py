"""Text as lines: decoded, of bounded length, and each problem with its place."""

import codecs
import io
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from ...errors import InputError
from ..formats import STRICT, TableReading

# Of one row, in characters. An essay of 100,000 words has half a million.
MAX_ROW = 2**24
# Of the text by which delimiter and format are told.
SAMPLE = 2**16
# What Python makes of bytes that are not in the encoding (PEP 383): it keeps them apart from all that can be.
UNDECODED = re.compile("[\udc80-\udcff]")
# Half of a character: JSON, UTF-7 and Python's escapes can write it, no text can hold it.
SURROGATE = re.compile("[\ud800-\udfff]")
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def _error_handler(codec: str, encoding_errors: str) -> str:
    if codec == "cp1252":
        return WINDOWS_1252
    return "surrogateescape" if encoding_errors == STRICT else encoding_errors


def _as_control_characters(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("latin1"), error.end


# Python's Windows-1252 leaves five bytes undefined. Here, as in the WHATWG's Encoding Standard, they are control characters.
WINDOWS_1252 = "trm_aes.windows_1252"
codecs.register_error(WINDOWS_1252, _as_control_characters)


@dataclass(frozen=True)
class UnreadRow:
    """
    A row that cannot be read, where the rows around it can.

    Args:
        reason: why, for people; it names the place.
        text: the row as it stands in its file.
    """

    reason: str
    text: str


class TextLines:
    """
    The lines of a table's text, with their line ends (LF, CR LF or CR) as they stand.

    Args:
        binary: the text's bytes.
        source: what to call it in messages.
        reading: its encoding, and what becomes of bytes that are not in it.

    Attributes:
        row: the row that is being read, from 1; 0 is the header. The reader of the table sets it.
        number: of the line that was read last, from 1.

    Raises:
        InputError: from the iteration: for bytes that are not in the encoding, NUL bytes, and lines without end.
    """

    def __init__(self, binary: io.BufferedReader, source: str, reading: TableReading):
        self.source, self.row, self.number = source, 1, 0
        self._encoding = reading.encoding or "utf-8"
        codec = codecs.lookup(self._encoding).name
        self._is_strict = reading.encoding_errors == STRICT
        self._check_byte_order_mark(binary.peek(4)[:4], codec)
        self._text = io.TextIOWrapper(
            binary,
            # The mark, which spreadsheets write, is no part of the first column's name.
            encoding="utf-8-sig" if codec == "utf-8" else self._encoding,
            errors=_error_handler(codec, reading.encoding_errors),
            newline="",
        )
        self._ahead: deque[str] = deque()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._ahead.popleft() if self._ahead else self._read_line()
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) > MAX_ROW:
            raise self.error(f"longer than {MAX_ROW:,} characters. Is it a table, and are its line ends there?")
        if "\0" in line:
            raise self.error("NUL bytes: the file is damaged, or not in the encoding it claims (`encoding`).")
        return line if line.isascii() else self._whole(line)

    def look_ahead(self) -> tuple[list[str], bool]:
        """
        The next lines, two at least and about `SAMPLE` characters of them, which are still to come; and whether they are all.
        """
        num_characters = sum(map(len, self._ahead))
        while num_characters < SAMPLE or len(self._ahead) < 2:
            line = self._read_line()
            if not line:
                return list(self._ahead), True
            self._ahead.append(line)
            num_characters += len(line)
        return list(self._ahead), False

    def error(self, problem: str) -> InputError:
        """An error that names the place of what was read last."""
        row = f"row {self.row}, " if self.row else "the header, "
        return InputError(f"{self.source}, {row}line {self.number}: {problem}")

    def _read_line(self) -> str:
        try:
            return self._text.readline(MAX_ROW + 1)
        except UnicodeDecodeError as error:
            # Of encodings such as UTF-16, in which not every byte can be kept.
            raise self._not_in_encoding(error.object[error.start]) from None

    def _whole(self, line: str) -> str:
        """The line, if each of its characters is one."""
        if self._is_strict:
            undecoded = UNDECODED.search(line)
            if undecoded:
                raise self._not_in_encoding(ord(undecoded[0]) - 0xDC00)
        half = SURROGATE.search(line)
        if half is None:
            return line
        if self._is_strict:
            raise self.half_a_character(half[0])
        return SURROGATE.sub("\ufffd", line)

    def half_a_character(self, half: str) -> InputError:
        """An error about half of a surrogate pair in what was read last."""
        return self.error(
            f"\\u{ord(half):x} is half of a surrogate pair, and no character. Mend it, or set `encoding_errors` to replace."
        )

    def _not_in_encoding(self, byte: int) -> InputError:
        return self.error(
            f"the text is not {self._encoding}: byte 0x{byte:02x} cannot be read. Give its `encoding` (often "
            "windows-1252), or set `encoding_errors` to replace."
        )

    def _check_byte_order_mark(self, head: bytes, codec: str):
        marked = next((name for mark, name in BYTE_ORDER_MARKS.items() if head.startswith(mark)), None)
        if marked is not None and not codec.replace("_", "-").startswith(marked):
            raise InputError(
                f"{self.source} is not {self._encoding}: it begins with the mark of {marked.upper()}. Give `encoding` {marked}."
            )
