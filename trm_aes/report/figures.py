"""The figures of a report: each a function of one part of the record, as SVG that says in words what it shows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ..attacks.effects import AttackEffect
from ..evaluation.bootstrap import Estimate
from ..evaluation.confidence import Confidence
from ..evaluation.review import ReviewPoint, ReviewRoute
from .flags import PSI_RED
from .formats import count, number, percent
from .picture import COLORS, HEIGHT, picture, short_label
from .record import Drift, ErrorRow, GroupColumn, PromptAgreement, RaterPair

# No label of a cell or of a tick is smaller than a reader can read: beyond these, every second one is left out, and so on.
MAX_CELL_LABELS, MAX_TICK_LABELS = 12, 13
# Of the share of a row that a cell of the confusion matrix shows: its number stays readable on it.
DARKEST_CELL = 0.5
ROW_HEIGHT = 0.26
# Ways to choose what people read: color, dashes.
ROUTES = {
    "predicted error": ("scorer", "-"),
    "confidence": ("third", "--"),
    "random": ("muted", ":"),
    "oracle": ("people", "-."),
}
# Levels of a flag: color, marker.
LEVELS = {"green": ("third", "o"), "amber": ("fourth", "s"), "red": ("people", "D")}
MARKERS = {"fall": "v", "not rise": "s", "stay": "o"}


class Dot(NamedTuple):
    """An estimate of one row of a dot plot, in the color of a role."""

    row: int
    estimate: Estimate
    role: str = "scorer"
    marker: str = "o"
    label: str = ""


def agreement_by_prompt(prompts: Sequence[PromptAgreement]) -> str:
    """QWK of the scorer with people, and of two people with each other, a row a prompt."""
    dots = []
    for row, prompt in enumerate(prompts):
        for name, role, marker, label, shift in (
            ("qwk", "scorer", "o", "scorer and people", -0.15),
            ("rater_qwk", "people", "D", "two people", 0.15),
        ):
            if name in prompt.measures:
                dots.append((Dot(row, prompt.measures[name], role, marker, label), shift))

    def draw(axes: Axes):
        _rows(axes, [prompt.prompt_id for prompt in prompts])
        for dot, shift in dots:
            _dot(axes, dot, shift)
        _legend(axes)
        axes.set_xlabel("QWK of rounded scores")

    values = [prompt.measures["qwk"].value for prompt in prompts if "qwk" in prompt.measures]
    return picture(
        draw, "Agreement by prompt", f"QWK of the scorer with people, with 95 % intervals: {_span(values)}.",
        _height(len(prompts)),
    )  # fmt: skip


def confusion(prompt: PromptAgreement) -> str:
    """Essays by human score and rounded predicted score; the darker, the larger the share of the human score's essays."""
    table, labels = np.array(prompt.confusion, dtype=float), [short_label(label) for label in prompt.labels]
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)

    def draw(axes: Axes):
        axes.grid(False)
        for row, column in np.argwhere(table):
            axes.add_patch(_cell((column - 0.5, row - 0.5), DARKEST_CELL * shares[row, column]))
            if len(labels) <= MAX_CELL_LABELS:
                axes.text(column, row, count(int(table[row, column])), ha="center", va="center", fontsize=8.5)
        _ticks(axes, labels)
        edges = (-0.5, len(labels) - 0.5)
        axes.set(xlim=edges, ylim=edges, xlabel="predicted score, rounded", ylabel="human score")

    right, near = np.trace(table), sum(np.trace(table, shift) for shift in (-1, 0, 1))
    return picture(
        draw,
        f"Confusion matrix, prompt {prompt.prompt_id}",
        f"Of {count(prompt.n)} essays {count(int(right))} lie on the diagonal, where predicted and human score agree, and "
        f"{count(int(near))} on it or one place beside it.",
    )


