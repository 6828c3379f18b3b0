"""Figures of a report: what they show, what they say, and that they fit into a page."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from made_up_report import LONG_NAME, NASTY, about, made_up_agreement, made_up_groups, made_up_report

from trm_aes.report import figures
from trm_aes.report.picture import LABEL_LETTERS, short_label
from trm_aes.report.record import PromptAgreement

SVG = "{http://www.w3.org/2000/svg}"
REPORT = made_up_report(prompt_ids=("1", "2"))
SMALL = PromptAgreement(
    prompt_id="p", n=10, measures={}, labels=["A1", "A2", "B1"], confusion=[[2, 1, 0], [0, 3, 1], [1, 0, 2]],
    scatter=[[1, 1.25], [3, 2.5]], by_level=[], by_length=[],
)  # fmt: skip


def parsed(svg):
    return ElementTree.fromstring(svg)


def texts(svg):
    return ["".join(text.itertext()).strip() for text in parsed(svg).iter(f"{SVG}text")]


def description(svg):
    return parsed(svg).findtext(f"{SVG}desc")


@pytest.fixture(scope="module")
def drawn():
    [prompt, _], confidence = REPORT.agreement, REPORT.confidence
    return {
        "agreement by prompt": figures.agreement_by_prompt(REPORT.agreement),
        "confusion": figures.confusion(prompt),
        "scatter": figures.scatter(prompt),
        "distributions": figures.distributions(prompt),
        "level": figures.error_by_level(prompt),
        "length": figures.error_by_length(prompt),
        "raters": figures.raters(REPORT.raters),
        "groups": figures.groups(REPORT.fairness[0]),
        "reliability": figures.reliability(confidence),
        "review": figures.review_curve(confidence.routes, "exact", "exact agreement"),
        "attacks": figures.attacks(REPORT.robustness),
        "drift": figures.drift(REPORT.drift),
    }


def test_every_figure_says_what_it_shows(drawn):
    titles = [parsed(svg).findtext(f"{SVG}title") for svg in drawn.values()]
    assert len(set(titles)) == len(drawn) and all(titles)
    for svg in drawn.values():
        root = parsed(svg)
        assert root.attrib["role"] == "img" and re.search(r"\d", description(svg))
        named = {element.attrib["id"] for element in root if element.tag in (f"{SVG}title", f"{SVG}desc")}
        assert set(root.attrib["aria-labelledby"].split()) == named


def test_figures_of_one_page_do_not_meddle_with_each_other(drawn):
    ids = [element.attrib["id"] for svg in drawn.values() for element in parsed(svg).iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids))
    for svg in drawn.values():
        referred = re.findall(r'(?:url\(#|href="#)([\w-]+)', svg)
        assert referred and set(referred) <= set(re.findall(r' id="([\w-]+)"', svg))
        assert "<style" not in svg and "width=" not in svg.partition(">")[0]


def test_colors_are_those_of_the_page_and_text_has_the_color_of_text(drawn):
    for svg in drawn.values():
        assert not re.search(r"#[0-9a-f]{6}\b", svg)
        assert all("fill: var(--ink)" in text.attrib["style"] for text in parsed(svg).iter(f"{SVG}text"))


def test_the_confusion_matrix_counts():
    svg = figures.confusion(SMALL)
    assert sorted(text for text in texts(svg) if text.isdigit()) == ["1", "1", "1", "2", "2", "3"]
    assert "Of 10 essays 7 lie on the diagonal" in description(svg) and "9 on it or one place beside" in description(
        svg
    )
    assert texts(svg).count("B1") == 2


def test_the_distributions_say_what_is_most_frequent():
    assert description(figures.distributions(SMALL)) == "People give most often A2 (40 %), the scorer A2 (40 %)."


def test_the_scatter_says_its_range():
    said = description(figures.scatter(SMALL))
    assert said.startswith("2 essays of 10.") and "between 1.25 and 2.50, human scores between 1.00 and 3.00" in said


def test_many_scores_leave_labels_out():
    svg = figures.confusion(made_up_agreement("p", levels=61))
    labels = [text for text in texts(svg) if text.isdigit()]
    assert len(labels) == 2 * 13 and labels[:3] == ["1", "6", "11"]


def test_the_review_curve_says_where_half_is_released(drawn):
    assert "predicted error: 0.700 with 50 % released; confidence: 0.660" in description(drawn["review"])
    assert {"predicted error", "confidence", "random", "oracle"} <= set(texts(drawn["review"]))


def test_a_value_that_is_not_defined_is_not_drawn():
    pair = replace(REPORT.raters[0], qwk=replace(about(0.5), value=None, low=None, high=None))
    assert description(figures.raters([pair])) == "QWK of two raters: not defined."


def test_names_of_users_are_text():
    svg = figures.groups(made_up_groups("a & b", [NASTY, LONG_NAME, "$x$", "\ud800"]))
    assert "<script" not in svg and short_label(NASTY) in texts(svg) and "$x$" in texts(svg)
    assert short_label("a\nb\x07c") == "a b c" and len(short_label(LONG_NAME)) == LABEL_LETTERS


def test_a_review_curve_of_nothing_is_known_as_such():
    routes = REPORT.confidence.routes
    bare = [replace(each, points=[replace(point, qwk=None) for point in each.points]) for each in routes]
    assert (
        figures.has_values(routes, "qwk") and not figures.has_values(bare, "qwk") and figures.has_values(bare, "exact")
    )


def test_axes_hold_what_can_be():
    same = replace(REPORT.drift, rows=[replace(row, psi=0.0, level="green") for row in REPORT.drift.rows])
    assert not [text for text in texts(figures.drift(same)) if text.startswith("−")]
    right = [
        replace(each, points=[replace(point, exact=1.0) for point in each.points]) for each in REPORT.confidence.routes
    ]
    assert not {"101 %", "102 %", "104 %"} & set(texts(figures.review_curve(right, "exact", "exact agreement")))
