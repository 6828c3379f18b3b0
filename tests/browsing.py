"""What the tests of pages in a real browser share."""

import shutil

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

SCREENS = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]


def overflow(tab) -> int:
    """Pixels by which a page is wider than its window."""
    return tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def assert_no_barrier(tab):
    """Asserts that axe finds nothing that keeps people from a page."""
    found = axe.Axe().run(tab)
    assert found.violations_count == 0, found.generate_report()
