"""Files and folders that cannot be used: one clear message each, exit code 2, and everything around as it was."""

import pytest
from bad_inputs import assert_refused

ESSAYS = "essay_id,essay,score\n" + "".join(f"{n},Essay {n} is {'good ' * (n % 4)}.,{n % 4}\n" for n in range(20))

BUILD = {
    "missing source": (["--source", "no.csv"], "no.csv does not exist"),
    "folder for a source": (["--source", "folder.csv"], "folder.csv is not a file"),
    "empty source": (["--source", "empty.csv"], "empty.csv is empty"),
}


@pytest.fixture
def around(tmp_path):
    """A folder with good essays and what must stay as it is."""
    (tmp_path / "essays.csv").write_text(ESSAYS, encoding="utf-8")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "folder.csv").mkdir()
    return tmp_path


@pytest.mark.parametrize("case", BUILD)
def test_build(around, case):
    words, says = BUILD[case]
    assert_refused(around, "build", "--output-dir", "out", *words, says=says)
