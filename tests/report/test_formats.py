"""Numbers of a page, as people read them."""

import pytest

from trm_aes.evaluation.bootstrap import Estimate
from trm_aes.report import formats


@pytest.mark.parametrize(
    ("value", "how", "shown"),
    [
        (0.7876, {}, "0.788"),
        (-0.0512, {}, "−0.051"),
        (0.0512, {"signed": True}, "+0.051"),
        # What rounds to zero leans to no side.
        (-0.0004, {"signed": True}, "0.000"),
        (12345.678, {"digits": 1}, "12,345.7"),
        (None, {}, "–"),
    ],
)
def test_a_number_has_the_digits_that_mean_something(value, how, shown):
    assert formats.number(value, **how) == shown


def test_shares_are_shown_in_percent_and_coefficients_are_not():
    found = Estimate(value=0.9812, low=0.966, high=0.9964)
    assert formats.measure_value("adjacent", found) == "98.1 %"
    assert formats.measure_interval("adjacent", found) == "96.6 to 99.6 %"
    assert formats.measure_value("qwk", found) == "0.981"
    assert formats.measure_interval("smd", found) == "+0.966 to +0.996"
    assert formats.measure_interval("qwk", Estimate(value=0.5)) == ""


def test_a_flag_is_shown_in_the_unit_of_its_threshold():
    assert formats.flag_value(0.4961, "at least 50 %") == "49.6 %"
    assert formats.flag_value(0.6961, "at least 0.70") == "0.696"


def test_probabilities_and_means():
    assert [formats.p_value(p) for p in (1e-9, 0.0123, None)] == ["< 0.001", "0.012", "–"]
    assert [formats.mean(value) for value in (0.52, 268.44)] == ["0.520", "268.4"]


def test_reasons_are_said_once():
    said = formats.why_not_defined(["rater_qwk", "prmse", "degradation_qwk"])
    assert said == (
        "QWK of the raters, degradation of QWK, which take two human raters, and scores that vary; PRMSE, which takes essays with "
        "two ratings that agree by more than chance"
    )
