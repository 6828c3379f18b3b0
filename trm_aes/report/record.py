"""
`report.json`: all that a report says, as numbers and sentences. The page, the tables and the model card are made from it
alone. It holds no essay's text, and no number that is not finite: what is not defined is None.
"""

from dataclasses import dataclass, field
from typing import Literal

from ..attacks.effects import AttackEffect
from ..evaluation.bootstrap import Estimate
from ..evaluation.confidence import Confidence
from ..records import Distribution

# To be raised when a field is renamed or changes its meaning; one more field with a default needs no new number.
FORMAT_VERSION = 1

Level = Literal["green", "amber", "red"]


@dataclass(frozen=True, kw_only=True)
class Flag:
    """
    A figure held against a threshold.

    Args:
        level: green where it is met; amber where it is missed and the interval reaches across it, by a warning's threshold, or
            where something else than the scorer explains it; red where it is missed.
        measure: its name as in the tables: "QWK", "SMD".
        where: "all prompts", "prompt 4", "gender = F", "attack: words shuffled".
        value: the figure.
        threshold: in words, such as "at least 0.70".
        source: where the threshold comes from.
    """

    level: Level
    measure: str
    where: str
    value: float
    threshold: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Subject:
    """
    What was scored by what.

    Args:
        model, commit: name of the scorer, and its commit on the Hub.
        data, data_sha256: source of the data set and its checksum.
        split: of the data set.
        n: essays.
        scales: `prompt_id -> scale in words`.
        seed: of all draws.
        weights_sha256: checksum of the scorer's weights, by which a later program knows whose report this is; None in reports
            of earlier versions.
    """

    model: str
    commit: str | None = None
    data: str
    data_sha256: str
    split: str
    n: int
    scales: dict[str, str]
    seed: int
    weights_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class ErrorRow:
    """
    Errors of the essays of one score, or of one range of lengths.

    Args:
        label: the score as people write it, or "101 to 200 words".
        n: essays.
        mean_error: predicted less human score, continuous, in points of the scale (or steps between labels).
        rmse: of the same.
    """

    label: str
    n: int
    mean_error: Estimate
    rmse: Estimate


@dataclass(frozen=True, kw_only=True)
class PromptAgreement:
    """
    Agreement with human scores on one prompt.

    Args:
        prompt_id, n: the prompt and its essays.
        num_rated_twice: essays that both of the raters scored who share the most; the raters' QWK and what compares with it are
            of these. None where there are none.
        measures: `name -> Estimate`; see `MEASURES` for the names, which are those of all tables. A measure that is not
            defined here (raters where there are none) is absent.
        labels: scores of the scale that occur, as people write them, lowest first.
        confusion: essays by human score (rows) and rounded predicted score (columns), in the order of `labels`.
        scatter: `[human score, predicted score]` of at most 500 essays, drawn by the seed.
        by_level, by_length: errors by human score, and by fifths of the number of words.
    """

    prompt_id: str
    n: int
    measures: dict[str, Estimate]
    labels: list[str]
    confusion: list[list[int]]
    scatter: list[list[float]]
    by_level: list[ErrorRow]
    by_length: list[ErrorRow]
    num_rated_twice: int | None = None

    @property
    def rated_twice_in_part(self) -> bool:
        """Whether some essays have two ratings, and others have not."""
        return self.num_rated_twice is not None and self.num_rated_twice < self.n


@dataclass(frozen=True, kw_only=True)
class RaterPair:
    """
    Consistency of two human raters on one prompt, over the `n` essays that both rated: QWK, exact and adjacent agreement,
    Pearson's r, and the standardized mean difference by the pooled standard deviation.
    """

    prompt_id: str
    first: str
    second: str
    n: int
    qwk: Estimate
    exact: Estimate
    adjacent: Estimate
    pearson: Estimate
    smd: Estimate


@dataclass(frozen=True, kw_only=True)
class TraitAgreement:
    """
    Agreement of the scores of a trait with the human ones on one prompt, over the `n` essays that have both: QWK, exact and
    adjacent agreement of rounded scores, Pearson's r and SMD of scores that are not.
    """

    trait: str
    prompt_id: str
    n: int
    qwk: Estimate
    exact: Estimate
    adjacent: Estimate
    pearson: Estimate
    smd: Estimate


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """
    One group of a group column: its essays, SMD and DSM with intervals, and QWK where it is defined.
    """

    group: str
    n: int
    is_reference: bool
    smd: Estimate
    dsm: Estimate
    qwk: Estimate


