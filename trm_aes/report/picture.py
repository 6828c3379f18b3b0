"""
How every figure of a report looks, and how it becomes part of a page: inline SVG with a title and a description, whose
colors are those of the page's style sheet, so that one figure serves screens, dark screens and paper.
"""

import hashlib
import io
import re
import unicodedata
import warnings
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# `role -> color on white paper`. The figures' own colors are blue, vermilion, green and purple of about the hues of Okabe and
# Ito (Color Universal Design, 2008), dark enough for a contrast of 4.5 on white; lines differ in their dashes, too.
COLORS = {
    "paper": "#ffffff",
    "ink": "#1f2328",
    "muted": "#59636e",
    "grid": "#d8dee4",
    "scorer": "#0072b2",
    "people": "#c2410c",
    "third": "#00795c",
    "fourth": "#8e4585",
}
# Inches of 72 units: as wide as a phone's screen, so that letters are as large there as they are here.
WIDTH, HEIGHT = 4.9, 3.3
# matplotlib's types name every key.
STYLE: Any = {
    # Text stays text: it can be read aloud, found and copied, and any browser has letters for it. A `$` is a dollar.
    "svg.fonttype": "none",
    # Ids are made from what they name: the same figure is the same file.
    "svg.hashsalt": "trm-aes",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "axes.edgecolor": COLORS["muted"],
    "axes.labelcolor": COLORS["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": COLORS["grid"],
    "grid.linewidth": 0.6,
    "text.color": COLORS["ink"],
    "xtick.color": COLORS["muted"],
    "ytick.color": COLORS["muted"],
    "xtick.labelcolor": COLORS["ink"],
    "ytick.labelcolor": COLORS["ink"],
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "hatch.color": COLORS["paper"],
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
}
LABEL_LETTERS = 28
SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
ElementTree.register_namespace("", SVG[1:-1])
ElementTree.register_namespace("xlink", XLINK[1:-1])


def picture(draw: Callable[[Axes], None], title: str, description: str, height: float = HEIGHT) -> str:
    """
    A figure as SVG that can stand in a page.

    Args:
        draw: draws on the axes that it is given.
        title: what is seen; no two figures of a page have the same.
        description: what there is to be seen, for those who do not see it.
        height: in inches; all figures are equally wide.
    """
    with rc_context(STYLE), warnings.catch_warnings():
        # The browser has letters that the font lacks with which matplotlib measures.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure.subplots())
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    return _for_a_page(drawn.getvalue(), title, description)


def short_label(text: str) -> str:
    """A name that a user gave, fit for an axis: one line of at most 28 letters."""
    shown = " ".join(_letters(text).split())
    return shown if len(shown) <= LABEL_LETTERS else shown[: LABEL_LETTERS - 1].rstrip() + "…"


def _letters(text: str) -> str:
    """Text without what XML cannot hold: control characters, halves of letters, and places where Unicode has no letter."""
    return "".join(" " if unicodedata.category(letter) in ("Cc", "Cs", "Cn") else letter for letter in text)


def _for_a_page(svg: str, title: str, description: str) -> str:
    """An SVG file as an element of a page among others: named, without ids that others have, and without a size."""
    root = ElementTree.fromstring(svg)
    prefix = "f" + hashlib.sha256(title.encode("utf-8", "replace")).hexdigest()[:10]
    # A page has its own of both: styles would hold for all of it.
    _drop(root, f"{SVG}metadata")
    _drop(root, f"{SVG}style")
    _keep_ids_apart(root, prefix)
    _take_colors_of_the_page(root)
    for attribute in ("width", "height"):
        root.attrib.pop(attribute, None)
    root.attrib |= {"role": "img", "aria-labelledby": f"{prefix}-title {prefix}-desc"}
    for name, text in (("desc", description), ("title", title)):
        element = ElementTree.Element(f"{SVG}{name}", {"id": f"{prefix}-{name}"})
        element.text = _letters(text)
        root.insert(0, element)
    return ElementTree.tostring(root, encoding="unicode")


def _drop(root: ElementTree.Element, tag: str):
    for parent in list(root.iter()):
        for child in parent.findall(tag):
            parent.remove(child)


def _keep_ids_apart(root: ElementTree.Element, prefix: str):
    """Ids that are referred to get a prefix, the others go: an id stands in a page once."""
    referred = set(re.findall(r'(?:url\(#|href="#)([\w-]+)', ElementTree.tostring(root, encoding="unicode")))
    for element in root.iter():
        name = element.attrib.pop("id", None)
        if name in referred:
            element.attrib["id"] = f"{prefix}-{name}"
        for attribute, value in element.attrib.items():
            if attribute.endswith("href") and value.startswith("#"):
                element.attrib[attribute] = f"#{prefix}-{value[1:]}"
            elif "url(#" in value:
                element.attrib[attribute] = value.replace("url(#", f"url(#{prefix}-")


def _take_colors_of_the_page(root: ElementTree.Element):
    for element in root.iter():
        style = element.attrib.pop("style", "")
        # Hatches have theirs as attributes, where a style sheet's variables have no place.
        for name in ("fill", "stroke"):
            if name in element.attrib:
                style += f"; {name}: {element.attrib.pop(name)}"
        for role, color in COLORS.items():
            style = style.replace(color, f"var(--{role})")
        if style:
            element.attrib["style"] = style
