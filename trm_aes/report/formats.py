"""Numbers as people read them on a page: with the digits that mean something, and a dash where there is none."""

from collections.abc import Sequence

from ..evaluation.bootstrap import Estimate
from .record import MEASURES

NOT_DEFINED = "–"
# Measures that are shares of the essays, and those of which the sign says the direction.
SHARES = frozenset({"exact", "adjacent"})
SIGNED = frozenset({"smd", "degradation_qwk", "degradation_pearson"})
# Why a measure may be missing.
TWO_RATERS, VARY = (
    "which take two human raters, and scores that vary",
    "which take human and predicted scores that vary",
)
WHY_NOT_DEFINED = {
    "rater_qwk": TWO_RATERS,
    "degradation_qwk": TWO_RATERS,
    "degradation_pearson": TWO_RATERS,
    "disattenuated_pearson": TWO_RATERS,
    "ceiling_qwk": TWO_RATERS,
    "prmse": "which takes essays with two ratings that agree by more than chance",
    "length_qwk": "which takes training essays of the prompt, and human scores that vary",
    "ridge_qwk": "which takes enough training essays of the prompt, and human scores that vary",
}


def number(value: float | None, digits: int = 3, signed: bool = False) -> str:
    """
    A number with so many digits after the point, thousands apart, and a minus as printers set it. What rounds to zero has
    no sign.
    """
    if value is None:
        return NOT_DEFINED
    shown = f"{abs(value):,.{digits}f}"
    if not float(shown.replace(",", "")):
        return shown
    return ("−" if value < 0 else "+" if signed else "") + shown


def mean(value: float) -> str:
    """A mean of whatever unit: the larger it is, the fewer digits after the point mean something."""
    return number(value, 3 if abs(value) < 10 else 1)


def count(value: int) -> str:
    """A number of essays, thousands apart."""
    return f"{value:,}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share (0-1) in percent."""
    return NOT_DEFINED if share is None else f"{number(100 * share, digits)} %"


def p_value(value: float | None) -> str:
    """A probability of a test; below a thousandth its size says nothing more."""
    return "< 0.001" if value is not None and value < 0.001 else number(value)


def interval(estimate: Estimate, digits: int = 3, signed: bool = False, share: bool = False) -> str:
    """The interval of an estimate, such as "0.71 to 0.82"; empty where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    if share:
        return f"{number(100 * estimate.low, digits)} to {percent(estimate.high, digits)}"
    return f"{number(estimate.low, digits, signed)} to {number(estimate.high, digits, signed)}"


def measure_value(name: str, estimate: Estimate) -> str:
    """The value of a measure by its name in `MEASURES`."""
    if name in SHARES:
        return percent(estimate.value)
    return number(estimate.value, signed=name in SIGNED)


def measure_interval(name: str, estimate: Estimate) -> str:
    """The interval of a measure by its name in `MEASURES`."""
    if name in SHARES:
        return interval(estimate, digits=1, share=True)
    return interval(estimate, signed=name in SIGNED)


def flag_value(value: float, threshold: str) -> str:
    """The figure of a flag in the unit of its threshold: shares in percent."""
    return percent(value) if "%" in threshold else number(value)


def why_not_defined(names: Sequence[str]) -> str:
    """Measures that are missing, by their names in `MEASURES`, in words and with the reasons."""
    by_reason: dict[str, list[str]] = {}
    for name in names:
        by_reason.setdefault(WHY_NOT_DEFINED.get(name, VARY), []).append(MEASURES[name])
    return "; ".join(f"{', '.join(measures)}, {reason}" for reason, measures in by_reason.items())
