"""The page of a scorer in a real browser, served by the command: what visitors do, see and hear, and what is left of it."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from browsing import CHROMIUM, SCREENS, assert_no_barrier, needs_chromium, overflow, playwright
from helpers import ROOT, free_port

from trm_aes.cli import score
from trm_aes.page.limits import MAX_UPLOAD
from trm_aes.page.wording import WAS_CUT
from trm_aes.scoring.scorer import EssayScorer

pytestmark = needs_chromium

# In no other text.
MARKER = "Zweihundertelf zebras"
ESSAY = (
    f"This essay is good. {MARKER} were excellent, and that was fair! Nobody thought it bad. The end is good and fair."
)
TABS = ("One essay", "A table", "About this scorer")


@pytest.fixture(scope="module")
def scorer(trait_model_dir):
    return EssayScorer.from_pretrained(trait_model_dir, "cpu")


@pytest.fixture(scope="module")
def served(trait_model_dir, tmp_path_factory):
    """Address of a page, the folder that is all its process may write to, and its log; it ends with Ctrl-C."""
    home, port = tmp_path_factory.mktemp("server"), free_port()
    places = {name: str(home) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "MPLCONFIGDIR")}
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "page" / "page_server.py"), "--model", str(trait_model_dir), "--port", str(port)],
            env={**os.environ, **places}, stdout=subprocess.PIPE, stderr=log, text=True, cwd=home,
        )  # fmt: skip
        line = server.stdout.readline()
        assert f"{trait_model_dir} is at http://127.0.0.1:{port}/ until you press Ctrl-C." in line, (
            home / "log"
        ).read_text()
        yield f"http://127.0.0.1:{port}", home, home / "log"
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 130
    said = (home / "log").read_text()
    assert said.splitlines()[-1] == "trm-aes: error: the page is closed. Nothing that was sent to it is kept."
    # For the whole time that tests of this module visited the page.
    assert not re.findall("ASKED FOR .*|CONNECTED TO .*|Traceback", said)
    assert MARKER not in said
    assert not private_folders(said)


def private_folders(log):
    """Folders of uploads that the server has written to and that are there."""
    named = {Path(path) for path in re.findall("WROTE (.*?/trm-aes-page-[^/]*)/", log)}
    return [folder for folder in named if folder.exists()]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, served):
    """Opens the page for one more visitor; what was asked for and what went wrong is checked when the test ends."""
    address, requests, errors, contexts = served[0], [], [], []

    def open_page(width=1280, scheme="light"):
        # The policy of the page keeps axe out, too.
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True, accept_downloads=True
        )
        contexts.append(context)
        tab = context.new_page()
        tab.on("request", lambda request: requests.append(request.url))
        tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(f"{address}/?__theme={scheme}")
        tab.get_by_role("tab", name=TABS[0]).wait_for()
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert {url for url in requests if not url.startswith((address, "data:", "blob:"))} == set() and not errors


def choose(tab, label, name):
    tab.get_by_role("combobox", name=label).click()
    tab.get_by_role("option", name=name, exact=True).click()


def type_and_score(tab, essay, prompt_id="b"):
    choose(tab, "Prompt", prompt_id)
    tab.get_by_role("textbox", name="Essay").fill(essay)
    tab.get_by_role("button", name="Score", exact=True).click()
    tab.locator("#path-title").wait_for()


def upload(tab, path):
    tab.get_by_role("tab", name=TABS[1]).click()
    tab.get_by_test_id("Choose a file-upload-button").set_input_files(path)


def write_table(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_shows_the_score_of_the_scorer_and_what_moved_it(visit, scorer):
    tab = visit()
    type_and_score(tab, ESSAY)
    [result], explanation = scorer.score([ESSAY], ["b"]), scorer.explain(ESSAY, "b")
    assert tab.locator("#rounded-score").text_content() == str(result.rounded_score)
    assert tab.locator("#score-value").text_content() == f"{result.score:.2f}"
    shown = tab.get_by_role("region", name="Result")
    assert f"Confidence {100 * result.confidence:.0f} %" in shown.text_content()
    assert result.traits and tab.locator(".traits tbody tr").count() == len(result.traits)
    for name, trait in result.traits.items():
        row = tab.get_by_role("row", name=re.compile(name))
        assert row.locator("td").last.text_content().split()[0] == str(trait.rounded_score)
    # Shaded, and as a table for those who do not see it.
    assert "".join(tab.locator("#shaded").text_content().split()).startswith("Thisessayisgood.")
    tab.get_by_text("The same as a table").first.click()
    listed = [row.split("\t") for row in tab.locator("#moved-table tbody").inner_text().splitlines()]
    assert [text for text, _ in listed] == [sentence.text for sentence in explanation.sentences]
    changes = [float(change.replace("−", "-")) for _, change in listed]
    assert changes == pytest.approx([sentence.change for sentence in explanation.sentences], abs=0.0051)
    assert tab.get_by_role("img", name="Path of the score").is_visible()
    assert "what is wrong" in shown.text_content() and "without a human who reads the essay" in shown.text_content()


def test_works_by_keyboard_alone(visit, scorer):
    tab = visit()
    pressed = iter(range(20))
    while tab.evaluate("document.activeElement.getAttribute('aria-label')") != "Prompt" and next(pressed) < 19:
        tab.keyboard.press("Tab")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    tab.get_by_text("Write about a.").wait_for()
    tab.keyboard.press("Tab")
    tab.keyboard.type("This is excellent.")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    tab.locator("#rounded-score").wait_for()
    [result] = scorer.score(["This is excellent."], ["a"])
    assert tab.locator("#rounded-score").text_content() == str(result.rounded_score)


def test_what_is_missing_is_said_beside_the_field(visit):
    tab = visit()
    tab.get_by_role("textbox", name="Essay").fill("  \n ")
    tab.get_by_role("button", name="Score", exact=True).click()
    assert (
        tab.locator("#prompt-problem").get_by_role("alert").text_content()
        == "Choose the prompt that the essay answers."
    )
    assert "There is no essay yet" in tab.locator("#essay-problem").get_by_role("alert").text_content()
    assert tab.locator("#rounded-score").count() == 0
    type_and_score(tab, ESSAY)
    assert tab.get_by_role("alert").count() == 0


def test_a_text_file_is_loaded(visit, tmp_path):
    tab = visit()
    (tmp_path / "essay.txt").write_text(ESSAY, encoding="utf-8")
    (tmp_path / "odd.txt").write_bytes("Café".encode("latin-1"))
    tab.get_by_test_id("Load a text file-upload-button").set_input_files(tmp_path / "odd.txt")
    tab.get_by_role("alert").get_by_text("no text in UTF-8").wait_for()
    tab.get_by_test_id("Load a text file-upload-button").set_input_files(tmp_path / "essay.txt")
    playwright.expect(tab.get_by_role("textbox", name="Essay")).to_have_value(ESSAY)
    assert tab.get_by_role("alert").count() == 0


def test_markup_in_an_essay_is_text(visit):
    tab = visit()
    type_and_score(tab, "<img src=x onerror=alert(1)> is good. It is &amp; fair. <b>The end</b>.")
    assert tab.locator("#result img, #result b").count() == 0
    assert "<img src=x onerror=alert(1)>" in tab.locator("#shaded").text_content()


def test_an_essay_of_100_000_words_is_cut_and_the_page_says_so(visit):
    tab = visit()
    type_and_score(tab, " ".join(f"This is number {number}, fair." for number in range(20_000)))
    shown = tab.get_by_role("region", name="Result").text_content()
    assert WAS_CUT in shown and "of essays of at most 20,000 letters" in shown


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_table_comes_back_as_the_command_writes_it(visit, served, trait_model_dir, tmp_path, kind):
    import xlsxwriter

    rows = [
        {"name": f"n{number}", "essay": f"{ESSAY} Number {number}.", "prompt_id": "ab"[number % 2]}
        for number in range(12)
    ]
    source = tmp_path / f"essays.{kind}"
    if kind == "csv":
        write_table(source, rows)
    else:
        with xlsxwriter.Workbook(source) as workbook:
            sheet = workbook.add_worksheet()
            for place, cells in enumerate([list(rows[0]), *(list(row.values()) for row in rows)]):
                sheet.write_row(place, 0, cells)
    tab = visit()
    upload(tab, source)
    tab.get_by_text("12 rows, 3 columns").wait_for()
    assert tab.get_by_role("combobox", name="Essays").input_value() == "essay"
    assert tab.get_by_role("combobox", name="Prompts").input_value() == "ids in the column prompt_id"
    # From now on it is held in memory.
    assert all(MARKER.encode() not in file.read_bytes() for file in written_files(served))
    tab.get_by_role("button", name="Score the table").click()
    tab.get_by_text("12 essays have a score.").wait_for()
    with tab.expect_download() as started:
        tab.get_by_role("link", name=f"Download essays-scored.{kind}").click()
    found = Path(started.value.path()).read_bytes()
    score.main(["--model", str(trait_model_dir), "--input", str(source), "--output", str(tmp_path / f"out.{kind}")])
    assert found == (tmp_path / f"out.{kind}").read_bytes()
    assert all(MARKER.encode() not in file.read_bytes() for file in written_files(served))


def written_files(served):
    """All files in places that the server may write to, and those that it keeps uploads in."""
    _, home, log = served
    return [
        path for folder in (home, *private_folders(log.read_text())) for path in folder.rglob("*") if path.is_file()
    ]


def test_other_columns_are_chosen_and_not_guessed(visit, tmp_path):
    write_table(tmp_path / "own.csv", [{"text": ESSAY, "task": "a"}, {"text": "It is bad.", "task": "b"}])
    tab = visit()
    upload(tab, tmp_path / "own.csv")
    tab.get_by_role("button", name="Score the table").click()
    problem = tab.locator("#columns-problem").get_by_role("alert")
    playwright.expect(problem).to_have_text("Choose the column that holds the essays.")
    choose(tab, "Essays", "text")
    tab.get_by_role("button", name="Score the table").click()
    playwright.expect(problem).to_have_text("Choose what says which prompt an essay answers.")
    choose(tab, "Prompts", "ids in the column task")
    tab.get_by_role("button", name="Score the table").click()
    tab.get_by_text("2 essays have a score.").wait_for()
    assert tab.get_by_role("alert").count() == 0


def test_bad_rows_are_said_in_words_and_left_out_on_demand(visit, tmp_path):
    rows = [{"essay": ESSAY, "prompt_id": "a"}, {"essay": " ", "prompt_id": "a"}, {"essay": ESSAY, "prompt_id": "z"}]
    write_table(tmp_path / "bad.csv", rows)
    tab = visit()
    upload(tab, tmp_path / "bad.csv")
    tab.get_by_role("button", name="Score the table").click()
    problem = tab.locator("#columns-problem").get_by_role("alert")
    playwright.expect(problem).to_have_text("bad.csv, row 2: the essay is empty.")
    tab.get_by_label("Leave out rows").check()
    tab.get_by_role("button", name="Score the table").click()
    tab.get_by_text("1 essay has a score. 2 rows were left out.").wait_for()
    reasons = tab.get_by_role("region", name="Scored table").get_by_role("listitem").all_text_contents()
    assert reasons[0] == "bad.csv, row 2: the essay is empty." and "row 3: Unknown" in reasons[1]


def test_a_file_that_is_no_table_and_one_that_is_too_large(visit, tmp_path):
    (tmp_path / "damaged.xlsx").write_bytes(b"PK\x03\x04 and no workbook")
    (tmp_path / "large.csv").write_bytes(b"essay\n" + b"good " * (MAX_UPLOAD // 4))
    tab = visit()
    upload(tab, tmp_path / "damaged.xlsx")
    problem = tab.locator("#file-problem").get_by_role("alert")
    playwright.expect(problem).to_have_text("damaged.xlsx cannot be read: File is not a zip file.")
    upload(tab, tmp_path / "large.csv")
    playwright.expect(problem).to_have_text(
        "large.csv has 12.5 MB, and this page takes at most 10 MB. For more, use the command trm-aes score."
    )


def test_two_visitors_at_once_get_their_own_scores(visit, scorer):
    essays = {"a": "This is excellent, excellent and good.", "b": "It was bad and bad and fair. So bad."}
    tabs = {prompt_id: visit() for prompt_id in essays}
    for prompt_id, tab in tabs.items():
        choose(tab, "Prompt", prompt_id)
        tab.get_by_role("textbox", name="Essay").fill(essays[prompt_id])
    for tab in tabs.values():
        tab.get_by_role("button", name="Score", exact=True).click()
    for prompt_id, tab in tabs.items():
        tab.locator("#path-title").wait_for()
        [result] = scorer.score([essays[prompt_id]], [prompt_id])
        assert tab.locator("#score-value").text_content() == f"{result.score:.2f}"


def test_a_visitor_who_leaves_is_forgotten(visit, served):
    tab = visit()
    type_and_score(tab, ESSAY)
    assert visitors_held(served) > 0
    tab.context.close()
    until = time.monotonic() + 20
    while visitors_held(served) and time.monotonic() < until:
        time.sleep(0.2)
    assert visitors_held(served) == 0


def visitors_held(served):
    return int(re.findall(r"HOLDS (\d+)", served[2].read_text())[-1])


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_fits_the_screen_and_has_no_barrier_that_axe_finds(visit, tmp_path, width, scheme):
    write_table(tmp_path / "essays.csv", [{"essay": ESSAY, "prompt_id": "a", "a_column_with_a_long_name": "x" * 50}])
    tab = visit(width, scheme)
    type_and_score(tab, ESSAY)
    tab.get_by_text("The same as a table").first.click()
    assert_fits_without_barrier(tab)
    upload(tab, tmp_path / "essays.csv")
    tab.get_by_role("button", name="Score the table").click()
    tab.locator("#download").wait_for()
    assert_fits_without_barrier(tab)
    tab.get_by_role("tab", name=TABS[2]).click()
    tab.get_by_role("heading", name="Intended use").wait_for()
    assert_fits_without_barrier(tab)


def assert_fits_without_barrier(tab):
    # What is new fades in.
    tab.wait_for_function(
        "!document.querySelector('.pending') && !document.getAnimations().some(one => one instanceof CSSTransition)"
    )
    assert overflow(tab) == 0
    assert_no_barrier(tab)
