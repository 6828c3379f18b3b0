"""CSV and its relatives: which character separates the cells, which cells make a row, and rows that a quote has merged."""

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterator

from ...errors import InputError
from ..formats import TableReading
from .lines import MAX_ROW, TextLines, UnreadRow

# In the order in which messages name them.
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
# As many as a sheet of Excel holds.
MAX_COLUMNS = 16_384
# The line by which spreadsheets are told the delimiter.
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)
QUOTED = re.compile(r'"(?:[^"]|"")*"')
NUMBER = re.compile(r"[+-]?\d[\d.,]*(?:[eE][+-]?\d+)?%?")
# The csv module's own limit of 131,072 characters is less than a long essay has.
csv.field_size_limit(MAX_ROW)


def separated_rows(
    lines: TextLines, usual: str, reading: TableReading, expected: Collection[str] = ()
) -> Iterator[dict[str, str] | UnreadRow]:
    """
    The rows of CSV or TSV, every cell a string as it stands there. A line without any character is no row. A row cannot be read
    that has too many or too few cells, or text after a quote that is closed.

    Args:
        lines: of the file.
        usual: the delimiter that the file's name tells.
        reading: a delimiter that the user gives wins over the one that is found.
        expected: names of columns that the caller needs, which help to tell the delimiter.

    Raises:
        InputError: if the delimiter or the header cannot be told, or where a quote is never closed or has swallowed the rows
            after it.
    """
    lines.row = 0
    found = take_separator_line(lines)
    delimiter = reading.delimiter or found or find_delimiter(*lines.look_ahead(), usual, expected, lines.source)
    record = _Record(lines)
    reader = csv.reader(record, delimiter=delimiter, strict=True)
    try:
        header = _Header(next((names for names in reader if names), []), lines)
    except csv.Error as error:
        raise _malformed(error, record) from None
    lines.row = 1
    while True:
        record.begin()
        try:
            values = next(reader, None)
        except csv.Error as error:
            problem = _malformed(error, record)
            if len(record.lines) != 1:
                # More rows than one may be in it.
                raise problem from None
            yield UnreadRow(str(problem), record.text)
        else:
            if values is None:
                return
            if not values:
                continue
            yield _row(values, header, record, delimiter)
        lines.row += 1


def _row(values: list[str], header: "_Header", record: "_Record", delimiter: str) -> dict[str, str] | UnreadRow:
    lines = record.source
    if len(values) != header.width:
        problem = lines.error(
            f"{len(values)} fields where the header has {header.width}. Is a quote or a separator inside an essay not quoted?"
        )
        return UnreadRow(str(problem), record.text)
    if len(record.lines) > 1 and _has_swallowed(record.lines, len(values), delimiter):
        raise _at_start(record, "a quote is opened there, and swallows the rows that follow")
    return header.named(values, lines)


def _malformed(error: csv.Error, record: "_Record") -> InputError:
    """What an error of the csv module comes to for people."""
    if "unexpected end of data" in str(error):
        return _at_start(record, "a quote is opened and never closed")
    if "expected after" in str(error):
        return record.source.error("text follows a quote that is closed. A quote inside a quoted text must be doubled.")
    return record.source.error(f"{error}.")


def take_separator_line(lines: TextLines) -> str | None:
    """The delimiter that a first line `sep=;` names; the line is taken from the lines. None if there is no such line."""
    ahead, _ = lines.look_ahead()
    match = SEPARATOR_LINE.fullmatch(ahead[0]) if ahead else None
    if match is None:
        return None
    next(lines)
    return match[1]


def find_delimiter(sample: list[str], is_all: bool, usual: str, expected: Collection[str], source: str) -> str:
    """
    The character that separates cells: the one by which the header has several and every row as many; if several do, the
    one by which the header has a column that is expected.

    Args:
        sample: the first lines.
        is_all: whether there are no more.
        usual: what it is where the header has one column.
        expected: names of columns.
        source: what to call the file.

    Raises:
        InputError: if that leaves several.
    """
    headers = {delimiter: columns_of(sample, delimiter) for delimiter in DELIMITERS}
    candidates = [delimiter for delimiter, names in headers.items() if len(names) > 1]
    candidates = [delimiter for delimiter in candidates if is_consistent(sample, delimiter, is_all)] or candidates
    if len(candidates) > 1:
        named = [delimiter for delimiter in candidates if set(expected) & set(headers[delimiter])]
        candidates = named or candidates
    if len(candidates) > 1:
        raise InputError(
            f"{source}: are its cells separated by {' or by '.join(DELIMITERS[found] for found in candidates)}? "
            "Give its `delimiter`."
        )
    return candidates[0] if candidates else usual


