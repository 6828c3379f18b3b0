"""The report as one HTML page that needs nothing else: no network, no script, for screens and for paper."""

import shlex
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ..evaluation.bootstrap import Estimate
from ..evaluation.review import ReviewTarget
from . import figures, formats
from .record import MEASURES, Report

# `name -> title`, in the order of the page; each has a template of its name.
SECTIONS = {
    "summary": "Summary",
    "agreement": "Agreement with people",
    "raters": "Raters",
    "traits": "Traits",
    "fairness": "Fairness",
    "confidence": "Confidence and review",
    "robustness": "Robustness",
    "advisories": "Advisories",
    "drift": "Drift",
    "limits": "Limits",
    "method": "How it was made",
}
MAIN_MEASURES = ("qwk", "rater_qwk", "exact", "adjacent", "pearson", "smd")
AGREEMENT_MEASURES = ("qwk", "qwk_continuous", "exact", "adjacent", "pearson", "rmse", "smd")
TEST_NAMES = {
    "osa": "Overall score accuracy: squared error by group",
    "osd": "Overall score difference: error by group",
    "csd": "Conditional score difference: error by group, human score given",
}
# Flags of the summary, which is one screen; prompts whose figures are not folded; rows of a figure.
MAX_FLAGS, MAX_OPEN, MAX_ROWS = 6, 3, 60


def render_page(report: Report) -> str:
    """
    The page of a report.

    Args:
        report: all that the page says. Whatever stands in it is text: no markup in a name has an effect.

    Returns:
        HTML that loads nothing and runs nothing. The same report gives the same page.
    """
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        name: getattr(formats, name)
        for name in ("number", "mean", "count", "percent", "p_value", "interval", "flag_value", "why_not_defined")
    } | {
        "measure_name": MEASURES.__getitem__,
        "measure_value": lambda estimate, name: formats.measure_value(name, estimate),
        "measure_interval": lambda estimate, name: formats.measure_interval(name, estimate),
        "target_value": _target_value,
        "day": lambda created: f"{created[:16].replace('T', ' ')} UTC",
        # No line ends between a number and its percent sign.
        "unbroken": lambda sentence: sentence.replace(" %", "\N{NO-BREAK SPACE}%"),
        "shell": shlex.join,
    }
    page = environment.get_template("page.html").render(_context(report))
    # What a name may hold and UTF-8 may not: half a letter of two parts.
    return page.encode("utf-8", "replace").decode("utf-8")


def _context(report: Report) -> dict[str, Any]:
    measured = [
        {name for name, estimate in prompt.measures.items() if estimate.value is not None}
        for prompt in report.agreement
    ]
    return {
        "report": report,
        "figures": figures,
        "sections": SECTIONS,
        "measure_names": MEASURES,
        "test_names": TEST_NAMES,
        "main_measures": MAIN_MEASURES,
        "agreement_measures": AGREEMENT_MEASURES,
        "reference_measures": [name for name in MEASURES if name not in AGREEMENT_MEASURES],
        "defined_measures": set().union(*measured),
        "everywhere_defined": set.intersection(*measured) if measured else set(),
        "undefined_estimate": Estimate(value=None),
        "max_flags": MAX_FLAGS,
        "max_open": MAX_OPEN,
        "max_rows": MAX_ROWS,
    }


def _target_value(target: ReviewTarget) -> str:
    return formats.percent(target.target, 0) if target.measure in formats.SHARES else formats.number(target.target, 2)
