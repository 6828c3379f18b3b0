"""A log that is no terminal holds what is said, and no states of progress bars."""

import os
import pty
import subprocess
import sys
import termios

from helpers import options

from trm_aes.cli.progress import SWITCHES

PROGRAM = "import sys; from trm_aes.cli.main import main; sys.exit(main())"


def run(*words, **streams):
    environment = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, words)], stdout=subprocess.PIPE, text=True, timeout=300,
        env=environment, **streams,
    )  # fmt: skip


def test_a_log_holds_no_progress_bars(essays_csv, data_dir, model_dir, tmp_path):
    limits = ["--max-tokens", "64", "--max-prompt-tokens", "8"]
    training = [word for word in options(data_dir, tmp_path / "m") if word not in ("--disable_tqdm", "true")]
    for words in (
        ["build", "--source", essays_csv, "--output-dir", tmp_path / "d", *limits],
        ["train", *training, "--num-train-epochs", "1"],
        ["score", "--model", model_dir, "--input", essays_csv, "--output", tmp_path / "scored.csv"],
    ):
        done = run(*words, stderr=subprocess.PIPE)
        assert done.returncode == 0, done.stderr[-2000:]
        assert "\r" not in done.stderr + done.stdout and "%|" not in done.stderr + done.stdout
        assert len(done.stderr.splitlines()) < 10


def test_a_terminal_shows_them(model_dir, essays_csv, tmp_path):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    done = run("score", "--model", model_dir, "--input", essays_csv, "--output", tmp_path / "s.csv", stderr=theirs)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.returncode == 0 and "Scoring: 100%" in shown
