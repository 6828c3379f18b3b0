"""The three sentences of a report's summary, in plain words."""

from collections.abc import Sequence
from statistics import mean

from ..evaluation.bootstrap import Estimate
from ..evaluation.confidence import Confidence
from ..evaluation.reliability import share_estimate
from ..evaluation.review import LEAST_RELEASED, ORACLE, RANDOM, ReviewRoute
from .formats import number, percent
from .record import Flag, PromptAgreement

# What agreement within one step of the scale among the released essays is asked for (Cambridge, arXiv 2505.23315).
RELEASE_AT = 0.95
# Places that a sentence names; the flags name all.
MOST_NAMED = 4


def summary_sentences(
    overall: dict[str, Estimate],
    confidence: Confidence | None,
    flags: Sequence[Flag],
    num_essays: int,
    by_prompt: Sequence[PromptAgreement] = (),
) -> list[str]:
    """How far scorer and people agree; what share could be released unread; what needs a look."""
    return [
        _agreement_sentence(overall, num_essays, by_prompt),
        _release_sentence(confidence, num_essays),
        _look_sentence(flags),
    ]


def _agreement_sentence(overall: dict[str, Estimate], num_essays: int, by_prompt: Sequence[PromptAgreement]) -> str:
    if "qwk" not in overall:
        why = "there is one essay" if num_essays == 1 else "the human scores do not vary"
        return f"How far the scorer agrees with people cannot be said: {why}."
    scorer = f"The scorer agrees with the human scores with a QWK of {_with_interval(overall['qwk'])}"
    if "degradation_qwk" not in overall:
        return f"{scorer}; how far people agree with each other is not known."
    difference, raters = overall["degradation_qwk"], overall["rater_qwk"]
    measured = [prompt for prompt in by_prompt if "qwk" in prompt.measures]
    rated = [prompt for prompt in measured if "degradation_qwk" in prompt.measures]
    if rated and (len(rated) < len(measured) or any(prompt.rated_twice_in_part for prompt in rated)):
        # Agreement on other essays is not to be compared.
        of_raters = [prompt.measures["rater_qwk"].value or 0.0 for prompt in rated]
        less = [prompt.measures["degradation_qwk"].value or 0.0 for prompt in rated]
        # Of prompts that have no degradation the raters' own is in the mean over all.
        are_all = len(rated) == sum("rater_qwk" in prompt.measures for prompt in measured)
        between = _with_interval(raters) if are_all else f"{mean(of_raters):.2f}"
        if any(prompt.rated_twice_in_part for prompt in rated):
            where = f"{sum(prompt.num_rated_twice or 0 for prompt in rated):,} of {num_essays:,} essays"
        else:
            where = f"{len(rated)} of {len(measured)} prompts"
        return (
            f"{scorer}. On the {where} that two people rated it has {mean(of_raters) - mean(less):.2f}, and they have "
            f"{between} with each other: {_comparison(difference)}."
        )
    return f"{scorer}, two human raters with each other with {_with_interval(raters)}: {_comparison(difference)}."


def _comparison(degradation: Estimate) -> str:
    """What the raters' agreement less the scorer's says."""
    assert degradation.value is not None
    size = f"by {abs(degradation.value):.2f}"
    if degradation.low is None or degradation.high is None:
        return f"the two differ {size}, and whether by chance is not known"
    if degradation.low > 0:
        return f"it agrees with people less than they agree with each other, {size}"
    if degradation.high < 0:
        return f"it agrees with people more than they agree with each other, {size}"
    return "no difference between the two is shown"


def _release_sentence(confidence: Confidence | None, num_essays: int) -> str:
    route = _measured_route(confidence)
    if route is None:
        return "What share of the essays could be released without a second reading was not measured."
    if num_essays < LEAST_RELEASED:
        return (
            "What share of the essays could be released without a second reading cannot be said: that takes at least "
            f"{LEAST_RELEASED} essays, and there {'is one' if num_essays == 1 else f'are {num_essays}'}."
        )
    good = [point for point in route.points if point.adjacent >= RELEASE_AT]
    if not good:
        return (
            f"No share of the essays could be released without a second reading at {percent(RELEASE_AT, 0)} agreement within one "
            "step of the scale."
        )
    best = max(good, key=lambda point: point.share_released)
    qwk = "" if best.qwk is None else f", with a QWK of {best.qwk:.2f}"
    released = round(best.share_released * num_essays)
    of_others = share_estimate(round(best.adjacent * released), released)
    low, high = (number(100 * end, 0) for end in (of_others.low or 0.0, of_others.high or 1.0))
    return (
        f"{percent(best.share_released, 0)} of the essays, chosen by {route.name}, could be released without a second reading: "
        f"of these {released:,} essays, {percent(best.adjacent, 0)} ({low} to {high}) are within one step of the scale of "
        f"the human score and {percent(best.exact, 0)} equal to it{qwk}."
    )


def _measured_route(confidence: Confidence | None) -> ReviewRoute | None:
    """The scorer's own: it comes first, but for those that are there to compare with."""
    routes = confidence.routes if confidence else []
    return next((route for route in routes if route.name not in (RANDOM, ORACLE) and route.points), None)


def _look_sentence(flags: Sequence[Flag]) -> str:
    missed: dict[str, list[str]] = {}
    doubtful: dict[str, list[str]] = {}
    for flag in flags:
        if flag.level != "green":
            (missed if flag.level == "red" else doubtful).setdefault(flag.where, []).append(flag.measure)
    parts = []
    if missed:
        parts.append(f"These need a look: {_listed(missed)}.")
    if doubtful:
        parts.append(f"These may need one: {_listed(doubtful)}.")
    return " ".join(parts) or "No prompt and no group misses a threshold."


def _listed(measures_of: dict[str, list[str]]) -> str:
    named = [f"{where} ({', '.join(measures)})" for where, measures in measures_of.items()]
    more = len(named) - MOST_NAMED
    return "; ".join(named[:MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _with_interval(figure: Estimate) -> str:
    if figure.low is None:
        return f"{figure.value:.2f}"
    return f"{figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f})"
