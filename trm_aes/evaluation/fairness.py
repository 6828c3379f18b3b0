"""
Fairness between groups of writers: whether a scorer errs more, or more to one side, for some groups than for others.

Scores of different prompts are put on one scale first: in standard deviations of the prompt's human scores. On one prompt all
figures are RSMTool's.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.multitest import multipletests

from .bootstrap import means
from .measures import PromptScores

EMPTY = "(empty)"
LEAST_N = 100
TESTS = ("osa", "osd", "csd")


@dataclass(frozen=True)
class GroupTest:
    """
    How much of the scorer's error a group column explains.

    Args:
        r2: adjusted R^2; for `csd` what the groups add to it.
        p: that groups as they are, or further apart, come of chance.
        p_adjusted: the same over all tests that are made together (Holm 1979).
    """

    r2: float
    p: float
    p_adjusted: float


def comparable_scores(prompts: Iterable[PromptScores]) -> pd.DataFrame | None:
    """
    The essays of all prompts with scores that can be compared, one prompt after the other; None where no prompt's human and
    predicted scores both vary.

    Returns:
        `level`: prompt and human score; `error`: predicted less human score in standard deviations (ddof 1) of the prompt's
        human scores; `difference`: predicted less human score, each standardized on its own over the prompt. NaN for essays
        of prompts whose scores do not vary.
    """
    parts = []
    for place, scores in enumerate(prompts):
        spread, own = (_deviation(values) for values in (scores.gold, scores.predicted))
        predicted_z = (scores.predicted - scores.predicted.mean()) / own
        human_z = (scores.gold - scores.gold.mean()) / spread
        parts.append(
            pd.DataFrame(
                {
                    "level": [f"{place}:{score:g}" for score in scores.gold],
                    "error": scores.errors / spread,
                    "difference": predicted_z - human_z,
                }
            )
        )
    frame = pd.concat(parts, ignore_index=True)
    return frame if frame["difference"].notna().any() else None


def _deviation(values: np.ndarray) -> float:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return deviation if deviation > 0 else float("nan")


def named_groups(values: Iterable[object]) -> np.ndarray:
    """The groups of essays as text, `(essays,)`; a missing or blank cell is the group `(empty)`."""
    texts = ["" if value is None or value != value else str(value).strip() for value in values]
    return np.array([text or EMPTY for text in texts], dtype=object)


def group_sizes(groups: np.ndarray) -> dict[str, int]:
    """`group -> essays`, the largest first; of equals the first in the alphabet."""
    names, counts = np.unique(groups.astype(str), return_counts=True)
    order = sorted(zip(names.tolist(), counts.tolist(), strict=True), key=lambda item: (-item[1], item[0]))
    return dict(order)


def group_measures(frame: pd.DataFrame, is_member: np.ndarray, times: np.ndarray) -> dict[str, np.ndarray]:
    """
    `smd` and `dsm` of a group: the means of its errors, and of its differences of standardized scores, see
    [`comparable_scores`]. What scores are standardized by is not drawn again.

    Args:
        frame: of all essays.
        is_member: which of them belong to the group, `(essays,)` of bool.
        times: as of [`bootstrap`], of all essays.
    """
    is_used = is_member & frame["difference"].notna().to_numpy()
    of_group, drawn = frame[is_used], times[:, is_used]
    return {
        "smd": means(of_group["error"].to_numpy(), drawn),
        "dsm": means(of_group["difference"].to_numpy(), drawn),
    }


def group_tests(frame: pd.DataFrame, groups: np.ndarray, reference: str) -> dict[str, GroupTest]:
    """
    The three regressions of Loukina, Madnani and Zechner 2019 (https://aclanthology.org/W19-4401), by ordinary least squares:
    overall score accuracy `osa` (squared error by group), overall score difference `osd` (error by group), conditional score
    difference `csd` (what groups add to the human score in explaining the error).

    Args:
        frame: of [`comparable_scores`], of the essays of the groups that are compared.
        groups: of these essays.
        reference: the group that the others are held against.

    Returns:
        `test -> result`, with `p_adjusted` still that of the test alone (see [`adjust`]); without tests that the essays do
        not allow: fewer than two groups, errors that are all alike, a level of score for each essay.
    """
    used = frame.assign(group=groups)[frame["error"].notna().to_numpy()]
    names = [reference, *sorted(set(used["group"]) - {reference})]
    if used["group"].nunique() < 2:
        return {}
    used = used.assign(
        group=pd.Categorical(used["group"], names), level=pd.Categorical(used["level"]), squared=used["error"] ** 2
    )
    with warnings.catch_warnings():
        # Of essays that do not allow a test, whose result is left out below.
        warnings.simplefilter("ignore")
        accuracy, difference = (smf.ols(f"{error} ~ group", used).fit() for error in ("squared", "error"))
        by_level = (
            smf.ols("error ~ level", used).fit() if used["level"].nunique() > 1 else smf.ols("error ~ 1", used).fit()
        )
        formula = "error ~ group + level" if used["level"].nunique() > 1 else "error ~ group"
        conditional = smf.ols(formula, used).fit()
        added = conditional.rsquared_adj - by_level.rsquared_adj
        results = {
            "osa": (accuracy.rsquared_adj, accuracy.f_pvalue),
            "osd": (difference.rsquared_adj, difference.f_pvalue),
            "csd": (added, anova_lm(by_level, conditional)["Pr(>F)"].iloc[1]),
        }
    return {
        name: GroupTest(float(r2), float(p), float(p))
        for name, (r2, p) in results.items()
        if np.isfinite(r2) and np.isfinite(p)
    }


def adjust(tests: Sequence[Mapping[str, GroupTest]]) -> list[dict[str, GroupTest]]:
    """The tests of several columns with `p_adjusted` over all of them together, by Holm's method."""
    places = [(number, name) for number, of_column in enumerate(tests) for name in of_column]
    adjusted: list[dict[str, GroupTest]] = [dict(of_column) for of_column in tests]
    if not places:
        return adjusted
    together = multipletests([tests[number][name].p for number, name in places], method="holm")[1]
    for (number, name), p in zip(places, together, strict=True):
        adjusted[number][name] = replace(tests[number][name], p_adjusted=float(p))
    return adjusted
