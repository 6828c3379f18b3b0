"""What is known of a prompt apart from its essays (its text and its score range), and which prompts a prompt set names."""

from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..model.configuration_trm import sort_prompt_ids
from ..model.score_scale import ScoreRange
from .choices import expand_prompt_set
from .formats import AS_FOUND, TableReading
from .schema import parse_score
from .tables import read_rows

PROMPT_COLUMNS = ("prompt_id", "essay_set", "prompt")


@dataclass(frozen=True)
class PromptInfo:
    """A prompt's task text and score range; either may be unknown."""

    text: str = ""
    score_range: ScoreRange | None = None


def read_prompt_infos(path: str | Path, reading: TableReading = AS_FOUND) -> dict[str, PromptInfo]:
    """
    Reads a table with the columns `prompt_id` (or ASAP's `essay_set`), `prompt` and, where ranges are known,
    `min_score` and `max_score`.

    Returns:
        `prompt_id -> PromptInfo`.

    Raises:
        InputError: if a column is missing, a prompt has two rows, or a score is no number.
    """
    prompt_infos: dict[str, PromptInfo] = {}
    for number, row in enumerate(read_rows(path, reading, PROMPT_COLUMNS), start=1):
        name = "prompt_id" if "prompt_id" in row else "essay_set"
        for column in (name, "prompt"):
            if column not in row:
                raise InputError(f"{path} has no column {column!r}; it has {', '.join(row)}.")
        prompt_id = str(row[name]).strip()
        if prompt_id in prompt_infos:
            raise InputError(f"{path}, row {number}: prompt {prompt_id!r} is listed twice.")
        score_range = None
        if "min_score" in row and "max_score" in row:
            score_range = ScoreRange(
                parse_score(row["min_score"], number, str(path), "min_score"),
                parse_score(row["max_score"], number, str(path), "max_score"),
            )
        prompt_infos[prompt_id] = PromptInfo(str(row["prompt"] or "").strip(), score_range)
    if not prompt_infos:
        raise InputError(f"{path} holds no prompts.")
    return prompt_infos


def select_prompt_ids(prompt_set: str, available: list[str]) -> list[str]:
    """
    Finds the prompt ids that a prompt set names: `all`, or ids and ranges of numbers between commas (`1-2`, `3-6,8`).

    Raises:
        InputError: if it names a prompt that is not among the `available`.
    """
    if prompt_set == "all":
        return available
    wanted = expand_prompt_set(prompt_set)
    missing = [prompt_id for prompt_id in wanted if prompt_id not in available]
    if missing:
        raise InputError(
            f"`prompt_set` {prompt_set}: there is no prompt {missing[0]!r}; there are {', '.join(available)}."
        )
    return sort_prompt_ids(wanted)