def columns_of(sample: list[str], delimiter: str) -> list[str]:
    """The cells of the first record of some lines; none where they cannot be told."""
    try:
        return next((values for values in csv.reader(sample, delimiter=delimiter) if values), [])
    except csv.Error:
        return []


def is_consistent(sample: list[str], delimiter: str, is_all: bool) -> bool:
    """Whether all records of some lines have as many cells. The last may end in a quote where the lines are not all."""
    widths = set()
    try:
        for values in csv.reader(sample, delimiter=delimiter, strict=True):
            if values:
                widths.add(len(values))
    except csv.Error as error:
        if is_all or "unexpected end of data" not in str(error):
            return False
    return len(widths) == 1


def check_columns(names: list[str], source: str):
    """
    Checks the names of a table's columns.

    Raises:
        InputError: if there are none, too many, or one of them twice.
    """
    if not any(name.strip() for name in names):
        raise InputError(f"{source} has no header line with the names of its columns.")
    if len(names) > MAX_COLUMNS:
        raise InputError(f"{source} has {len(names):,} columns; at most {MAX_COLUMNS:,} can be read.")
    twice = [name for name, count in Counter(names).items() if count > 1 and name.strip()]
    if twice:
        raise InputError(f"{source} has several columns named {twice[0]!r}.")


class _Header:
    """
    The names of the columns. Several without a name, which spreadsheets leave at the right, are dropped if they are empty.

    Args:
        names: the cells of the header.
        lines: what they were read from, for errors.
    """

    def __init__(self, names: list[str], lines: TextLines):
        check_columns(names, lines.source)
        self.width = len(names)
        nameless = [place for place, name in enumerate(names) if not name.strip()]
        self._nameless = nameless if len(nameless) > 1 else []
        self._names = [(place, name) for place, name in enumerate(names) if place not in set(self._nameless)]

    def named(self, values: list[str], lines: TextLines) -> dict[str, str]:
        for place in self._nameless:
            if values[place].strip():
                raise lines.error(f"field {place + 1} is filled in, and the header has no name for it.")
        return {name: values[place] for place, name in self._names}


class _Record:
    """Hands lines to the csv module, and remembers those of the record that is being read."""

    def __init__(self, source: TextLines):
        self.source = source
        self.begin()

    def begin(self):
        self.lines: list[str] = []
        self._num_characters = 0

    @property
    def text(self) -> str:
        """The record as it stands in the file."""
        return "".join(self.lines).rstrip("\r\n")

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self.source)
        self.lines.append(line)
        self._num_characters += len(line)
        if self._num_characters > MAX_ROW:
            raise _at_start(self, f"longer than {MAX_ROW:,} characters. Is a quote opened and never closed?")
        return line


def _at_start(record: _Record, problem: str) -> InputError:
    """An error about a quote, which names the line on which the row begins."""
    source = record.source
    source.number -= len(record.lines) - 1
    return source.error(f"{problem}. A quote inside a quoted text must be doubled, one that begins a text quoted.")


def _has_swallowed(lines: list[str], num_cells: int, delimiter: str) -> bool:
    """
    Whether several lines that quotes make one row are rows of their own: read without regard to quotes, the first and the
    last of them have all the cells, and these are alike but for the one that is quoted (numbers below numbers).

    An essay of several paragraphs does not look like that: its first line lacks the cells that follow the essay, its last
    those before it. Where commas separate, prose may have the commas, but a space follows them.
    """
    first, last = (line.rstrip("\r\n").split(delimiter) for line in (lines[0], lines[-1]))
    if not len(first) == len(last) == num_cells:
        return False
    quoted = next(
        (place for place, cell in enumerate(first) if cell.startswith('"') and not QUOTED.fullmatch(cell)), None
    )
    if quoted is not None and last[quoted][:1].isspace():
        # The rest of a sentence, and no cell.
        return False
    pairs = [(one, other) for place, (one, other) in enumerate(zip(first, last, strict=True)) if place != quoted]
    kinds = [(_kind(one), _kind(other)) for one, other in pairs]
    told = [pair for pair in kinds if "empty" not in pair]
    return bool(told) and all(one == other and one not in ("continued", "broken") for one, other in told)


def _kind(cell: str) -> str:
    """What a cell looks like as it stands in its line; `continued` is the rest of a sentence, `broken` no cell at all."""
    if QUOTED.fullmatch(cell):
        inside = cell[1:-1]
        return "broken" if inside and not inside.strip('"') else "quoted " + _kind(inside) if inside else "empty"
    if not cell.strip():
        return "empty"
    if '"' in cell:
        return "broken"
    if NUMBER.fullmatch(cell):
        return "number"
    if cell[0].isspace():
        return "continued"
    return "text" if any(character.isspace() for character in cell) else "word"
