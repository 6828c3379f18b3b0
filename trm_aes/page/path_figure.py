"""The path of the recursion as two small figures: the score, and the confidence, cycle by cycle."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ..model.score_scale import ScoreRange
from ..report.picture import COLORS, picture
from ..scoring.trajectory import TrajectoryPoint

HEIGHT = 2.0
# More cycles than these are not labeled one by one.
MAX_TICKS = 12


def score_path(points: Sequence[TrajectoryPoint], score_range: ScoreRange) -> str:
    """The score after each cycle, on the whole scale of the prompt, as SVG."""

    def draw(axes: Axes):
        _draw(axes, points, [point.score for point in points], COLORS["scorer"])
        axes.set_ylim(score_range.min_score, score_range.max_score)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        if score_range.labels:
            axes.yaxis.set_major_formatter(lambda value, _: score_range.format(value))
        axes.set_ylabel("score")

    first, last = points[0].score, points[-1].score
    return picture(draw, "Path of the score", f"The score starts at {first:.2f} and ends at {last:.2f}.", HEIGHT)


def confidence_path(points: Sequence[TrajectoryPoint]) -> str:
    """The confidence after each cycle, as SVG."""

    def draw(axes: Axes):
        _draw(axes, points, [point.confidence for point in points], COLORS["third"])
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_ylabel("confidence")

    first, last = points[0].confidence, points[-1].confidence
    return picture(
        draw, "Path of the confidence", f"The confidence starts at {first:.0%} and ends at {last:.0%}.", HEIGHT
    )


def _draw(axes: Axes, points: Sequence[TrajectoryPoint], values: Sequence[float], color: str):
    """A line through all cycles, with a dot at the last of each supervision step, which is where a score is read off."""
    places = range(1, len(points) + 1)
    axes.plot(places, values, color=color)
    last_of_step = [
        place
        for place, (point, after) in enumerate(zip(points, [*points[1:], None], strict=True))
        if after is None or after.step != point.step
    ]
    axes.plot([place + 1 for place in last_of_step], [values[place] for place in last_of_step], "o", color=color)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=MAX_TICKS, integer=True))
    axes.set_xlabel("cycle (a dot ends each supervision step)")
