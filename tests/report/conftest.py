"""A page of made-up numbers, for all tests of a process."""

import pytest
from made_up_report import LONG_NAME, made_up_report

from trm_aes.report.page import render_page


@pytest.fixture(scope="session")
def page() -> str:
    return render_page(made_up_report(prompt_ids=("1", LONG_NAME)))
