"""What is known of a prompt apart from its essays (its text and its score range), and which prompts a prompt set names."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from ..model.configuration_trm import sort_prompt_ids
from ..model.score_scale import ScoreRange
from ..naming import MAX_LISTED, is_same_name, listing
from .cells import id_in_words, is_blank, is_missing, parse_score_range
from .choices import expand_prompt_set
from .formats import AS_FOUND, TableReading
from .tables import read_rows

PROMPT_COLUMNS = ("prompt_id", "essay_set", "prompt")
# Where texts and scales come from that the option `prompts` gives.
TABLE_OF_PROMPTS = "table of prompts"


@dataclass(frozen=True)
class PromptInfo:
    """A prompt's task text and score range; either may be unknown."""

    text: str = ""
    score_range: ScoreRange | None = None


def read_prompt_infos(path: str | Path, reading: TableReading = AS_FOUND) -> dict[str, PromptInfo]:
    """
    Reads a table with the columns `prompt_id` (or ASAP's `essay_set`), `prompt` and, where ranges are known,
    `min_score`, `max_score` and, where it is not 1, `score_step`.

    Returns:
        `prompt_id -> PromptInfo`.

    Raises:
        InputError: if a column is missing, a prompt has two rows, or a score is no number or a range none.
    """
    prompt_infos: dict[str, PromptInfo] = {}
    for number, row in enumerate(read_rows(path, reading, PROMPT_COLUMNS), start=1):
        name = "essay_set" if "essay_set" in row and "prompt_id" not in row else "prompt_id"
        for column in (name, "prompt"):
            if column not in row:
                raise InputError(f"{path} has no column {column!r}; it has {listing(row, column)}")
        if is_blank(row[name]):
            raise InputError(f"{path}, row {number}, column {name!r}: there is no id.")
        prompt_id = id_in_words(row[name]).strip()
        if prompt_id in prompt_infos:
            raise InputError(f"{path}, row {number}: prompt {prompt_id!r} is listed twice.")
        score_range = parse_score_range(row, number, str(path))
        prompt_infos[prompt_id] = PromptInfo(
            "" if is_missing(row["prompt"]) else id_in_words(row["prompt"]).strip(), score_range
        )
    if not prompt_infos:
        raise InputError(f"{path} holds no prompts.")
    return prompt_infos


@dataclass(frozen=True)
class KnownPrompts:
    """
    What is known of the prompts apart from their essays.

    Args:
        infos: texts and ranges by prompt id, for what the source itself lacks.
        ranges: score ranges by prompt id, and under None for every other prompt. They win over all others.
        only_id: the prompt that all essays answer, whatever the source says.
        observe: whether the lowest and highest score make the range of a prompt where none is known. A few essays need
            not hold either.
        infos_from: where `infos` come from, in words for people.
    """

    infos: Mapping[str, PromptInfo] = field(default_factory=dict)
    ranges: Mapping[str | None, ScoreRange] = field(default_factory=dict)
    only_id: str | None = None
    observe: bool = True
    infos_from: str = TABLE_OF_PROMPTS


def check_prompt_infos(infos: Mapping[str, PromptInfo], prompt_ids: Collection[str], source: str):
    """
    Checks that what is told of prompts is told of prompts that there are. A table may hold more prompts than a source.

    Raises:
        InputError: if none of them is in the source, or one of the source's is meant and written otherwise (`01`, `1.0`).
    """
    if infos and not set(infos) & set(prompt_ids):
        raise InputError(
            f"`prompts` has no prompt of {source}, which has {', '.join(sort_prompt_ids(prompt_ids)[:MAX_LISTED])}; it has "
            f"{listing(infos, sort_prompt_ids(prompt_ids)[0])}"
        )
    for prompt_id in prompt_ids:
        if prompt_id not in infos:
            for name in infos:
                if name not in prompt_ids and is_same_name(name, prompt_id):
                    raise InputError(
                        f"`prompts` has a prompt {name!r} where {source} has {prompt_id!r}: write them alike."
                    )


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
            f"`prompt_set` {prompt_set}: there is no prompt {missing[0]!r}; there are {listing(available, missing[0])}"
        )
    return sort_prompt_ids(wanted)
