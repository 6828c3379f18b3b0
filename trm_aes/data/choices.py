"""How a user says which prompts, score ranges and shares a data set is to have, checked without the libraries that build it."""

import re
from collections.abc import Sequence

from ..errors import InputError
from ..model.score_scale import ScoreRange

NUMBER = r"-?[0-9]+(?:\.[0-9]+)?"
RANGE = rf"(?:(?P<prompt>.+)=)?(?P<low>{NUMBER}):(?P<high>{NUMBER})(?::(?P<step>{NUMBER}))?"


def parse_score_ranges(score_ranges: Sequence[str], score_labels: Sequence[str] = ()) -> dict[str | None, ScoreRange]:
    """
    Reads scales: that of every prompt that is not named stands under `None`.

    Args:
        score_ranges: `["0:4", "7=0:30", "8=1:5:0.5"]`, the last by steps of half a point.
        score_labels: `["9=A1,A2,B1"]`, the lowest first.

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
                f"`score_ranges` {text}: give LOWEST:HIGHEST or PROMPT=LOWEST:HIGHEST, and :STEP where it is not 1, as in 0:4, "
                f"7=0:30 or 1:5:0.5 ({error})."
            ) from None
        add(match["prompt"], score_range, "score_ranges")
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