def scatter(prompt: PromptAgreement) -> str:
    """Predicted on human scores, before rounding; human scores are moved a little so that essays do not hide each other."""
    human, predicted = np.array(prompt.scatter, dtype=float).reshape(-1, 2).T

    def draw(axes: Axes):
        # Evenly, in the order of the record: the page is the same whenever it is made.
        steps = np.diff(np.unique(human))
        width = 0.5 * (steps.min() if len(steps) else 1)
        moved = human + width * ((0.5 + 0.618034 * np.arange(len(human))) % 1 - 0.5)
        axes.plot(moved, predicted, "o", color=COLORS["scorer"], alpha=0.45, markersize=3.5, markeredgewidth=0)
        ends = [min(human.min(), predicted.min()), max(human.max(), predicted.max())]
        axes.plot(ends, ends, "--", color=COLORS["muted"], linewidth=1, label="perfect agreement")
        _legend(axes)
        axes.set(xlabel="human score", ylabel="predicted score, not rounded")

    return picture(
        draw,
        f"Predicted and human scores, prompt {prompt.prompt_id}",
        f"{count(len(human))} essays of {count(prompt.n)}. Predicted scores lie between {number(predicted.min(), 2)} and "
        f"{number(predicted.max(), 2)}, human scores between {number(human.min(), 2)} and {number(human.max(), 2)}.",
    )


def distributions(prompt: PromptAgreement) -> str:
    """How often each score is given by people and by the scorer (rounded)."""
    table = np.array(prompt.confusion, dtype=float)
    human, predicted = (table.sum(axis=axis) / max(table.sum(), 1) for axis in (1, 0))
    places, labels = np.arange(len(prompt.labels)), [short_label(label) for label in prompt.labels]

    def draw(axes: Axes):
        axes.bar(places - 0.2, human, 0.38, color=COLORS["people"], label="people")
        axes.bar(places + 0.2, predicted, 0.38, color=COLORS["scorer"], alpha=0.8, hatch="////", label="scorer")
        axes.grid(False, axis="x")
        _ticks(axes, labels, both=False)
        _percent(axes.yaxis)
        _legend(axes)
        axes.set(xlabel="score", ylabel="share of the essays")

    def most_frequent(shares: np.ndarray) -> str:
        return f"{prompt.labels[int(shares.argmax())]} ({percent(shares.max(), 0)})"

    return picture(
        draw,
        f"Distributions of scores, prompt {prompt.prompt_id}",
        f"People give most often {most_frequent(human)}, the scorer {most_frequent(predicted)}.",
    )


def error_by_level(prompt: PromptAgreement) -> str:
    """Mean error of the essays of each human score."""
    return _errors(prompt.by_level, f"Error by human score, prompt {prompt.prompt_id}", "human score")


def error_by_length(prompt: PromptAgreement) -> str:
    """Mean error by fifths of the number of words."""
    return _errors(prompt.by_length, f"Error by length, prompt {prompt.prompt_id}", "words")


def _errors(rows: Sequence[ErrorRow], title: str, xlabel: str) -> str:
    def draw(axes: Axes):
        _zero(axes.axhline)
        for place, row in enumerate(rows):
            _vertical_dot(axes, place, row.mean_error)
        _ticks(axes, [short_label(row.label.removesuffix(" words")).replace(" to ", "–") for row in rows], both=False)
        axes.set(xlabel=xlabel, ylabel="mean error, in points", xlim=(-0.5, len(rows) - 0.5))

    said = "; ".join(f"{row.label}: {number(row.mean_error.value, 2, signed=True)}" for row in rows)
    return picture(draw, title, f"Mean of predicted less human score, with 95 % intervals. {said}.", 0.85 * HEIGHT)


def raters(pairs: Sequence[RaterPair]) -> str:
    """QWK of each pair of raters, a row a pair and prompt."""
    names = [f"{pair.prompt_id}: {pair.first}, {pair.second}" for pair in pairs]
    dots = [Dot(row, pair.qwk, "people", "D") for row, pair in enumerate(pairs)]
    values = [pair.qwk.value for pair in pairs]
    return _dot_plot(dots, names, "Consistency of the raters", f"QWK of two raters: {_span(values)}.", "QWK")


