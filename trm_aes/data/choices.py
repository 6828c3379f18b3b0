"""How a user says which prompts, score ranges and shares a data set is to have, checked without the libraries that build it."""

import re
from collections.abc import Sequence

from ..bounds import check_bounds
from ..errors import InputError
from ..model.score_scale import ScoreRange

# Of the essays, for validation and for test.
DEFAULT_SHARE = 0.2
# Of one range of numbers in a prompt set.
MAX_PROMPT_NUMBERS = 1000
NUMBER = r"-?[0-9]+(?:\.[0-9]+)?"
RANGE = rf"(?:(?P<prompt>.+)=)?(?P<low>{NUMBER}):(?P<high>{NUMBER})(?::(?P<step>{NUMBER}))?"


def parse_score_ranges(
    score_ranges: Sequence[str], score_labels: Sequence[str] = (), parameter: str = "score_ranges"
) -> dict[str | None, ScoreRange]:
    """
    Reads scales: that of every prompt that is not named stands under `None`.

    Args:
        score_ranges: `["0:4", "7=0:30", "8=1:5:0.5"]`, the last by steps of half a point.
        score_labels: `["9=A1,A2,B1"]`, the lowest first.
        parameter: where the ranges come from, for messages.

    Raises:
        InputError: for anything else, and where a prompt has two scales.
    """
    ranges: dict[str | None, ScoreRange] = {}

    def add(prompt: str | None, score_range: ScoreRange, option: str):
        if prompt in ranges:
            whose = "every prompt" if prompt is None else f"prompt {prompt!r}"
            raise InputError(f"`{option}`: the scale of {whose} is given twice.")
        ranges[prompt] = score_range

    for text in score_ranges:
        match = re.fullmatch(RANGE, text.strip())
        try:
            if match is None:
                raise ValueError("this is no range")
            score_range = ScoreRange.from_list([float(match[name]) for name in ("low", "high", "step") if match[name]])
        except ValueError as error:
            raise InputError(
                f"`{parameter}` {text}: give LOWEST:HIGHEST or PROMPT=LOWEST:HIGHEST, and :STEP where it is not 1, as in 0:4, "
                f"7=0:30 or 1:5:0.5 ({error})."
            ) from None
        add(match["prompt"], score_range, parameter)
    for text in score_labels:
        prompt, named, labels = text.rpartition("=")
        try:
            score_range = ScoreRange.of_labels(labels.split(","))
        except ValueError as error:
            raise InputError(
                f"`score_labels` {text}: give labels from the lowest to the highest, as in A1,A2,B1 or 7=F,D,C,B,A ({error})."
            ) from None
        add(prompt if named else None, score_range, "score_labels")
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
