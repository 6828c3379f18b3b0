"""What is known of a prompt apart from its essays: its text and its score range."""

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..model.score_scale import ScoreRange
from .schema import parse_score, sort_prompt_ids
from .tables import read_rows


@dataclass(frozen=True)
class PromptInfo:
    """A prompt's task text and score range; either may be unknown."""

    text: str = ""
    score_range: ScoreRange | None = None


def read_prompts(path: str | Path, encoding: str = "utf-8") -> dict[str, PromptInfo]:
    """
    Reads a table with the columns `prompt_id` (or ASAP's `essay_set`), `prompt` and, if you like, `min_score` and
    `max_score`.

    Raises:
        InputError: if a column is missing, a prompt stands there twice, or a range is no range.
    """
    prompts: dict[str, PromptInfo] = {}
    for number, row in enumerate(read_rows(path, encoding), start=1):
        name = "prompt_id" if "prompt_id" in row else "essay_set"
        for column in (name, "prompt"):
            if column not in row:
                raise InputError(f"{path} has no column {column!r}; it has {', '.join(row)}.")
        prompt_id = str(row[name]).strip()
        if prompt_id in prompts:
            raise InputError(f"{path}, row {number}: prompt {prompt_id!r} stands there twice.")
        score_range = None
        if "min_score" in row and "max_score" in row:
            score_range = ScoreRange(
                parse_score(row["min_score"], number, str(path), "min_score"),
                parse_score(row["max_score"], number, str(path), "max_score"),
            )
        prompts[prompt_id] = PromptInfo(str(row["prompt"] or "").strip(), score_range)
    if not prompts:
        raise InputError(f"{path} holds no prompts.")
    return prompts


def parse_score_ranges(texts: list[str]) -> dict[str | None, ScoreRange]:
    """
    `["0:4", "7=0:30"]` to ranges: by prompt, and under `None` for every other prompt.

    Raises:
        InputError: for anything else.
    """
    ranges: dict[str | None, ScoreRange] = {}
    for text in texts:
        match = re.fullmatch(r"(?:(?P<prompt>.+)=)?(?P<low>-?\d+):(?P<high>-?\d+)", text.strip())
        if match is None or not int(match["low"]) < int(match["high"]):
            raise InputError(
                f"--score-range {text}: give LOWEST:HIGHEST or PROMPT=LOWEST:HIGHEST, as in 0:4 or 7=0:30."
            )
        ranges[match["prompt"]] = ScoreRange(int(match["low"]), int(match["high"]))
    return ranges


def select_prompts(prompt_set: str, available: list[str]) -> list[str]:
    """
    Prompt ids that a `--prompt-set` names: `all`, or ids and ranges of numbers between commas (`1-2`, `3-6,8`).

    Raises:
        InputError: if it names a prompt that is not there.
    """
    if prompt_set == "all":
        return available
    wanted = expand_prompt_set(prompt_set)
    missing = [prompt_id for prompt_id in wanted if prompt_id not in available]
    if missing:
        raise InputError(
            f"--prompt-set {prompt_set}: there is no prompt {missing[0]!r}; there are {', '.join(available)}."
        )
    return sort_prompt_ids(wanted)


def expand_prompt_set(prompt_set: str) -> list[str]:
    """The ids that a `--prompt-set` other than `all` names, with ranges of numbers written out."""
    wanted = []
    for part in (part.strip() for part in prompt_set.split(",")):
        match = re.fullmatch(r"(\d+)-(\d+)", part)
        wanted += [str(number) for number in range(int(match[1]), int(match[2]) + 1)] if match else [part]
    return [prompt_id for prompt_id in wanted if prompt_id]