def groups(column: GroupColumn) -> str:
    """SMD and DSM of each group of a column, with intervals and the thresholds that they are held against."""

    def draw(axes: Axes):
        _rows(axes, [group.group for group in column.groups])
        _zero(axes.axvline)
        for row, group in enumerate(column.groups):
            _dot(axes, Dot(row, group.smd, "scorer", "o", "SMD"), -0.15)
            _dot(axes, Dot(row, group.dsm, "fourth", "s", "DSM"), 0.15)
        _legend(axes)
        axes.set_xlabel("standard deviations (0: no difference)")

    said = "; ".join(
        f"{group.group}: SMD {number(group.smd.value, 2, signed=True)}, DSM {number(group.dsm.value, 2, signed=True)}"
        for group in column.groups
    )
    return picture(draw, f"Groups of {column.column}", f"With 95 % intervals. {said}.", _height(len(column.groups)))


def reliability(confidence: Confidence) -> str:
    """The share that was scored right by the confidence that the scorer had."""
    bins = [part for part in confidence.reliability if part.share_right.value is not None]

    def draw(axes: Axes):
        axes.plot([0, 1], [0, 1], "--", color=COLORS["muted"], linewidth=1, label="perfectly calibrated")
        for part in bins:
            _vertical_dot(axes, part.mean_confidence, part.share_right)
        axes.plot([part.mean_confidence for part in bins], [part.share_right.value or 0 for part in bins],
                  color=COLORS["scorer"], label="scorer")  # fmt: skip
        _percent(axes.xaxis)
        _percent(axes.yaxis)
        _legend(axes)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="mean confidence", ylabel="share scored right")

    said = "; ".join(
        f"confidence {percent(part.mean_confidence, 0)}: {percent(part.share_right.value, 0)} right" for part in bins
    )
    return picture(draw, "Reliability of the confidence", f"With 95 % intervals. {said}.")


def review_curve(routes: Sequence[ReviewRoute], measure: str, name: str) -> str:
    """
    Agreement among the released scores against the share that is released, a line a route.

    Args:
        routes: see [`ReviewRoute`].
        measure: of a [`ReviewPoint`]: `exact`, `adjacent` or `qwk`.
        name: of the measure, in words.
    """

    def value(point: ReviewPoint) -> float:
        found = getattr(point, measure)
        return np.nan if found is None else found

    def draw(axes: Axes):
        for route in routes:
            role, dashes = ROUTES.get(route.name, ("fourth", "-"))
            shares = [point.share_released for point in route.points]
            axes.plot(shares, list(map(value, route.points)), dashes, color=COLORS[role], label=short_label(route.name))
        _percent(axes.xaxis)
        if measure != "qwk":
            _percent(axes.yaxis)
        # No tick beyond 1, not even where all lines lie there.
        bottom, top = axes.get_ylim()
        bottom = min(bottom, 0.9)
        axes.set_ylim(bottom, min(top, 1 + 0.03 * (1 - bottom)))
        _legend(axes)
        axes.set(xlim=(0, 1), xlabel="share released without a second reading", ylabel=name)

    return picture(
        draw, f"Review curve: {name} among the released", "; ".join(map(_half_released(value), routes)) + "."
    )


def has_values(routes: Sequence[ReviewRoute], measure: str) -> bool:
    """Whether there is anything to be drawn of a measure of a [`ReviewPoint`]."""
    return any(getattr(point, measure) is not None for route in routes for point in route.points)


def _half_released(value):
    def said(route: ReviewRoute) -> str:
        point = min(route.points, key=lambda point: abs(point.share_released - 0.5))
        return f"{route.name}: {number(value(point), 3)} with {percent(point.share_released, 0)} released"

    return said


