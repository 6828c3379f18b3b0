"""What was taken for what, and where it came from: what people are told of a source before anything is written of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..model.score_scale import ScoreRange


@dataclass(frozen=True)
class Provenance:
    """
    Where the parts of a table of essays came from, in words for people.

    Args:
        columns: what was read -> where it was taken from (`essay` -> `column 'text'`).
        ranges: `prompt_id -> where its score range came from`.
        texts: `prompt_id -> where its text came from`.
        trait_ranges: `trait -> prompt_id -> where the scale of its scores came from`.
        notes: sentences on what was not read, or left out.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    trait_ranges: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ValueColumns:
    """
    Columns of a table of essays that hold values beside the score.

    Args:
        raters: of raters' own scores (numbers, or NaN).
        traits: columns of scores of one trait each (numbers, or NaN): `column -> prompt_id -> scale`, for the prompts that
            have the trait.
        groups: of groups of writers (text).
    """

    raters: tuple[str, ...] = ()
    traits: Mapping[str, Mapping[str, ScoreRange]] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
