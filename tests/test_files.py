"""Outputs that appear whole, owned by one run, and what is left of runs that were killed."""

import os
import signal
import subprocess
import sys
import time

import pytest

from trm_aes.errors import InputError
from trm_aes.files import (
    FolderKind,
    beside,
    check_is_file_to_be,
    check_is_folder_to_be,
    check_is_outside,
    new_file,
    new_folder,
    owned,
    write_json,
)

OURS = FolderKind.with_record("a test", "record.json")


def fill(folder, text="new"):
    write_json(folder / "record.json", {"packages": {}})
    (folder / "text").write_text(text, encoding="utf-8")


def test_one_run_owns_an_output(tmp_path):
    path = tmp_path / "deep" / "out"
    with owned(path):
        said = rf"out is being written by process {os.getpid()} on .*, since 2"
        with pytest.raises(InputError, match=said), owned(path):
            pass
        # A link to it is the same output.
        (tmp_path / "link").symlink_to(path)
        with pytest.raises(InputError, match="is being written by"), new_folder(tmp_path / "link", True, OURS):
            pass
        with owned(tmp_path / "deep" / "other"):
            pass
    assert not (tmp_path / "deep").exists()
    with owned(path):
        pass


def test_a_process_that_is_killed_lets_go(tmp_path):
    program = (
        f"from trm_aes.files import owned\nimport time\nwith owned({str(tmp_path / 'out')!r}):\n    time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    lock = tmp_path / ".out.lock"
    while not (lock.exists() and lock.read_text(encoding="utf-8")):
        time.sleep(0.05)
    with pytest.raises(InputError, match=f"process {process.pid} on"), owned(tmp_path / "out"):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    with owned(tmp_path / "out"):
        assert str(os.getpid()) in lock.read_text(encoding="utf-8")
    assert not list(tmp_path.iterdir())


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), new_folder(tmp_path / "a" / "out", False, OURS) as folder:
        fill(folder)
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    with new_folder(tmp_path / "out", False, OURS) as folder:
        fill(folder, "first")
        assert not (tmp_path / "out").exists()
    with pytest.raises(RuntimeError), new_folder(tmp_path / "out", True, OURS) as folder:
        fill(folder)
        raise RuntimeError
    assert (tmp_path / "out" / "text").read_text(encoding="utf-8") == "first"
    with new_folder(tmp_path / "out", True, OURS) as folder:
        fill(folder, "second")
    assert (tmp_path / "out" / "text").read_text(encoding="utf-8") == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_a_killed_run_left_is_put_back_or_cleared(tmp_path, caplog):
    out = tmp_path / "out"
    # Killed between the two renames.
    for kind in ("old", "new"):
        beside(out, kind).mkdir()
        fill(beside(out, kind), kind)
    with pytest.raises(InputError, match="exists"), new_folder(out, False, OURS):
        pass
    assert (out / "text").read_text(encoding="utf-8") == "old"
    assert "Put back" in caplog.text
    # Killed after them, and while it wrote.
    for kind in ("old", "new"):
        beside(out, kind).mkdir(exist_ok=True)
    with new_folder(out, True, OURS) as folder:
        fill(folder)
    assert "Removed" in caplog.text and [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (out / "text").read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("record", [None, "{}", "[]", "broken"])
def test_only_what_we_wrote_is_replaced(tmp_path, record):
    out = tmp_path / "out"
    out.mkdir()
    (out / "text").write_text("precious", encoding="utf-8")
    if record is not None:
        (out / "record.json").write_text(record, encoding="utf-8")
    said = "is not what a test wrote, so `overwrite` leaves it alone"
    with pytest.raises(InputError, match=said), new_folder(out, True, OURS):
        pass
    assert (out / "text").read_text(encoding="utf-8") == "precious"


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    out = tmp_path / "a" / "out.csv"
    with pytest.raises(RuntimeError), new_file(out) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    beside(tmp_path / "out.csv", "new").write_text("left by a killed run, and longer", encoding="utf-8")
    with new_file(tmp_path / "out.csv") as temporary:
        temporary.write_text("whole", encoding="utf-8")
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {"out.csv": "whole"}


def test_outputs_that_cannot_be(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is a file"):
        check_is_file_to_be(tmp_path / "file" / "out.csv", False)
    with pytest.raises(InputError, match="in the output .* would replace it"):
        check_is_outside(tmp_path / "file", tmp_path, "source")
    check_is_outside(tmp_path, tmp_path / "file", "source")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(InputError, match="you may not write to"):
        check_is_file_to_be(tmp_path / "deep" / "out.csv", False)


def test_a_folder_that_a_killed_run_left_is_not_in_a_files_way(tmp_path, caplog):
    left = beside(tmp_path / "scores.parquet", "new")
    left.mkdir()
    (left / "part").write_text("of a folder that was to have the same name")
    with new_file(tmp_path / "scores.parquet") as temporary:
        temporary.write_text("scores")
    assert (tmp_path / "scores.parquet").read_text() == "scores" and not left.exists()
    assert "which an interrupted run had left" in caplog.text


def test_the_root_is_no_output(tmp_path):
    with pytest.raises(InputError, match="^/ exists"):
        check_is_folder_to_be("/", False, OURS)
    with pytest.raises(InputError, match="^/ is not what a test wrote"):
        check_is_folder_to_be("/", True, OURS)


def test_two_kinds_of_folders_whose_records_have_one_name(tmp_path):
    report, export = (FolderKind.with_record("a test", "record.json", beside) for beside in ("page.html", "model.onnx"))
    write_json(tmp_path / "record.json", {"packages": {}})
    (tmp_path / "model.onnx").touch()
    assert export.is_ours(tmp_path) and not report.is_ours(tmp_path) and OURS.is_ours(tmp_path)