@dataclass(frozen=True, kw_only=True)
class GroupColumn:
    """
    Fairness over the groups of one column.

    Args:
        column: its name.
        least_n: essays that a group needs to be measured.
        groups: measured groups, the largest (the reference) first.
        left_out: `group -> n` of groups that are too small; empty cells count as `(empty)`.
        tests: `osa`, `osd`, `csd` -> `r2` (adjusted R^2, or its gain), `p`, and `p_adjusted` over all columns and tests
            (Holm).
        note: a sentence, where nothing could be measured.
    """

    column: str
    least_n: int
    groups: list[GroupRow]
    left_out: dict[str, int]
    tests: dict[str, dict[str, float]]
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class AdvisoryRow:
    """
    An advisory: its rule in a sentence, how many essays of the split got it, and their share (0-1).
    """

    name: str
    rule: str
    n: int
    share: float


@dataclass(frozen=True, kw_only=True)
class DriftRow:
    """
    What has changed from a reference to this report: population stability index, Kolmogorov-Smirnov statistic, and p of that
    test, or of Fisher's exact test where shares of advisories are compared.
    """

    what: str
    n_reference: int
    n: int
    mean_reference: float
    mean: float
    psi: float
    ks: float
    p: float
    level: Level


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What has changed since the evaluation `reference` (its model, split and date in words)."""

    reference: str
    rows: list[DriftRow]


@dataclass(frozen=True, kw_only=True)
class Report:
    """
    Everything that a report says.

    Args:
        created: date and time (UTC, ISO 8601).
        subject: what was scored by what.
        sentences: the summary in three plain sentences.
        flags: all of them, red first.
        overall: plain means over prompts of the measures, with intervals.
        agreement: by prompt.
        raters: empty without two rater columns.
        traits: empty for a scorer without traits, or essays without human scores of them.
        fairness: empty without group columns.
        confidence: None where the scorer was not asked.
        robustness: empty where no attack was run.
        advisories: empty for a scorer without.
        drift: None without a reference.
        distributions: of scores and lengths, by prompt, for comparisons with later reports.
        limits: sentences: what was not measured, and why; what the figures do not say.
        packages: `package -> version`.
        command: the words of the command line.
    """

    format_version: int = FORMAT_VERSION
    created: str
    subject: Subject
    sentences: list[str]
    flags: list[Flag]
    overall: dict[str, Estimate]
    agreement: list[PromptAgreement]
    raters: list[RaterPair] = field(default_factory=list)
    traits: list[TraitAgreement] = field(default_factory=list)
    fairness: list[GroupColumn] = field(default_factory=list)
    confidence: Confidence | None = None
    robustness: list[AttackEffect] = field(default_factory=list)
    advisories: list[AdvisoryRow] = field(default_factory=list)
    drift: Drift | None = None
    distributions: list[Distribution] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    packages: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)


# Measures of agreement, by their names in `measures` and `overall`: as people call them, and the thresholds that they are
# held against are in flags.py. QWK, exact and adjacent agreement are of rounded scores; r, RMSE and SMD of scores that are
# not, as in RSMTool.
MEASURES: dict[str, str] = {
    "qwk": "QWK",
    "qwk_continuous": "QWK (continuous)",
    "exact": "exact agreement",
    "adjacent": "adjacent agreement",
    "pearson": "Pearson's r",
    "rmse": "RMSE",
    "smd": "SMD",
    "rater_qwk": "QWK of the raters",
    "degradation_qwk": "degradation of QWK",
    "degradation_pearson": "degradation of r",
    "disattenuated_pearson": "disattenuated r",
    "prmse": "PRMSE",
    "ceiling_qwk": "ceiling by label noise",
    "length_qwk": "QWK of length alone",
    "ridge_qwk": "QWK of ridge regression on words",
}
# Those that are of the essays with two ratings alone.
OF_ESSAYS_RATED_TWICE = ("rater_qwk", "degradation_qwk", "degradation_pearson", "disattenuated_pearson", "ceiling_qwk")
