"""How a user names columns of traits and their scales, checked without the libraries that read them."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import read_json
from ..model.score_scale import ScoreRange
from .choices import RANGE, parse_score_ranges

# The scale of a trait's scores by prompt, and under None for every prompt that is not named. Where neither gives one, it is
# read off the scores.
TraitScales = Mapping[str | None, ScoreRange]


def parse_trait_columns(texts: Sequence[str]) -> dict[str, dict[str | None, ScoreRange]]:
    """
    Reads columns of traits and their scales, in the order in which they are named first.

    Args:
        texts: `["style", "organization=1:6", "organization=7=0:6:0.5"]`: the name of a column, and a scale of all prompts or
            of one, as [`parse_score_ranges`] reads it.

    Raises:
        InputError: for anything else, and where a trait has two scales for a prompt.
    """
    scales: dict[str, dict[str | None, ScoreRange]] = {}
    given: dict[str, list[str]] = {}
    for text in texts:
        name, has_scale, scale = text.strip().partition("=")
        if not name or (not has_scale and re.fullmatch(RANGE, name)):
            raise InputError("`columns.traits`: give COLUMN=LOWEST:HIGHEST, as in organization=1:6.")
        if not has_scale and name in given:
            raise InputError(f"`columns.traits` {name} is given twice.")
        given.setdefault(name, []).extend([scale] if has_scale else [])
    for name, ranges in given.items():
        try:
            scales[name] = parse_score_ranges(ranges, parameter="columns.traits")
        except InputError as error:
            raise InputError(f"{error} (trait {name!r})") from None
    return scales


def read_trait_scales(path: str | Path) -> dict[str, dict[str | None, ScoreRange]]:
    """
    Reads a JSON file of scales: `{"organization": [1, 6], "voice": {"8": [2, 12]}, "style": {}}`. Each trait has the scale
    of all prompts, or an object of scales by prompt, both as `[lowest, highest]` or `[lowest, highest, step]`.

    Raises:
        InputError: if it holds anything else.
    """
    content = read_json(Path(path))
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path} names no traits: it must be an object of scales, as in {{'organization': [1, 6]}}.")
    return {name: _scales_of(value, f"{path}, {name}") for name, value in content.items()}


def _scales_of(value: Any, where: str) -> dict[str | None, ScoreRange]:
    if isinstance(value, dict):
        return {prompt_id: _scale(scale, f"{where}, {prompt_id}") for prompt_id, scale in value.items()}
    return {None: _scale(value, where)}


def _scale(value: Any, where: str) -> ScoreRange:
    try:
        if not isinstance(value, list) or any(isinstance(number, (str, bool)) for number in value):
            raise ValueError("a scale is [lowest, highest] or [lowest, highest, step]")
        return ScoreRange.from_list(value)
    except ValueError as error:
        raise InputError(f"{where}: {json.dumps(value)[:60]}: {error}.") from None
