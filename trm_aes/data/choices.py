"""How a user says which prompts, score ranges and shares a data set is to have, checked without the libraries that build it."""

import re

from ..bounds import check_bounds
from ..errors import InputError
from ..model.score_scale import ScoreRange

# Of the essays, for validation and for test.
DEFAULT_SHARE = 0.2
# Of one range of numbers in a prompt set.
MAX_PROMPT_NUMBERS = 1000


def parse_score_ranges(score_ranges: list[str], parameter: str = "score_ranges") -> dict[str | None, ScoreRange]:
    """
    Reads `["0:4", "7=0:30"]`: the range of prompt 7, and under `None` that of every other prompt.

    Args:
        score_ranges: as a user writes them.
        parameter: where they come from, for messages.

    Raises:
        InputError: for anything else, and for two ranges of one prompt.
    """
    ranges: dict[str | None, ScoreRange] = {}
    for text in score_ranges:
        match = re.fullmatch(r"(?:(?P<prompt>.+)=)?(?P<low>-?\d+):(?P<high>-?\d+)", text.strip())
        if match is None or not int(match["low"]) < int(match["high"]):
            raise InputError(
                f"`{parameter}` {text}: give LOWEST:HIGHEST or PROMPT=LOWEST:HIGHEST, as in 0:4 or 7=0:30."
            )
        if match["prompt"] in ranges:
            raise InputError(f"`{parameter}` {text}: there is another range of the same before.")
        ranges[match["prompt"]] = ScoreRange(int(match["low"]), int(match["high"]))
    return ranges


def expand_prompt_set(prompt_set: str) -> list[str]:
    """
    The ids that a prompt set other than `all` names, with ranges of numbers written out.

    Raises:
        InputError: if it names none, or a range goes down or holds more than 1,000 numbers.
    """
    wanted = []
    for part in (part.strip() for part in prompt_set.split(",")):
        match = re.fullmatch(r"([0-9]{1,18})-([0-9]{1,18})", part)
        wanted += _numbers(prompt_set, int(match[1]), int(match[2])) if match else [part]
    wanted = [prompt_id for prompt_id in wanted if prompt_id]
    if not wanted:
        raise InputError("`prompt_set` names no prompt: give 'all', or prompt ids between commas, as in 1-2 or 3-6,8.")
    return wanted


def _numbers(prompt_set: str, first: int, last: int) -> list[str]:
    if last < first:
        raise InputError(f"`prompt_set` {prompt_set}: the range {first}-{last} goes down. Give the lower number first.")
    if last - first >= MAX_PROMPT_NUMBERS:
        raise InputError(
            f"`prompt_set` {prompt_set}: the range {first}-{last} names more than {MAX_PROMPT_NUMBERS:,} prompts."
        )
    return [str(number) for number in range(first, last + 1)]


def check_shares(validation_share: float, test_share: float):
    """
    Checks the shares of the essays that validate (above 0) and that test (0 for no test split).

    Raises:
        InputError: if a share is out of its bounds, or they leave nothing to train on.
    """
    check_bounds({"validation_share": validation_share, "test_share": test_share})
    if validation_share + test_share >= 1:
        raise InputError("`validation_share` and `test_share` leave nothing to train on.")
