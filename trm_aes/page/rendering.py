"""The parts of the page that Gradio has no component for: HTML from templates, in which whatever a visitor sent is text."""

import base64
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ..report.formats import number, percent

_environment = Environment(
    loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_environment.filters |= {
    "number": number,
    "percent": percent,
    "base64": lambda content: base64.b64encode(content).decode(),
}


def render(template: str, **values: Any) -> str:
    """
    HTML of a template of this package.

    Args:
        template: its file's name without `.html`.
        values: what it shows; no markup in a text has an effect.
    """
    html = _environment.get_template(f"{template}.html").render(values)
    # What a text may hold and UTF-8 may not: half a letter of two parts.
    return html.encode("utf-8", "replace").decode("utf-8")


def problem(text: str) -> str:
    """A sentence beside a field, which screen readers say at once; nothing without one."""
    return render("problem", text=text) if text else ""