def attacks(effects: Sequence[AttackEffect]) -> str:
    """Mean change of the score by attack."""
    dots = [
        Dot(row, effect.mean_change, "scorer", MARKERS[effect.should], f"should {effect.should}")
        for row, effect in enumerate(effects)
    ]
    said = "; ".join(f"{effect.name}: {number(effect.mean_change.value, 2, signed=True)}" for effect in effects)
    return _dot_plot(
        dots, [effect.name for effect in effects], "Mean change of the score by attack",
        f"In standard deviations of the human scores, with 95 % intervals. {said}.", "standard deviations", zero=True,
    )  # fmt: skip


def drift(changes: Drift) -> str:
    """Population stability index of what has been compared."""
    dots = [
        Dot(row, Estimate(value=change.psi), *LEVELS[change.level], change.level)
        for row, change in enumerate(changes.rows)
    ]
    said = "; ".join(f"{change.what}: {number(change.psi, 3)} ({change.level})" for change in changes.rows)
    # An index is never below 0, and what is red from lies on the axis whatever is found.
    names = [change.what.removeprefix("prompt ").removeprefix("advisory: ") for change in changes.rows]
    end = max([PSI_RED, *(change.psi for change in changes.rows)])
    return _dot_plot(
        dots, names, "Drift since the reference", f"{said}.",
        "population stability index", zero=True, ends=(-0.03 * end, 1.05 * end),
    )  # fmt: skip


def _dot_plot(
    dots: Sequence[Dot],
    names: Sequence[str],
    title: str,
    description: str,
    xlabel: str,
    zero: bool = False,
    ends: tuple[float, float] | None = None,
) -> str:
    def draw(axes: Axes):
        _rows(axes, names)
        if zero:
            _zero(axes.axvline)
        for dot in dots:
            _dot(axes, dot)
        _legend(axes)
        axes.set_xlabel(xlabel)
        if ends:
            axes.set_xlim(ends)

    return picture(draw, title, description, _height(len(names)))


def _rows(axes: Axes, names: Sequence[str]):
    axes.set_yticks(range(len(names)), [short_label(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(6))


def _height(num_rows: int) -> float:
    return 0.95 + ROW_HEIGHT * num_rows


def _dot(axes: Axes, dot: Dot, shift: float = 0.0):
    value = dot.estimate.value
    if value is None:
        return
    row, color = dot.row + shift, COLORS[dot.role]
    if dot.estimate.low is not None and dot.estimate.high is not None:
        axes.plot([dot.estimate.low, dot.estimate.high], [row, row], color=color, linewidth=1.4)
    axes.plot([value], [row], dot.marker, color=color, label=dot.label or None)


def _vertical_dot(axes: Axes, place: float, estimate: Estimate):
    if estimate.value is None:
        return
    if estimate.low is not None and estimate.high is not None:
        axes.plot([place, place], [estimate.low, estimate.high], color=COLORS["scorer"], linewidth=1.4)
    axes.plot([place], [estimate.value], "o", color=COLORS["scorer"])


def _zero(line):
    line(0, color=COLORS["muted"], linewidth=1)


def _legend(axes: Axes):
    """One entry for each name, above the axes, where nothing is drawn."""
    handles, labels = axes.get_legend_handles_labels()
    named = dict(zip(labels, handles, strict=True))
    if named:
        axes.legend(named.values(), named.keys(), loc="lower left", bbox_to_anchor=(0, 1), ncols=2,
                    borderaxespad=0.2, handletextpad=0.5, columnspacing=1.2, borderpad=0.2)  # fmt: skip


def _ticks(axes: Axes, labels: Sequence[str], both: bool = True):
    every = -(-len(labels) // MAX_TICK_LABELS)
    places = range(0, len(labels), every)
    axes.set_xticks(places, [labels[place] for place in places])
    if both:
        axes.set_yticks(places, [labels[place] for place in places])


def _percent(axis):
    axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))


def _cell(corner: tuple[float, float], alpha: float):
    return Rectangle(corner, 1, 1, facecolor=COLORS["scorer"], alpha=alpha, linewidth=0)


def _span(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "not defined"
    return f"{number(min(known))} at the lowest, {number(max(known))} at the highest"
