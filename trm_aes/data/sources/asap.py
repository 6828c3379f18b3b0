"""ASAP-AES (The Hewlett Foundation, 2012): the Kaggle release file, and its copies on the Hub."""

import hashlib
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ...errors import InputError
from ...files import file_checksum
from ...model.configuration_trm import sort_prompt_ids
from ...model.score_scale import ScoreRange
from ...naming import listing
from ..cells import id_in_words
from ..columns import USUAL_COLUMNS, ColumnNames
from ..formats import AS_FOUND, WORKBOOKS, TableReading, file_format
from ..prompts import TABLE_OF_PROMPTS, KnownPrompts, PromptInfo, check_prompt_infos
from ..rejection import RowCheck
from ..schema import EssayTable
from ..tables import UnreadRow, first_line, release_lines
from .hub import as_frame, load_splits
from .own import left_out_of, make_table
from .rows import SourceRows, frame_of_rows, read_source

# The ranges over which published work computes QWK.
SCORE_RANGES = {
    "1": ScoreRange(2, 12),
    "2": ScoreRange(1, 6),
    "3": ScoreRange(0, 3),
    "4": ScoreRange(0, 3),
    "5": ScoreRange(0, 4),
    "6": ScoreRange(0, 4),
    "7": ScoreRange(0, 30),
    "8": ScoreRange(0, 60),
}
HUB_DATASETS = {
    "llm-aes/asappp-1-2-original": ("1", "2"),
    "llm-aes/asappp-3-6-original": ("3", "4", "5", "6"),
    "llm-aes/asap-7-original": ("7",),
    "llm-aes/asap-8-original": ("8",),
}
# A word of each prompt's task that no other prompt's has: the Hub's copies hold several prompts without an id.
TELLING_WORDS = {
    "1": "computers",
    "2": "libraries",
    "3": "cyclist",
    "4": "hibiscus",
    "5": "memoir",
    "6": "dirigibles",
    "7": "patien",
    "8": "laughter",
}
CORPUS = "ASAP-AES"
# The score that every prompt has, and whose ranges are known.
OWN_SCORE = "domain1_score"
RELEASE_COLUMNS = ("essay_id", "essay_set", "essay", OWN_SCORE)


def is_release_file(header: str) -> bool:
    """Whether a file's first line is that of the Kaggle release."""
    return set(RELEASE_COLUMNS) <= set(header.rstrip("\r\n").split("\t"))


def load_table(
    path: str | Path,
    columns: ColumnNames,
    known: KnownPrompts,
    check: RowCheck,
    reading: TableReading = AS_FOUND,
) -> EssayTable:
    """
    A file of scored essays: as the Kaggle release, if it is that (as .tsv or as a workbook) by the names of its columns, else as
    one's own table. Either way it is read once.

    Args:
        path: the file.
        columns: what its columns are called; see [`load_release`].
        known: what is known of the prompts.
        check: what becomes of rows that cannot be used.
        reading: what the file does not say of itself.

    Raises:
        InputError: as of [`load_release`] and [`make_table`].
    """
    name = file_format(path)
    if name == "tsv" and is_release_file(first_line(path)):
        return load_release(path, known.infos, columns, known.ranges, check, reading)
    rows = read_source(path, reading, check)
    if name in WORKBOOKS and set(RELEASE_COLUMNS) <= set(rows.frame.columns):
        return _make_table(rows.frame, rows.source, rows.checksum, known.infos, columns, known.ranges, check)
    return make_table(rows, columns, known, check)


def load_release(
    path: str | Path,
    prompt_infos: Mapping[str, PromptInfo] | None = None,
    columns: ColumnNames = USUAL_COLUMNS,
    score_ranges: Mapping[str | None, ScoreRange] | None = None,
    check: RowCheck | None = None,
    reading: TableReading = AS_FOUND,
) -> EssayTable:
    """
    Reads the Kaggle release file (`training_set_rel3.tsv`, plain or compressed, or a workbook).

    In the .tsv every line is one essay. Fields that a spreadsheet quoted are unquoted; a quote that merely opens an essay
    is part of it. (A CSV reader takes that quote for the start of a quoted field, and merges rows.) It was published in
    Windows-1252, and is read as that if `reading` names no encoding and most of what it has beyond ASCII is not UTF-8.

    Args:
        path: the file.
        prompt_infos: texts and ranges by prompt id; the release file lacks the texts.
        columns: what to read in place of the release's own columns: another score, say (`domain2_score`). Prompts that
            lack that score are left out, and [`Provenance`] says so.
        score_ranges: as of [`KnownPrompts`].
        check: what becomes of rows that cannot be used; an error if not given.
        reading: what the file does not say of itself.

    Raises:
        InputError: if the file is not that file, or a row is damaged.
    """
    source, check = str(path), check or RowCheck()
    if file_format(path) == "tsv":
        raw = frame_of_rows(_release_rows(path, reading), source, check)
    else:
        raw = read_source(path, reading, check).frame
    missing = [name for name in RELEASE_COLUMNS if name not in raw]
    if missing:
        raise InputError(f"{source} is not the ASAP release: column {missing[0]!r} is missing.")
    return _make_table(raw, source, file_checksum(path), prompt_infos, columns, score_ranges, check)


