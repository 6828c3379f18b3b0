"""The sections of a report as flat tables, one row a figure or a thing measured."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from ..data.tables import write_rows
from ..evaluation.bootstrap import Estimate
from .record import MEASURES, OF_ESSAYS_RATED_TWICE, Report


def report_tables(report: Report) -> dict[str, list[dict[str, Any]]]:
    """
    `name -> rows` of the tables that are not empty. An [`Estimate`] becomes three columns: `NAME`, `NAME_low` and `NAME_high`.
    """
    tables = {
        "flags": [_flat(flag) for flag in report.flags],
        "agreement": [*_measure_rows("all prompts", report.subject.n, report.overall), *_agreement_rows(report)],
        "confusion": _confusion_rows(report),
        "errors_by_score": _error_rows(report, "by_level"),
        "errors_by_length": _error_rows(report, "by_length"),
        "raters": [_flat(pair) for pair in report.raters],
        "traits": [_flat(trait) for trait in report.traits],
        "groups": [{"column": column.column, **_flat(row)} for column in report.fairness for row in column.groups],
        "group_tests": [
            {"column": column.column, "test": name, **result}
            for column in report.fairness
            for name, result in column.tests.items()
        ],
        "robustness": [_flat(attack) for attack in report.robustness],
        "advisories": [_flat(advisory) for advisory in report.advisories],
        "drift": [_flat(row) for row in report.drift.rows] if report.drift else [],
        **_confidence_tables(report),
    }
    return {name: rows for name, rows in tables.items() if rows}


def write_tables(report: Report, folder: Path):
    """
    Writes each table of a report as `NAME.csv` into a folder. Groups and prompts are called as in the data, so that cells which
    a spreadsheet could take for a formula get an apostrophe before them.
    """
    for name, rows in report_tables(report).items():
        path = folder / f"{name}.csv"
        write_rows(rows, path, path.name, safe_for_spreadsheets=True)


def _confidence_tables(report: Report) -> dict[str, list[dict[str, Any]]]:
    confidence = report.confidence
    if confidence is None:
        return {}
    calibration = {name: getattr(confidence, name) for name in ("ece", "brier", "log_loss")}
    return {
        "calibration": [{"measure": name, **_figure("value", figure)} for name, figure in calibration.items()],
        "reliability": [_flat(row) for row in confidence.reliability],
        "prediction_sets": [_flat(row) for row in confidence.sets],
        "review": [{"route": route.name, **_flat(point)} for route in confidence.routes for point in route.points],
        "review_targets": [
            {"measure": goal.measure, "target": goal.target, "route": route, "share_read": share}
            for goal in confidence.targets
            for route, share in goal.share_read.items()
        ],
    }


def _agreement_rows(report: Report) -> Iterable[dict[str, Any]]:
    for prompt in report.agreement:
        for name, figure in prompt.measures.items():
            n = prompt.num_rated_twice if name in OF_ESSAYS_RATED_TWICE else None
            yield from _measure_rows(f"prompt {prompt.prompt_id}", n or prompt.n, {name: figure})


def _measure_rows(where: str, n: int, measures: Mapping[str, Estimate]) -> list[dict[str, Any]]:
    return [
        {"where": where, "n": n, "measure": MEASURES[name], **_figure("value", figure)}
        for name, figure in measures.items()
    ]


def _confusion_rows(report: Report) -> list[dict[str, Any]]:
    return [
        {"prompt_id": prompt.prompt_id, "human_score": human, "predicted_score": predicted, "n": n}
        for prompt in report.agreement
        for human, row in zip(prompt.labels, prompt.confusion, strict=True)
        for predicted, n in zip(prompt.labels, row, strict=True)
        if n
    ]


def _error_rows(report: Report, section: str) -> list[dict[str, Any]]:
    return [
        {"prompt_id": prompt.prompt_id, **_flat(row)} for prompt in report.agreement for row in getattr(prompt, section)
    ]


def _flat(item: Any) -> dict[str, Any]:
    """A dataclass as one row."""
    row: dict[str, Any] = {}
    for part in fields(item):
        value = getattr(item, part.name)
        row.update(_figure(part.name, value) if is_dataclass(value) else {part.name: value})
    return row


def _figure(name: str, figure: Any) -> dict[str, Any]:
    return {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
