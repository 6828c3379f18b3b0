"""Records as they are published: paths on someone's machine hold the names of people and of what they work on."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..files import read_json
from ..report.record import Report
from ..scoring.scorer import without_origin

# The parts of run.json and evaluation.json in which a path may stand. All else is figures, and the model's configuration,
# which is published beside them.
WITH_PATHS = ("command", "run", "training", "data", "embeddings", "encoder", "best_checkpoint", "adaptations", "model")
HUB_ID_KEYS = ("hub_id", "hub_model_id")
# How a source on the Hub is recorded.
HUB_PREFIX = "Hub: "


def published_record(path: Path) -> bytes:
    """
    A record of ours as JSON in which every path is its last name alone. Ids on the Hub, which look like paths, stay where
    the record itself says that they are such.

    Args:
        path: of `run.json` or `evaluation.json`.

    Raises:
        InputError: if the file cannot be read.
    """
    content = read_json(path)
    hub_ids = set(_hub_ids(content))
    shown = {key: _published(key, value, hub_ids) for key, value in content.items()}
    if "adaptations" in content:
        # What is said of their prompts has no paths, and labels of a scale may have slashes.
        shown["adaptations"] = [
            {**short, "prompts": whole["prompts"]} if "prompts" in whole else short
            for short, whole in zip(shown["adaptations"], content["adaptations"], strict=True)
        ]
    return _as_json(shown)


def published_configuration(path: Path) -> bytes:
    """
    A model's `config.json` without the folders that it, or the encoder's within it, was read from: earlier versions wrote them.

    Raises:
        InputError: if the file cannot be read.
    """
    return _as_json(without_origin(read_json(path)))


def _as_json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def published_report(report: Report) -> Report:
    """
    A report in which every path is its last name alone, groups that were too small to be measured have no names, which may be
    those of single people, and essays' scores are in the order of their size: in that of the data, who has the list of the
    pupils could read theirs. A scorer that has a commit is one of the Hub, and keeps its id.
    """
    subject, drift = report.subject, report.drift
    hub_ids = {subject.model} if subject.commit else set()
    return replace(
        report,
        subject=replace(
            subject, model=_without_paths(subject.model, hub_ids), data=_without_paths(subject.data, hub_ids)
        ),
        agreement=[replace(prompt, scatter=sorted(prompt.scatter)) for prompt in report.agreement],
        fairness=[replace(column, left_out=_without_names(column.left_out)) for column in report.fairness],
        drift=drift and replace(drift, reference=_without_paths(drift.reference, hub_ids)),
        command=_without_paths(report.command, hub_ids),
    )


def _without_names(left_out: dict[str, int]) -> dict[str, int]:
    """Small groups together, under their number."""
    return {f"{len(left_out)} groups in all": sum(left_out.values())} if left_out else {}


def _published(key: str, value: Any, hub_ids: set[str]) -> Any:
    if _is_configuration(key, value):
        return without_origin(value)
    return _without_paths(value, hub_ids) if key in WITH_PATHS else value


def _is_configuration(key: str, value: Any) -> bool:
    """In run.json `model` is the configuration, whose prompts' texts may hold slashes; in evaluation.json it is a name."""
    return key == "model" and isinstance(value, dict)


def _hub_ids(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        for key, value in content.items():
            if key in HUB_ID_KEYS and isinstance(value, str):
                yield value
            yield from _hub_ids(value)
    elif isinstance(content, list):
        for value in content:
            yield from _hub_ids(value)


def _without_paths(content: Any, hub_ids: set[str]) -> Any:
    if isinstance(content, dict):
        return {key: _without_paths(value, hub_ids) for key, value in content.items()}
    if isinstance(content, list):
        return [_without_paths(value, hub_ids) for value in content]
    if not isinstance(content, str) or content in hub_ids or content.startswith(HUB_PREFIX):
        return content
    # `--data=/home/…/essays` keeps the name of the option.
    option = re.match(r"--[\w-]+=", content)
    start = option[0] if option else ""
    path = content[len(start) :]
    return start + (path if path in hub_ids else re.split(r"[/\\]", path.rstrip("/\\"))[-1])
