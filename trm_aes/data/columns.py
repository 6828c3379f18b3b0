"""Which columns of a table of scored essays hold what."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InputError
from ..naming import listing
from .formats import AS_FOUND, TableReading
from .trait_scales import TraitScales

# Single columns, by what they hold; each is called like that where it is not named.
ROLES = ("essay", "score", "essay_id", "prompt_id", "prompt", "min_score", "max_score", "score_step", "split")
PROMPT_ROLES = ("prompt_id", "prompt")
# What the columns of raters are called where they are not named.
USUAL_RATERS: tuple[str, ...] = ("rater1", "rater2")
NO_NAMES: tuple[str, ...] = ()


@dataclass(frozen=True)
class TraitTable:
    """A table that gives essays scores of traits by their ids: where it lies, and what it does not say of itself."""

    path: str
    reading: TableReading = AS_FOUND


@dataclass(frozen=True)
class ColumnNames:
    """
    Columns of a table. One that is named must be there. None stands for the usual name, which is the field's own: a
    column `essay` and a column `score` must be there, the others may be absent. Without `essay_id`, rows are numbered;
    without `prompt_id`, each distinct `prompt` text is a prompt, and without both there is one prompt.

    Args:
        essay, score, essay_id, prompt_id, prompt, min_score, max_score, score_step, split: names of single columns.
            `split` says which essays train, validate and test.
        raters: columns with raters' own scores; None for `rater1` and `rater2`, where there are both.
        traits: columns with scores of one trait of the essays each, and the scales that are given.
        trait_table: another table that holds them, see [`join_traits`].
        groups: columns that say which group an essay's writer belongs to.
        no_prompts: whether all essays answer one task, whatever columns there are.
    """

    essay: str | None = None
    score: str | None = None
    essay_id: str | None = None
    prompt_id: str | None = None
    prompt: str | None = None
    min_score: str | None = None
    max_score: str | None = None
    score_step: str | None = None
    split: str | None = None
    raters: tuple[str, ...] | None = None
    traits: Mapping[str, TraitScales] = field(default_factory=dict)
    trait_table: TraitTable | None = None
    groups: tuple[str, ...] = ()
    no_prompts: bool = False

    def resolve(self, there: Collection[str], source: str) -> "TakenColumns":
        """
        The columns that are read of a table.

        Args:
            there: names of the table's columns.
            source: the table, for messages.

        Raises:
            InputError: if a column that is named is not there, one is named for two things, or there is no essay or score.
        """
        single: dict[str, Any] = {role: self._find(role, there, source) for role in ROLES}
        for name, parameter in [
            *((name, "raters") for name in self.raters or ()),
            *((name, "traits") for name in self.traits),
            *((name, "groups") for name in self.groups),
        ]:
            _check_is_there(name, parameter, there, source)
        raters, optional = self.raters, NO_NAMES
        if raters is None:
            raters = optional = USUAL_RATERS if set(USUAL_RATERS) <= set(there) else NO_NAMES
        taken = TakenColumns(**single, raters=raters, traits=self.traits, groups=self.groups, optional=optional)
        several = [name for name, count in Counter(taken.named).items() if count > 1]
        if several:
            raise InputError(f"{source}: column {several[0]!r} cannot be read as two things. Name one column for each.")
        return taken

    def _find(self, role: str, there: Collection[str], source: str) -> str | None:
        named = getattr(self, role)
        if self.no_prompts and role in PROMPT_ROLES:
            return None
        is_needed = role in ("essay", "score")
        # A column that is named for something else holds nothing beside it.
        is_taken = role in (getattr(self, other) for other in ROLES)
        if named is None and not is_needed and (role not in there or is_taken):
            return None
        name = role if named is None else named
        _check_is_there(name, role, there, source)
        return name


USUAL_COLUMNS = ColumnNames()


@dataclass(frozen=True)
class TakenColumns:
    """
    The columns that are read of one table, each of them there; see [`ColumnNames`]. Those that are `optional` were not
    named, and need not hold what they are read as.
    """

    essay: str
    score: str
    essay_id: str | None
    prompt_id: str | None
    prompt: str | None
    min_score: str | None
    max_score: str | None
    score_step: str | None
    split: str | None
    raters: tuple[str, ...]
    traits: Mapping[str, TraitScales]
    groups: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def single(self) -> dict[str, str | None]:
        """`role -> column`; None for a column that is not there."""
        return {role: getattr(self, role) for role in ROLES}

    @property
    def values(self) -> list[str]:
        """Columns of numbers beside the score."""
        return [*self.raters, *self.traits]

    @property
    def named(self) -> list[str]:
        """All columns that are read."""
        return [*(name for name in self.single.values() if name is not None), *self.values, *self.groups]


def _check_is_there(name: str, parameter: str, there: Collection[str], source: str):
    if name not in there:
        raise InputError(
            f"{source} has no column {name!r}; it has {listing(there, name)} Name the right one with `columns.{parameter}`."
        )