def load_from_hub(
    prompt_ids: Sequence[str] | None = None,
    prompt_infos: Mapping[str, PromptInfo] | None = None,
    columns: ColumnNames = USUAL_COLUMNS,
    score_ranges: Mapping[str | None, ScoreRange] | None = None,
    check: RowCheck | None = None,
) -> EssayTable:
    """
    Loads the Hub's copies that hold the given prompts.

    Args:
        prompt_ids: of ASAP's eight prompts; all if not given.
        prompt_infos: texts and ranges by prompt id, which win over the copies' own.
        columns, score_ranges, check: as of [`load_release`].

    Raises:
        InputError: if a data set cannot be downloaded, lacks a column, or its prompts cannot be told apart.
    """
    wanted = set(prompt_ids) if prompt_ids is not None else set(SCORE_RANGES)
    unknown = wanted - set(SCORE_RANGES)
    if unknown:
        raise InputError(f"ASAP has prompts 1 to 8, not {', '.join(sorted(unknown))}.")
    frames = [_load_hub_dataset(repo_id, held) for repo_id, held in HUB_DATASETS.items() if wanted & set(held)]
    raw = pd.concat(frames, ignore_index=True)
    raw.index += 1
    source = "Hub: " + ", ".join(repo_id for repo_id, held in HUB_DATASETS.items() if wanted & set(held))
    digest = hashlib.sha256(raw.to_csv(index=False).encode("utf-8", "surrogatepass")).hexdigest()
    return _make_table(raw, source, digest, prompt_infos, columns, score_ranges, check or RowCheck())


def tell_prompt(prompt_text: str, among: Sequence[str]) -> str | None:
    """The id of the one prompt among some whose telling word is in the text; None if not exactly one."""
    found = [prompt_id for prompt_id in among if TELLING_WORDS[prompt_id] in prompt_text.lower()]
    return found[0] if len(found) == 1 else None


def _load_hub_dataset(repo_id: str, held: Sequence[str]) -> pd.DataFrame:
    from datasets import concatenate_datasets

    splits, _ = load_splits(repo_id)
    frame = as_frame(concatenate_datasets(list(splits.values())))
    for column in ("prompt", "essay", "domain1_score"):
        if column not in frame:
            raise InputError(f"{repo_id} has no column {column!r}; it has {listing(frame.columns, column)}")
    if "essay_set" not in frame:
        told = {text: held[0] if len(held) == 1 else tell_prompt(text, held) for text in frame["prompt"].unique()}
        strange = [text for text, prompt_id in told.items() if prompt_id is None]
        if strange:
            raise InputError(
                f"{repo_id}: which of prompts {', '.join(held)} is {strange[0][:60]!r}? Use the release file instead."
            )
        frame["essay_set"] = frame["prompt"].map(told)
    if "essay_id" not in frame:
        name = repo_id.rsplit("/", 1)[-1]
        frame["essay_id"] = [f"{name}-{number}" for number in range(1, len(frame) + 1)]
    return frame


def _release_rows(path: str | Path, reading: TableReading) -> Iterator[dict[str, str] | UnreadRow]:
    if reading.delimiter not in (None, "\t"):
        raise InputError(f"`delimiter` has no effect on {path}: tabs separate the fields of the ASAP release.")
    lines = release_lines(path, reading)
    _, first = next(lines, (0, ""))
    header = first.split("\t")
    for number, line in lines:
        values = line.split("\t")
        if len(values) != len(header):
            yield UnreadRow(f"{path}, row {number}: {len(values)} fields where the header has {len(header)}.", line)
        else:
            yield dict(zip(header, map(_unquote, values), strict=True))


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        inner = value[1:-1]
        # In a field that was quoted on export every inner quote is doubled.
        if '"' not in inner.replace('""', ""):
            return inner.replace('""', '"')
    return value


