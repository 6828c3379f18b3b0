"""How a user says which prompts, score ranges and shares a data set is to have, checked without the libraries that build it."""

import re

from ..errors import InputError
from ..model.score_scale import ScoreRange


def parse_score_ranges(score_ranges: list[str]) -> dict[str | None, ScoreRange]:
    """
    Reads `["0:4", "7=0:30"]`: the range of prompt 7, and under `None` that of every other prompt.

    Raises:
        InputError: for anything else.
    """
    ranges: dict[str | None, ScoreRange] = {}
    for text in score_ranges:
        match = re.fullmatch(r"(?:(?P<prompt>.+)=)?(?P<low>-?\d+):(?P<high>-?\d+)", text.strip())
        if match is None or not int(match["low"]) < int(match["high"]):
            raise InputError(
                f"`score_ranges` {text}: give LOWEST:HIGHEST or PROMPT=LOWEST:HIGHEST, as in 0:4 or 7=0:30."
            )
        ranges[match["prompt"]] = ScoreRange(int(match["low"]), int(match["high"]))
    return ranges


def expand_prompt_set(prompt_set: str) -> list[str]:
    """The ids that a prompt set other than `all` names, with ranges of numbers written out."""
    wanted = []
    for part in (part.strip() for part in prompt_set.split(",")):
        match = re.fullmatch(r"(\d+)-(\d+)", part)
        wanted += [str(number) for number in range(int(match[1]), int(match[2]) + 1)] if match else [part]
    return [prompt_id for prompt_id in wanted if prompt_id]


def check_shares(validation_share: float, test_share: float):
    """
    Checks the shares (0-1) of the essays that validate and that test.

    Raises:
        InputError: if a share is not between 0 and 1, or they leave nothing to train on.
    """
    for name, share in (("validation_share", validation_share), ("test_share", test_share)):
        if not 0 < share < 1:
            raise InputError(f"`{name}` must lie between 0 and 1, got {share:g}.")
    if validation_share + test_share >= 1:
        raise InputError("`validation_share` and `test_share` leave nothing to train on.")
