"""Options that say what stands in which column of a table of scored essays, and what the table itself does not tell."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from ..data.formats import AS_FOUND, BINARY_FORMATS, TableReading, check_is_file, file_format
from ..errors import InputError
from .options import refuse_idle
from .table_options import LAYOUT_OPTIONS, TEXT_OPTIONS, add_reading_options, reading_of

if TYPE_CHECKING:
    from ..data.columns import ColumnNames
    from ..data.prompts import PromptInfo
    from ..data.rejection import RowCheck
    from ..data.schema import EssayTable
    from ..model.score_scale import ScoreRange

# Columns of a table of one's own, and with underscores the fields of the library's `ColumnNames`.
COLUMNS = ("essay", "score", "essay-id", "prompt-id", "prompt", "min-score", "max-score", "score-step")
COLUMN_OPTIONS = tuple(f"{name.replace('-', '_')}_column" for name in COLUMNS)
# Parameters of the library that have another name here.
RENAMED = {
    "score_ranges": "score_range",
    **{f"columns.{name.removesuffix('_column')}": name for name in (*COLUMN_OPTIONS, "split_column")},
    "columns.raters": "rater_columns",
    "columns.traits": "trait_column",
    "columns.trait_table": "traits",
    "columns.groups": "group_columns",
}


def add_own_file_options(parser: argparse.ArgumentParser, range_unknown: str, with_prompts: bool = True):
    """
    The options that [`load_own_file`] reads.

    Args:
        parser: of a command.
        range_unknown: what becomes of a prompt whose range nothing gives.
        with_prompts: whether a table of prompts may be given.
    """
    own = parser.add_argument_group("your own table")
    for name, dest in zip(COLUMNS, COLUMN_OPTIONS, strict=True):
        usual = name.replace("-", "_")
        own.add_argument(
            f"--{dest.replace('_', '-')}", metavar="NAME", help=f"column with the {name} ({usual} if not given)"
        )
    own.add_argument(
        "--score-range",
        action="append",
        default=[],
        metavar="[PROMPT=]LOWEST:HIGHEST[:STEP]",
        help=f"scale of the scores, of one prompt or of all; may be repeated; the step is 1 if left out; {range_unknown}",
    )
    own.add_argument(
        "--score-labels",
        action="append",
        default=[],
        metavar="[PROMPT=]LABEL,LABEL,...",
        help="scores that are no numbers, the lowest first, as in A1,A2,B1,B2,C1,C2; may be repeated",
    )
    add_reading_options(own)
    if with_prompts:
        parser.add_argument(
            "--prompts", metavar="FILE", help="table of prompts: prompt_id, prompt, min_score, max_score, score_step"
        )


def add_rater_option(parser: argparse._ActionsContainer):
    """The option that names raters' columns."""
    parser.add_argument(
        "--rater-columns",
        metavar="NAMES",
        help="columns with raters' own scores, between commas (rater1,rater2 if not given)",
    )


def add_trait_options(parser: argparse._ActionsContainer):
    """The options that name traits, their scales, and a table that holds them."""
    parser.add_argument(
        "--trait-column",
        action="append",
        default=[],
        metavar="NAME[=[PROMPT=]LOWEST:HIGHEST[:STEP]]",
        help="column with the scores of one trait, and their scale, of one prompt or of all; may be repeated; read off the "
        "scores if not given",
    )
    parser.add_argument(
        "--trait-scales",
        metavar="FILE",
        help='the same as JSON: {"organization": [1, 6], "voice": {"8": [2, 12]}}, by trait or by trait and prompt',
    )
    parser.add_argument(
        "--traits",
        metavar="FILE",
        help="table of traits by essay_id; all its columns of numbers that --source lacks, if no trait is named",
    )


def check_own_file_options(args: argparse.Namespace):
    """
    Checks what can be told of the options that [`load_own_file`] reads before the library is there, the file aside.

    Raises:
        InputError: if the table of prompts is missing or of an unknown format, a range or a list of columns is none, or an
            encoding or a delimiter is none.
    """
    from ..data.choices import parse_score_ranges

    reading_of(args)
    if getattr(args, "prompts", None) is not None:
        file_format(check_is_file(args.prompts))
    if getattr(args, "traits", None) is not None:
        file_format(check_is_file(args.traits))
    parse_score_ranges(args.score_range, args.score_labels)
    column_names(args)