def _make_table(
    raw: pd.DataFrame,
    source: str,
    checksum: str,
    prompt_infos: Mapping[str, PromptInfo] | None,
    columns: ColumnNames,
    score_ranges: Mapping[str | None, ScoreRange] | None,
    check: RowCheck,
) -> EssayTable:
    """The table of the release's rows: read as one's own tables are, with what is known of ASAP."""
    score, release = columns.score or OWN_SCORE, raw
    columns = replace(columns, score=score)
    infos = dict(prompt_infos or {})
    notes: list[str] = []
    if columns.prompt_id is None and not columns.no_prompts:
        columns = replace(columns, prompt_id="essay_set")
        raw = raw.loc[_rows_of_known_prompts(raw, source, check)]
        if score == OWN_SCORE:
            infos = _with_ranges(infos)
        else:
            raw, notes = _without_unscored_prompts(raw, score, source)
    raw = _without_empty_columns(raw, columns)
    if columns.raters is None:
        domain = re.fullmatch(r"domain(\d)_score", score)
        raw = raw.rename(columns={f"rater{n}_domain{domain[1]}": f"rater{n}" for n in (1, 2, 3)} if domain else {})
    rows = SourceRows(raw, source, checksum, [str(row) for row in raw.index], CORPUS, notes=tuple(notes))
    if prompt_infos and columns.prompt_id == "essay_set":
        # Here, since `infos` has all prompts of ASAP by now.
        check_prompt_infos(prompt_infos, {id_in_words(value).strip() for value in raw["essay_set"]}, source)
    known = KnownPrompts(infos, score_ranges or {}, infos_from=TABLE_OF_PROMPTS if prompt_infos else "ASAP")
    table = make_table(rows, columns, known, check)
    return replace(table, left_out=left_out_of(release, columns.essay_id or "essay_id", table.frame))


def _rows_of_known_prompts(raw: pd.DataFrame, source: str, check: RowCheck) -> list[Hashable]:
    kept = []
    for row, cells in raw.to_dict("index").items():
        with check.of(row, cells):
            prompt_id = cells["essay_set"]
            if id_in_words(prompt_id).strip() not in SCORE_RANGES:
                raise InputError(f"{source}, row {row}, column 'essay_set': {prompt_id!r} is no ASAP prompt (1 to 8).")
            kept.append(row)
    if not kept:
        raise InputError(check.no_row_left(source))
    return kept


def _without_unscored_prompts(raw: pd.DataFrame, score: str, source: str) -> tuple[pd.DataFrame, list[str]]:
    """The rows of the prompts that have the score at all, and a sentence on those that lack it."""
    if score not in raw:
        return raw, []
    is_scored = ~_is_blank(raw[score])
    has_score = is_scored.groupby(raw["essay_set"]).transform("any")
    if not has_score.any():
        raise InputError(f"{source}, column {score!r}: no essay has a score.")
    left_out = sort_prompt_ids(raw.loc[~has_score, "essay_set"].map(id_in_words))
    if not left_out:
        return raw, []
    return raw[has_score], [f"Left out, since they have no {score}: prompts {', '.join(left_out)}."]


def _without_empty_columns(raw: pd.DataFrame, columns: ColumnNames) -> pd.DataFrame:
    """The release has columns that are filled for some prompts alone; those that are named are kept."""
    named = {columns.score, *(columns.raters or ()), *columns.traits, *columns.groups}
    return raw[[name for name in raw.columns if name in named or not _is_blank(raw[name]).all()]]


def _is_blank(values: pd.Series) -> pd.Series:
    return values.isna() | (values.astype(str).str.strip() == "")


def _with_ranges(infos: Mapping[str, PromptInfo]) -> dict[str, PromptInfo]:
    """What is known of prompts, with the ranges of ASAP where no other is known."""
    known = {prompt_id: infos.get(prompt_id, PromptInfo()) for prompt_id in SCORE_RANGES}
    return {
        prompt_id: PromptInfo(info.text, info.score_range or SCORE_RANGES[prompt_id])
        for prompt_id, info in known.items()
    }
