"""Which figures are held against which threshold, and what color that gives them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..attacks.effects import AttackEffect
from ..evaluation.bootstrap import Estimate
from .formats import number, percent
from .record import MEASURES, Drift, Flag, GroupColumn, Level, PromptAgreement

OVERALL = "all prompts"
WILLIAMSON = "Williamson, Xi and Breyer 2012"
RSMTOOL = "RSMTool 12.0"
LOUKINA = "Loukina, Madnani and Zechner 2019, with the correction of Holm 1979"
SIDDIQI = "Siddiqi 2006"
OURS = "trm-aes"
# Of a test of groups, over all tests of a report together.
SIGNIFICANCE = 0.05
PSI_AMBER, PSI_RED = 0.1, 0.25
# How what is compared begins where it is the share of essays that got an advisory.
OF_ADVISORY = "advisory: "
ORDER: tuple[Level, ...] = ("red", "amber", "green")


@dataclass(frozen=True)
class Threshold:
    """
    A bound that a figure has to keep.

    Args:
        least, most: the bound; one of the two.
        in_size: whether the figure counts without its sign.
        is_share: whether the figure is a share of the essays (0-1), which people read in percent.
        source: where the bound comes from.
    """

    source: str
    least: float | None = None
    most: float | None = None
    in_size: bool = False
    is_share: bool = False

    def __str__(self) -> str:
        bound = self.most if self.least is None else self.least
        shown = percent(bound, 0) if self.is_share else number(bound, 2)
        return f"at {'most' if self.least is None else 'least'} {shown}{' in size' if self.in_size else ''}"

    def is_met(self, value: float) -> bool:
        """Whether a figure keeps the bound."""
        size = abs(value) if self.in_size else value
        return (self.least is None or size >= self.least) and (self.most is None or size <= self.most)

    def level(self, figure: Estimate) -> Level:
        """
        `green` where the figure keeps the bound; `amber` where it does not but its interval reaches across, or it has no
        interval, so that chance cannot be ruled out; else `red`.
        """
        assert figure.value is not None
        if self.is_met(figure.value):
            return "green"
        if figure.low is None or figure.high is None:
            return "amber"
        nearest = (
            min(max(0.0, figure.low), figure.high) if self.in_size else figure.high if self.most is None else figure.low
        )
        return "amber" if self.is_met(nearest) else "red"


AGREEMENT_THRESHOLDS: dict[str, Threshold] = {
    "qwk": Threshold(WILLIAMSON, least=0.7),
    "pearson": Threshold(WILLIAMSON, least=0.7),
    "degradation_qwk": Threshold(WILLIAMSON, most=0.1),
    "degradation_pearson": Threshold(WILLIAMSON, most=0.1),
    "smd": Threshold(WILLIAMSON, most=0.15, in_size=True),
    "exact": Threshold(RSMTOOL, least=0.5, is_share=True),
    "adjacent": Threshold(RSMTOOL, least=0.95, is_share=True),
    "disattenuated_pearson": Threshold(RSMTOOL, least=0.9),
}
DSM_THRESHOLD = Threshold(RSMTOOL, most=0.1, in_size=True)
# By what an honest score does under an attack: the mean change in standard deviations, or the share of essays that rise. No
# standard sets these.
FALLS, STAYS = Threshold(OURS, most=-0.1), Threshold(OURS, most=0.1, in_size=True)
RARELY_RISES = Threshold(OURS, most=0.2, is_share=True)
TEST_NAMES = {
    "osa": "overall score accuracy",
    "osd": "overall score difference",
    "csd": "conditional score difference",
}


def agreement_flags(overall: dict[str, Estimate], by_prompt: Sequence[PromptAgreement]) -> Iterator[Flag]:
    """Flags of the measures of agreement, by prompt and, where there are several, of their means."""
    places = [(f"prompt {prompt.prompt_id}", prompt.measures) for prompt in by_prompt]
    if len(places) > 1:
        places.insert(0, (OVERALL, overall))
    for where, measures in places:
        for name, threshold in AGREEMENT_THRESHOLDS.items():
            if name in measures:
                yield from _flag(MEASURES[name], where, measures[name], threshold)


def fairness_flags(columns: Sequence[GroupColumn]) -> Iterator[Flag]:
    """
    Flags of groups: of the DSM of each, and of each column's three tests, red where groups differ by more than chance at the
    level of 5 % over all tests together. A conditional score difference without an overall one is amber: where groups differ in
    how well they write, the noise of the human scores that it goes by is enough for it.
    """
    for column in columns:
        for row in column.groups:
            yield from _flag("DSM", f"{column.column} = {row.group}", row.dsm, DSM_THRESHOLD)
        for name, result in column.tests.items():
            p = result["p_adjusted"]
            of_all = column.tests.get("osd", {"p_adjusted": 1.0})["p_adjusted"]
            may_be_noise = name == "csd" and of_all >= SIGNIFICANCE
            yield Flag(
                level="green" if p >= SIGNIFICANCE else "amber" if may_be_noise else "red",
                measure=f"p of {TEST_NAMES[name]}",
                where=column.column,
                value=p,
                threshold=f"at least {SIGNIFICANCE:.2f}",
                source=LOUKINA,
            )


def attack_flags(effects: Sequence[AttackEffect]) -> Iterator[Flag]:
    """Flags of attacks, by what an honest score does under each."""
    for effect in effects:
        where = f"attack: {effect.name}"
        if effect.should == "not rise":
            yield from _flag("share of scores that rise", where, effect.share_risen, RARELY_RISES)
        else:
            threshold = FALLS if effect.should == "fall" else STAYS
            yield from _flag("mean change of the score in SD", where, effect.mean_change, threshold)


def drift_flags(drift: Drift | None) -> Iterator[Flag]:
    """Flags of what has changed since the reference."""
    for row in drift.rows if drift else ():
        if row.what.startswith(OF_ADVISORY):
            yield Flag(
                level=row.level,
                measure="p of Fisher's exact test",
                where=row.what,
                value=row.p,
                threshold=f"at least {SIGNIFICANCE:.2f}, or shares that differ by less than a half",
                source=OURS,
            )
        else:
            yield Flag(
                level=row.level,
                measure="PSI",
                where=row.what,
                value=row.psi,
                threshold=f"below {PSI_AMBER:.2f} (red from {PSI_RED:.2f} on), or no more than chance",
                source=SIDDIQI,
            )


def advisory_level(before: float, now: float, psi: float, p: float) -> Level:
    """
    The color of a change of the share of essays that got an advisory, from `before` to `now`: green where Fisher's exact test
    finds no more than chance (`p`), or neither is half as large again as the other. The population stability index of something
    so rare is small where it has become ten times as frequent.
    """
    if p >= SIGNIFICANCE or max(before, now) < 1.5 * min(before, now):
        return "green"
    return "amber" if psi < PSI_RED else "red"


def drift_level(psi: float, p: float) -> Level:
    """
    The color of a population stability index, green where the Kolmogorov-Smirnov test finds no more than chance (`p`): the
    index of few essays is large without any drift.
    """
    if psi < PSI_AMBER or p >= SIGNIFICANCE:
        return "green"
    return "amber" if psi < PSI_RED else "red"


def in_order(flags: Sequence[Flag]) -> list[Flag]:
    """Flags, red first, else in the order in which they came."""
    return sorted(flags, key=lambda flag: ORDER.index(flag.level))


def _flag(measure: str, where: str, figure: Estimate, threshold: Threshold) -> Iterator[Flag]:
    if figure.value is not None:
        yield Flag(
            level=threshold.level(figure),
            measure=measure,
            where=where,
            value=figure.value,
            threshold=str(threshold),
            source=threshold.source,
        )
