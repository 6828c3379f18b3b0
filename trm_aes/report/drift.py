"""A report's section on drift: what is distributed otherwise than in an earlier administration."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import fisher_exact, ks_2samp

from ..errors import InputError
from ..files import read_json
from ..records import EVALUATION_NAME, FORMAT_VERSION, Distribution, EvaluationRecord
from ..typed_json import read_record
from . import record
from .flags import OF_ADVISORY, advisory_level, drift_level
from .record import AdvisoryRow, Drift, DriftRow, Report

MAX_BINS = 10
# Of the smaller administration. With 20 essays a bin and no drift at all, the PSI is expected to be below 0.1, its first
# threshold: (bins - 1) (1 / n + 1 / m), Yurdakul 2018.
LEAST_IN_BIN = 20


class Reference:
    """
    An earlier administration.

    Args:
        path: of its `report.json` or `evaluation.json`.

    Raises:
        InputError: if it is neither, or holds no distributions.
    """

    def __init__(self, path: str | Path):
        path = Path(path)
        content = read_json(path)
        if isinstance(content, dict) and "subject" in content:
            report = read_record(Report, path, "trm-aes report", record.FORMAT_VERSION)
            model, split, created = report.subject.model, report.subject.split, report.created
            self.distributions, self.advisories = report.distributions, report.advisories
        else:
            evaluation = read_record(EvaluationRecord, path, "trm-aes evaluate", FORMAT_VERSION)
            model, split, created = evaluation.model, evaluation.split, evaluation.created
            self.distributions, self.advisories = evaluation.distributions, []
        if not self.distributions:
            raise InputError(
                f"{path} holds no distributions of scores and lengths: an earlier version wrote it. Run `trm-aes evaluate` again, "
                f"and give its {EVALUATION_NAME}."
            )
        self.name = ", ".join(part for part in (model, f"split {split}", created[:10]) if part)


def drift_section(
    reference: Reference, distributions: Sequence[Distribution], advisories: Sequence[AdvisoryRow], num_essays: int
) -> tuple[Drift, list[str]]:
    """
    What has changed since a reference, of prompts and advisories that both have, and sentences on what was not compared.

    Args:
        reference: the earlier administration.
        distributions, advisories: of this one.
        num_essays: of this one.
    """
    earlier = {(item.prompt_id, item.what): _values(item) for item in reference.distributions}
    pairs = [
        (f"prompt {item.prompt_id}: {item.what}", earlier.get((item.prompt_id, item.what)), _values(item))
        for item in distributions
    ]
    earlier_num = sum(sum(item.counts) for item in reference.distributions if item.what == distributions[0].what)
    given = {item.name: _given(item.n, earlier_num) for item in reference.advisories}
    pairs += [(f"{OF_ADVISORY}{item.name}", given.get(item.name), _given(item.n, num_essays)) for item in advisories]
    rows = {what: None if before is None else _drift_row(what, before, now) for what, before, now in pairs}
    skipped = [what for what, row in rows.items() if row is None]
    drift = Drift(reference=reference.name, rows=[row for row in rows.values() if row is not None])
    if not skipped:
        return drift, []
    reason = f"the reference lacks them, or one of the two has fewer than {2 * LEAST_IN_BIN} essays"
    return drift, [f"Not compared with the reference, for {reason}: {', '.join(skipped)}."]


def _values(item: Distribution) -> np.ndarray:
    return np.repeat(np.array(item.values, dtype=float), item.counts)


def _given(number: int, num_essays: int) -> np.ndarray:
    """1 for each essay that got an advisory, 0 for the others."""
    return np.repeat([1.0, 0.0], [number, num_essays - number])


def _drift_row(what: str, before: np.ndarray, now: np.ndarray) -> DriftRow | None:
    """None for administrations that are too small to compare."""
    bins = min(MAX_BINS, len(before) // LEAST_IN_BIN, len(now) // LEAST_IN_BIN)
    if bins < 2:
        return None
    psi, test = population_stability(before, now, bins), ks_2samp(before, now)
    p = float(test.pvalue)
    level = drift_level(psi, p)
    if what.startswith(OF_ADVISORY):
        # Of zeros and ones, among which the test of Kolmogorov and Smirnov finds hardly anything.
        p = float(fisher_exact([[values.sum(), (1 - values).sum()] for values in (before, now)]).pvalue)
        level = advisory_level(float(before.mean()), float(now.mean()), psi, p)
    return DriftRow(
        what=what,
        n_reference=len(before),
        n=len(now),
        mean_reference=float(before.mean()),
        mean=float(now.mean()),
        psi=psi,
        ks=float(test.statistic),
        p=p,
        level=level,
    )


def population_stability(before: np.ndarray, now: np.ndarray, bins: int) -> float:
    """
    Population stability index: the sum over bins of `(q - p) ln(q / p)`, p and q being the shares of both administrations.
    Bins are those of the quantiles of the two together. A bin that is empty on one side counts as half an essay there, for the
    logarithm's sake.

    Args:
        before, now: values of the essays of both.
        bins: at most so many; equal values share one.
    """
    together = np.concatenate([before, now])
    edges = np.unique(np.quantile(together, np.linspace(0, 1, bins + 1)[1:-1], method="lower"))
    counts = [
        np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1) for values in (before, now)
    ]
    is_used = counts[0] + counts[1] > 0
    p, q = (
        np.maximum(of_one, 0.5)[is_used] / len(values) for of_one, values in zip(counts, (before, now), strict=True)
    )
    return float(np.sum((q - p) * np.log(q / p)))
