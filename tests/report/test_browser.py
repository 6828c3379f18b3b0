"""The page of a report in a real browser, opened from the disk: layout, contrast, keyboard and screen reader, paper."""

import pytest
from browsing import CHROMIUM, SCREENS, assert_no_barrier, needs_chromium, overflow, playwright
from made_up_report import LONG_NAME

pytestmark = needs_chromium

# A4 less its margins, in pixels of CSS.
PAPER_WIDTH = 688


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(page, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page, encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def opened(browser, address):
    """Opens the page on a screen; what was asked for and what went wrong is checked when the test ends."""
    requests, errors, pages = [], [], []

    def open_page(width, scheme="light"):
        # The policy of the page keeps axe out, too.
        tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
        pages.append(tab)
        tab.on("request", lambda request: requests.append(request.url))
        tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(address)
        return tab

    yield open_page
    for tab in pages:
        tab.close()
    assert set(requests) == {address} and not errors


def unfold(tab):
    tab.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true })")


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_fits_the_screen_and_has_no_barrier_that_axe_finds(opened, width, scheme):
    tab = opened(width, scheme)
    unfold(tab)
    assert overflow(tab) == 0
    assert_no_barrier(tab)


def test_headings_are_in_order(opened):
    levels = opened(1280).eval_on_selector_all("h1, h2, h3, h4", "all => all.map(one => Number(one.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1 and len(levels) > 12
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))


def test_figures_and_tables_have_names(opened):
    tab = opened(1280)
    unfold(tab)
    assert tab.get_by_role("img").count() == tab.locator("figure").count() == 18
    unnamed = "all => all.filter(one => !one.caption || !one.querySelector('th[scope]')).length"
    assert tab.eval_on_selector_all("table", unnamed) == 0
    for name in (
        "Confusion matrix, prompt 1",
        "Review curve: QWK among the released",
        f"Error by length, prompt {LONG_NAME}",
    ):
        assert tab.get_by_role("img", name=name).count() == 1


def test_a_wide_table_scrolls_in_its_own_box_by_keyboard(opened):
    tab = opened(390)
    box = tab.get_by_role("group", name="Table: Agreement of the scorer with people")
    assert box.evaluate("one => one.scrollWidth > one.clientWidth")
    box.focus()
    tab.keyboard.press("ArrowRight")
    tab.wait_for_function("one => one.scrollLeft > 0", arg=box.element_handle())


def test_the_first_tab_leads_past_the_contents(opened):
    tab = opened(1280)
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the report"
    tab.keyboard.press("Enter")
    assert tab.evaluate("location.hash") == "#report"


def test_the_summary_is_one_screen(opened):
    bottom = opened(1280).locator("#summary > .wide").first.bounding_box()
    assert bottom["y"] + bottom["height"] < 800


# Which font a machine has decides how wide a table is; letters of one width are the widest.
@pytest.mark.parametrize("font", [None, "monospace"])
def test_paper_is_white_holds_every_table_and_shows_what_is_folded(opened, font):
    tab = opened(PAPER_WIDTH, "dark")
    if font is not None:
        tab.add_style_tag(content=f"body, body * {{ font-family: {font} !important }}")
    folded = tab.locator("details:not([open]) table").first
    assert not folded.is_visible()
    tab.emulate_media(media="print", color_scheme="dark")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert folded.is_visible()
    cut = "all => all.filter(one => one.getBoundingClientRect().right > innerWidth).map(one => one.caption.textContent)"
    assert tab.eval_on_selector_all("table", cut) == []
