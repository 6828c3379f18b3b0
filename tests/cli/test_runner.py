"""How a program ends: exit codes, one message, and the traceback for those who ask for it."""

import os
import signal
import subprocess
import sys

import pytest

from trm_aes.cli.runner import run
from trm_aes.errors import InputError


def ends(error, capsys, *words):
    """Exit code and message of a program that fails."""

    def program(argv):
        assert "--debug" not in argv
        raise error

    return run(program, words), capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (InputError("bad"), 2, "bad"),
        (PermissionError(13, "Permission denied", "out"), 2, "out: Permission denied"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (
            IndexError("a bug\nof ours"),
            1,
            "a bug of ours. This is a fault of trm-aes: please report it",
        ),
    ],
    ids=["input", "permission", "Ctrl-C", "fault"],
)
def test_one_line(error, code, says, capsys):
    found, said = ends(error, capsys)
    assert found == code and len(said.splitlines()) == 1 and says in said
    found, said = ends(error, capsys, "--debug")
    assert found == code and "Traceback" in said and says in said.splitlines()[-1]


def test_debug_with_a_value_is_transformers_own():
    words = []
    run(words.extend, ["--model", "m", "--debug", "underflow_overflow"])
    assert words == ["--model", "m", "--debug", "underflow_overflow"]


@pytest.mark.parametrize("ignored", [False, True], ids=["foreground", "background"])
def test_sigterm_ends_like_ctrl_c(capsys, ignored):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    # A shell starts programs in the background so that Ctrl-C does not reach them.
    signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
    try:
        assert run(lambda argv: os.kill(os.getpid(), signal.SIGTERM), []) == 143
    finally:
        signal.signal(signal.SIGINT, before[0])
    assert "interrupted; nothing that was there before has changed" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before[1]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"], ids=["input", "output", "errors"])
def test_closed_streams(closed, tmp_path):
    command = f"{sys.executable} -m trm_aes build --source no.csv --output-dir out {closed}"
    found = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert found.returncode == 2 and "Traceback" not in found.stderr and not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this machine has no disk that is always full")
@pytest.mark.parametrize(
    ("ends", "code", "says"),
    [
        ("", 2, b"No space left on device"),
        ("raise InputError('bad')", 2, b"bad"),
        ("sys.exit(0)", 2, b"No space left on device"),
    ],
    ids=["well", "badly", "after --help"],
)
def test_output_that_does_not_fit_is_an_error_of_one_line(ends, code, says):
    """Python itself would say so when it ends, with a code of its own."""
    program = (
        "import sys\nfrom trm_aes.cli.runner import run\nfrom trm_aes.errors import InputError\n"
        f"def program(argv):\n    print('scores')\n    {ends}\nsys.exit(run(program, []))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        ended = subprocess.run([sys.executable, "-c", program], stdout=full, stderr=subprocess.PIPE, env=environment)
    assert ended.returncode == code and len(ended.stderr.splitlines()) == 1 and says in ended.stderr