def column_names(args: argparse.Namespace) -> "ColumnNames":
    """
    The columns that the options name. Options that a command does not have name none.

    Raises:
        InputError: if a list of columns is empty or names one twice, or a scale of a trait is none.
    """
    from ..data.columns import ColumnNames, TraitTable

    table = getattr(args, "traits", None)
    raters = getattr(args, "rater_columns", None)
    groups = getattr(args, "group_columns", None)
    return ColumnNames(
        **{name.removesuffix("_column"): getattr(args, name) for name in COLUMN_OPTIONS},
        split=getattr(args, "split_column", None),
        raters=None if raters is None else names_in(raters, "columns.raters"),
        traits=_traits(args),
        trait_table=None if table is None else TraitTable(str(table), _reading_beside(args, table)),
        groups=() if groups is None else names_in(groups, "columns.groups"),
        no_prompts=getattr(args, "no_prompts", False),
    )


def _traits(args: argparse.Namespace) -> "dict[str, dict[str | None, ScoreRange]]":
    """`trait -> scale by prompt`, as options and the file of scales give them."""
    from ..data.trait_scales import parse_trait_columns, read_trait_scales

    named, file = parse_trait_columns(getattr(args, "trait_column", [])), getattr(args, "trait_scales", None)
    of_file = {} if file is None else read_trait_scales(file)
    twice = [name for name in named if name in of_file]
    if twice:
        raise InputError(f"`trait_scales` {file}: trait {twice[0]!r} is named with `columns.traits`, too.")
    return {**of_file, **named}


def names_in(text: str, parameter: str) -> tuple[str, ...]:
    """
    Names of columns between commas.

    Raises:
        InputError: if there is none, or one is named twice; it names the `parameter`.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError(f"`{parameter}` names nothing: give names between commas.")
    if len(set(names)) < len(names):
        raise InputError(f"`{parameter}` {text}: a name stands twice.")
    return tuple(names)


def refuse_own_file_options(args: argparse.Namespace, reason: str):
    """
    Refuses all options of a table of one's own, where there is none.

    Raises:
        InputError: for the first that is given; `reason` is why it has no effect.
    """
    names = (*COLUMN_OPTIONS, "score_range", "score_labels", "prompts", *TEXT_OPTIONS, *LAYOUT_OPTIONS)
    refuse_idle(args, (name for name in names if hasattr(args, name)), reason)


def read_prompts(args: argparse.Namespace) -> "dict[str, PromptInfo]":
    """
    The table of prompts that the options name; empty where they name none.

    Raises:
        InputError: if it cannot be used.
    """
    from ..data.prompts import read_prompt_infos

    if not args.prompts:
        return {}
    return read_prompt_infos(args.prompts, _reading_beside(args, args.prompts))


def _reading_beside(args: argparse.Namespace, path: str) -> TableReading:
    """
    How a table beside the source is read: delimiter and sheet are its own; the encoding is UTF-8 where that is what it is, else
    the one that is given.
    """
    from ..data.tables.reading import is_utf_8

    if file_format(path) in BINARY_FORMATS:
        return replace(AS_FOUND, sheet_is_choice=False)
    reading = replace(reading_of(args), delimiter=None, sheet=None)
    return replace(reading, encoding=None) if reading.encoding is not None and is_utf_8(path) else reading


def reading_of_source(args: argparse.Namespace, *paths: str) -> TableReading:
    """
    How the tables of essays are read. Where their formats have no encoding to choose, the options for that are meant for the
    tables beside them, if one of those is text.
    """
    reading = reading_of(args)
    beside = [getattr(args, name, None) for name in ("prompts", "traits")]
    is_for_those = any(other and file_format(other) not in BINARY_FORMATS for other in beside)
    is_for_the_source = any(file_format(path) not in BINARY_FORMATS for path in paths)
    return reading.without_encoding() if is_for_those and not is_for_the_source else reading


def load_own_file(
    args: argparse.Namespace,
    path: str,
    prompt_id: str | None = None,
    observe_ranges: bool = True,
    check: "RowCheck | None" = None,
) -> "EssayTable":
    """
    The scored essays of a file, read as the options say.

    Args:
        args: the options.
        path: the file.
        prompt_id, observe_ranges, check: as of [`load_own_table`].

    Raises:
        InputError: if the file, a column, a row or a range cannot be used.
    """
    from ..data.choices import parse_score_ranges
    from ..data.sources.own import load_own_table

    ranges = parse_score_ranges(args.score_range, args.score_labels)
    return load_own_table(
        path,
        column_names(args),
        reading_of_source(args, path),
        read_prompts(args),
        ranges,
        prompt_id,
        observe_ranges,
        check,
    )
