"""Bad inputs through the real command line, within this process: each must be refused with one clear message, and change nothing.

A test module lists its cases by kind and gives each to [`assert_refused`]. `tests/cli/test_bad_inputs.py` holds those of files
and folders; modules on tables, options and scales hold their own.
"""

import contextlib
import hashlib
import io
import logging
import os
import stat
from pathlib import Path
from unittest import mock

from trm_aes.cli.main import main

MAX_LINES = 2


def assert_refused(folder: Path, *words: object, says: str = "", exit_code: int = 2) -> str:
    """
    Runs `trm-aes WORDS` in a folder, and checks that it ends with the exit code, at most two lines on standard error,
    no traceback, nothing on standard output, and every file and folder around as it was.

    Args:
        folder: the working directory; everything below it is watched.
        words: of the command line.
        says: what the message must hold.
        exit_code: 2 for what the user can mend.

    Returns:
        What it said.
    """
    before = tree(folder)
    code, output, said = run_command(folder, *words)
    assert code == exit_code, f"exit code {code}: {said}"
    assert "Traceback" not in said, said
    lines = said.splitlines()
    assert 0 < len(lines) <= MAX_LINES, said
    assert lines[-1].startswith("trm-aes: error: "), said
    assert says in said, said
    assert not output, output
    assert tree(folder) == before
    return said


def run_command(folder: Path, *words: object) -> tuple[int, str, str]:
    """Runs `trm-aes WORDS` in a folder; its exit code, and what it wrote to standard output and to standard error."""
    output, said = io.StringIO(), io.StringIO()
    handler = logging.StreamHandler(said)
    root = logging.getLogger()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(said),
        mock.patch("sys.argv", ["trm-aes", *map(str, words)]),
    ):
        root.addHandler(handler)
        try:
            code = main()
        finally:
            root.removeHandler(handler)
    return code, output.getvalue(), said.getvalue()


def tree(folder: Path) -> dict[str, str]:
    """Everything below a folder, hidden or not: `path -> kind and checksum`. Two that are equal hold the same bytes."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            content = f"link to {os.readlink(path)}"
        elif stat.S_ISREG(mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest() if os.access(path, os.R_OK) else "unreadable"
        else:
            content = ""
        found[str(path.relative_to(folder))] = f"{stat.filemode(mode)} {content}"
    return found
