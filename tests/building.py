"""Small tables of essays, and data sets that `trm-aes build` makes of them."""

import pandas as pd
import pytest

from trm_aes.cli import build
from trm_aes.data.dataset import load_essay_dataset
from trm_aes.errors import InputError

LEVELS = ["bad", "fair", "good", "excellent"]
LIMITS = ["--max-tokens", "64", "--max-prompt-tokens", "8"]


def essays(number=60, start=0, **columns):
    """Rows of essays whose score is told by a word; columns are functions of the row's number."""
    rows = range(start, start + number)
    frame = pd.DataFrame({"essay": [f"Essay {n} is {LEVELS[n % 4]}." for n in rows], "score": [n % 4 for n in rows]})
    return frame.assign(**{name: [value(n) for n in rows] for name, value in columns.items()})


def write(path, frame):
    frame.to_csv(path, index=False)
    return str(path)


def run(tmp_path, *arguments):
    build.main([*map(str, arguments), *LIMITS, "--output-dir", str(tmp_path / "out")])
    return load_essay_dataset(tmp_path / "out")


def rows_of(data):
    return pd.concat(split.to_pandas() for split in data.splits.values())


def assert_refused(tmp_path, message, *arguments):
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=message) as caught:
        run(tmp_path, *arguments)
    assert len(str(caught.value).splitlines()) == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
