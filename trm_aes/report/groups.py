"""A report's section on fairness between groups of writers."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ..evaluation.bootstrap import Estimate, estimate, kappas, vary
from ..evaluation.fairness import (
    EMPTY,
    GroupTest,
    adjust,
    comparable_scores,
    group_measures,
    group_sizes,
    group_tests,
    named_groups,
)
from .essays import ReportEssays
from .record import GroupColumn, GroupRow

NO_SPREAD = "On no prompt do human and predicted scores both vary: fairness was not measured."


def fairness_section(essays: ReportEssays, columns: Sequence[str], least_n: int) -> list[GroupColumn]:
    """
    Fairness over the groups of each column.

    Args:
        essays: of the report.
        columns: that tell groups.
        least_n: essays that a group needs to be measured.
    """
    frame = comparable_scores(prompt.scores for prompt in essays.prompts)
    measured, tests = [], []
    for column in columns:
        of_column, of_tests = _measure_column(essays, frame, column, least_n)
        measured.append(of_column)
        tests.append(of_tests)
    return [
        replace(of_column, tests={name: vars(test).copy() for name, test in of_tests.items()})
        for of_column, of_tests in zip(measured, adjust(tests), strict=True)
    ]


def _measure_column(
    essays: ReportEssays, frame: pd.DataFrame | None, column: str, least_n: int
) -> tuple[GroupColumn, dict[str, GroupTest]]:
    groups = named_groups(essays.group_of(column))
    # Essays of prompts whose scores do not vary tell nothing of groups.
    is_comparable = np.ones(len(groups), dtype=bool) if frame is None else frame["difference"].notna().to_numpy()
    counts = dict.fromkeys(group_sizes(groups), 0) | group_sizes(groups[is_comparable])
    sizes = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    # Those who gave no group are compared with the others, and never the others with them.
    large = sorted((name for name, n in sizes.items() if n >= least_n), key=lambda name: name == EMPTY)
    left_out = {name: n for name, n in sizes.items() if n < least_n}
    empty = GroupColumn(column=column, least_n=least_n, groups=[], left_out=left_out, tests={})
    if frame is None:
        return replace(empty, note=NO_SPREAD), {}
    if len(large) < 2:
        found = f"{large[0]} alone has" if large else "none has"
        return replace(empty, note=f"Two groups of at least {least_n:,} essays are needed; {found} so many."), {}
    is_used = np.isin(groups.astype(str), large)
    tests = group_tests(frame[is_used], groups[is_used], large[0])
    times = np.hstack([prompt.times for prompt in essays.prompts])
    rows = [_group_row(essays, frame, times, groups == name, name, name == large[0]) for name in large]
    missing = [name for name in ("osa", "osd", "csd") if name not in tests]
    note = f"The essays do not allow these tests: {', '.join(missing).upper()}." if missing else None
    return replace(empty, groups=rows, note=note), tests


def _group_row(
    essays: ReportEssays,
    frame: pd.DataFrame,
    times: np.ndarray,
    is_member: np.ndarray,
    name: str,
    is_reference: bool,
) -> GroupRow:
    measures = group_measures(frame, is_member, times)
    return GroupRow(
        group=name,
        n=int((is_member & frame["difference"].notna().to_numpy()).sum()),
        is_reference=is_reference,
        smd=estimate(measures["smd"]),
        dsm=estimate(measures["dsm"]),
        qwk=_group_qwk(essays, is_member),
    )


def _group_qwk(essays: ReportEssays, is_member: np.ndarray) -> Estimate:
    """The mean of the group's QWK over prompts, each with the weight of its essays of the group."""
    starts = np.cumsum([0, *(len(prompt.frame) for prompt in essays.prompts)])
    samples, sizes = [], []
    for prompt, start in zip(essays.prompts, starts[:-1], strict=True):
        rows = is_member[start : start + len(prompt.frame)]
        gold, times = prompt.scores.gold[rows], prompt.times[:, rows]
        if np.unique(gold).size > 1:
            agreement = kappas(gold, prompt.scores.rounded[rows], times)
            samples.append(np.where(vary(gold, times), agreement, np.nan))
            sizes.append(len(gold))
    if not samples:
        return Estimate(value=None)
    return estimate(np.average(samples, axis=0, weights=sizes))
