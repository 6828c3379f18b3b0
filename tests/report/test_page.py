"""The page of a report without a browser: what it says, what it leaves out, and that it loads and runs nothing."""

import re
from dataclasses import replace
from html import unescape

import pytest
from made_up_report import bare_report, made_up_report

from trm_aes.evaluation.bootstrap import Estimate
from trm_aes.report.files import read_report, write_report
from trm_aes.report.page import SECTIONS, render_page
from trm_aes.report.record import Flag


def words(page):
    """Text of a page as a reader sees it, its figures left out."""
    text = re.sub(r"<(style|svg)\b.*?</\1>", "", page, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


@pytest.fixture(scope="module")
def bare():
    return render_page(bare_report())


def test_the_summary_says_what_was_scored_by_what(page):
    start, _, _ = words(page).partition("Agreement with people How to read it")
    for part in (
        "made-up/scorer · made-up essays, test split · 600 essays, 2 prompts · 2026-11-26 03:00 UTC",
        "The scorer agrees with people about as well as people agree with each other",
        "QWK 0.788 0.753 to 0.823",
        "QWK of the raters 0.752 0.712 to 0.792",
        "adjacent agreement 98.1 % 96.6 to 99.6 %",
        "! amber: borderline prompt 2 QWK 0.693 at least 0.70 Williamson, Xi and Breyer 2012",
        "3 figures meet their thresholds",
    ):
        assert part in start
    assert start.index("red: missed") < start.index("amber: borderline") < start.index("green: met")


def test_every_section_says_how_to_read_it_and_is_in_the_contents(page):
    titles = re.findall(r'<h2 id="\w+-title">(.+?)</h2>', page)
    assert titles == list(SECTIONS.values())
    assert re.findall(r'<li><a href="#(\w+)">', page) == list(SECTIONS)
    parts = dict(zip(titles, re.split(r"<h2 id=\"\w+-title\">", page)[1:], strict=True))
    read = [title for title, part in parts.items() if "How to read it: " in part]
    assert read == [
        "Agreement with people", "Raters", "Traits", "Fairness", "Confidence and review", "Robustness", "Advisories", "Drift",
    ]  # fmt: skip


def test_numbers_stand_in_the_tables(page):
    text = words(page)
    for part in (
        "typing errors Every twentieth word has a typing error. stay 200 −0.05 −0.09 to −0.01 20.0 % 15.0 to 25.0 % –",
        "voice 1 120 0.655 0.615 to 0.695 61.0 % 57.0 to 65.0 % 94.0 % 90.0 to 98.0 % 0.700 0.660 to 0.740 +0.020 −0.020 to +0.060",
        "Overall score difference: error by group 0.004 < 0.001 0.001",
        "exact agreement of 70 % 35 % 52 % not reached 12 %",
        "QWK of 0.85 35 %",
        "all prompts 90 % 300 89.4 % 86.4 to 92.4 % 1.40 28 %",
        "words ✕ red: missed 300 300 212.0 268.4 0.310 0.220 < 0.001",
        "Too small to be measured (fewer than 100 essays): (empty) (7), other (12).",
        "No group of region has 100 essays, so nothing was measured.",
        "trm-aes report --model made-up/scorer --data 'made-up essays'",
        "trm-aes 0.2.0, torch 2.13.0",
    ):
        assert part in text, part


def test_a_section_without_content_says_why(bare):
    text = words(bare)
    for part in (
        "No figure could be held against a threshold.",
        "No essay has the ratings of two people",
        "No trait was measured",
        "No column of groups was named",
        "The scorer's confidence was not measured.",
        "No attack was run",
        "This scorer gives no advisories",
        "No earlier report was given as a reference",
        "PRMSE, which takes essays with two ratings",
    ):
        assert part in text, part
    assert "1 essay, 1 prompt ·" in text and not re.search(r"\b(None|nan|inf|Undefined)\b", text)


def test_what_a_user_names_is_text(page):
    assert "alert(&#39;x&#39;)" in page and "alert('x')" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.S)
    assert "<script" not in page


def test_nothing_is_loaded_and_nothing_runs(page):
    assert all(target.startswith("#") for target in re.findall(r'\b(?:href|src)="(.*?)"', page))
    assert not re.search(r"<(script|link|iframe|img)\b|@import|url\((?!#)|\son\w+=", page)
    assert "default-src 'none'" in page


def test_ids_stand_once(page):
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_same_report_gives_the_same_page(bare):
    assert render_page(bare_report()) == bare


def test_the_page_lies_beside_the_record_that_it_was_made_of(tmp_path, bare):
    write_report(bare_report(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json", "tables"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == bare
    assert read_report(tmp_path) == bare_report()


def test_half_a_letter_does_not_keep_a_page_from_being_written():
    report = bare_report()
    report = replace(report, subject=replace(report.subject, model="a\ud800b"))
    assert "a?b · one.csv" in render_page(report).encode().decode()


def test_many_prompts_are_folded_and_many_flags_too():
    bare = bare_report()
    four = replace(bare, agreement=[replace(bare.agreement[0], prompt_id=f"p{number}") for number in range(4)])
    assert "<details open>" not in render_page(four) and "<details open>" in render_page(bare)
    flag = Flag(level="red", measure="QWK", where="prompt 1", value=0.5, threshold="at least 0.70", source="RSMTool 12")
    text = words(render_page(replace(bare_report(), flags=[flag] * 9)))
    assert "the first 6 of 9 that miss" in text and "The other 3 that miss their thresholds" in text
    assert text.count("red: missed prompt 1") == 9


def test_what_could_not_be_compared_with_a_reference_is_said():
    report = made_up_report(("1",))
    text = words(render_page(replace(report, drift=replace(report.drift, rows=[]))))
    assert "Nothing could be compared with the reference, made-up/scorer on the test split" in text


def test_a_percent_sign_stays_with_its_number(page):
    assert "48\N{NO-BREAK SPACE}% of the scores" in page


def test_a_figure_without_values_is_left_out():
    report = made_up_report(("1",))
    routes = [
        replace(route, points=[replace(point, qwk=None) for point in route.points])
        for route in report.confidence.routes
    ]
    pairs = [replace(pair, qwk=Estimate(value=None)) for pair in report.raters]
    text = words(render_page(replace(report, raters=pairs, confidence=replace(report.confidence, routes=routes))))
    assert "Review curve: exact agreement among the released" in text
    assert "Review curve: QWK among the released" not in text and "QWK of two raters, with 95 % intervals" not in text
