"""How the page is served, but for what a browser shows of it."""

import os
import socket
import time
from dataclasses import asdict, replace

import pytest
from made_up_report import bare_report

from trm_aes.cli import demo
from trm_aes.cli.runner import run
from trm_aes.errors import InputError
from trm_aes.files import write_json
from trm_aes.page import uploads
from trm_aes.page.about_tab import About
from trm_aes.page.app import Address, build_page
from trm_aes.page.limits import MAX_QUEUE
from trm_aes.report.record import GroupColumn
from trm_aes.scoring.scorer import EssayScorer


@pytest.fixture(scope="module")
def page(model_dir):
    return build_page(EssayScorer.from_pretrained(model_dir, "cpu"), About("scorer", "# Card", None))


def test_a_port_in_use_is_said_in_words(model_dir, capsys):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert run(demo.main, ["--model", str(model_dir), "--port", str(port)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line == (
        f"trm-aes: error: Nothing can be served at 127.0.0.1, --port {port}: Address already in use. Choose another --port."
    )


def test_a_host_that_is_not_there_is_said_in_words():
    with pytest.raises(InputError, match="`host` no.such.host.invalid: there is no such host"):
        Address("no.such.host.invalid", 7860).check_is_free()


def test_without_gradio_it_is_said_what_to_install(model_dir, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run(demo.main, ["--model", str(model_dir)]) == 2
    assert capsys.readouterr().err == "trm-aes: error: The page needs Gradio: pip install 'trm-aes[demo]'.\n"


def test_one_worker_has_the_model_and_the_line_is_short(page):
    needing = [fn for fn in page.fns.values() if fn.concurrency_id == "model"]
    assert len(needing) == 2 and all(fn.concurrency_limit == 1 for fn in needing)
    page.validate_queue_settings()
    assert page._queue.max_size == MAX_QUEUE


def test_the_page_tells_nobody_and_is_no_interface_for_programs(page):
    assert page.analytics_enabled is False
    assert all(fn.api_visibility == "private" for fn in page.fns.values())


def test_what_is_known_of_a_scorer_lies_beside_it(model_dir, tmp_path):
    from trm_aes.checkpoints import Checkpoint

    made = About.of(Checkpoint("mine", model_dir))
    assert made.name == "mine" and made.report is None and made.card.lstrip().startswith(f"# {model_dir.name}")
    (tmp_path / "report-test").mkdir()
    # What is shown is made of the record, and never of a page that says more, or is somebody else's.
    (tmp_path / "report-test" / "report.html").write_text("<p>Report", encoding="utf-8")
    left_out = GroupColumn(column="teacher", least_n=100, groups=[], left_out={"Doe": 1, "Roe": 9}, tests={})
    report = replace(bare_report(), fairness=[left_out], command=["trm-aes", "report", "--model", "/home/jane/model"])
    write_json(tmp_path / "report-test" / "report.json", asdict(report))
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# Its own card\n", encoding="utf-8")
    own = About.of(Checkpoint("own", tmp_path))
    assert own.card.strip() == "# Its own card" and "2 groups in all" in own.report
    assert not any(word in own.report for word in ("Doe", "jane", "<p>Report"))
    (tmp_path / "report-test" / "report.json").unlink()
    assert About.of(Checkpoint("own", tmp_path)).report is None
    assert About.of(Checkpoint("bare", tmp_path / "report-test")).card is None


def test_what_was_broken_off_is_removed_in_time(tmp_path, monkeypatch):
    (tmp_path / "received").mkdir()
    old, new = tmp_path / "tmpabc", tmp_path / "received" / "essays.csv"
    for path in (old, new):
        path.write_text("the first half of an essay", encoding="utf-8")
    os.utime(old, (0, 0))
    uploads.remove_older(tmp_path, 1800)
    assert not old.exists() and new.exists()
    # And by itself, while the page is served.
    monkeypatch.setattr(uploads, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(uploads, "SECONDS_HELD", 0)
    with uploads.uploads_in_private() as folder:
        (folder / "tmpdef").write_text("the first half of an essay", encoding="utf-8")
        for _ in range(500):
            if not (folder / "tmpdef").exists():
                break
            time.sleep(0.01)
        assert not (folder / "tmpdef").exists()
