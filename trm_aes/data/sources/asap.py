"""ASAP-AES (The Hewlett Foundation, 2012): the Kaggle release file, and its copies on the Hub."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from ...checkpoints import hub_problem
from ...errors import InputError
from ...model.essay_tokens import stand_in_text
from ...model.score_scale import ScoreRange
from ..formats import AS_FOUND, WORKBOOKS, TableReading, file_format
from ..prompts import PromptInfo
from ..schema import REQUIRED_COLUMNS, EssayTable, as_it_stands, check_table, numbers_if_all, parse_score
from ..tables import file_checksum, first_line, read_rows, release_lines

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
RELEASE_COLUMNS = ("essay_id", "essay_set", "essay", "domain1_score")
# The release's own; columns that somebody added ride along as they stand.
VALUE_COLUMNS = re.compile(r"rater[1-3]_(domain[12]|trait[1-6])|domain[12]_score")
RATERS = {f"rater{number}_domain1": f"rater{number}" for number in (1, 2, 3)}


def is_release_file(header: str) -> bool:
    """Whether a file's first line is that of the Kaggle release."""
    return set(RELEASE_COLUMNS) <= set(header.rstrip("\r\n").split("\t"))


def is_release(path: str | Path, reading: TableReading = AS_FOUND) -> bool:
    """
    Whether a file is the Kaggle release, as .tsv or as a workbook, by the names of its columns.

    Raises:
        InputError: if it cannot be read.
    """
    name = file_format(path)
    if name in WORKBOOKS:
        return set(RELEASE_COLUMNS) <= set(next(read_rows(path, reading), {}))
    return name == "tsv" and is_release_file(first_line(path))


def load_release(
    path: str | Path,
    prompt_infos: dict[str, PromptInfo] | None = None,
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
        reading: what the file does not say of itself.

    Raises:
        InputError: if the file is not that file, or a row is damaged.
    """
    source = str(path)
    rows = _release_rows(path, reading) if file_format(path) == "tsv" else read_rows(path, reading)
    raw = pd.DataFrame(list(rows), dtype=str)
    raw.index += 1
    missing = [name for name in RELEASE_COLUMNS if name not in raw]
    if missing:
        raise InputError(f"{source} is not the ASAP release: column {missing[0]!r} is missing.")
    table = EssayTable(_to_schema(raw, source, prompt_infos or {}), source, file_checksum(path), CORPUS)
    check_table(table)
    return table


def load_from_hub(
    prompt_ids: Sequence[str] | None = None, prompt_infos: dict[str, PromptInfo] | None = None
) -> EssayTable:
    """
    Loads the Hub's copies that hold the given prompts.

    Args:
        prompt_ids: of ASAP's eight prompts; all if not given.
        prompt_infos: texts and ranges by prompt id, which win over the copies' own.

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
    frame = _to_schema(raw, source, prompt_infos or {})
    texts = frame[["essay_id", "essay", "score"]].to_csv(index=False)
    table = EssayTable(frame, source, hashlib.sha256(texts.encode()).hexdigest(), CORPUS)
    check_table(table)
    return table


def tell_prompt(prompt_text: str, among: Sequence[str]) -> str | None:
    """The id of the one prompt among some whose telling word is in the text; None if not exactly one."""
    found = [prompt_id for prompt_id in among if TELLING_WORDS[prompt_id] in prompt_text.lower()]
    return found[0] if len(found) == 1 else None


def _load_hub_dataset(repo_id: str, held: Sequence[str]) -> pd.DataFrame:
    problem = None if Path(repo_id).is_dir() else hub_problem(repo_id, repo_type="dataset")
    if problem is not None:
        raise InputError(f"{repo_id} cannot be downloaded: {problem}. If it is gated, run: hf auth login")
    from datasets import concatenate_datasets, load_dataset

    splits = load_dataset(repo_id)
    frame = concatenate_datasets(list(splits.values())).to_pandas()
    for column in ("prompt", "essay", "domain1_score"):
        if column not in frame:
            raise InputError(f"{repo_id} has no column {column!r}; it has {', '.join(frame.columns)}.")
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


def _release_rows(path: str | Path, reading: TableReading) -> Iterator[dict[str, str]]:
    if reading.delimiter not in (None, "\t"):
        raise InputError(f"`delimiter` has no effect on {path}: tabs separate the fields of the ASAP release.")
    lines = release_lines(path, reading)
    _, first = next(lines, (0, ""))
    header = first.split("\t")
    for number, line in lines:
        values = line.split("\t")
        if len(values) != len(header):
            raise InputError(f"{path}, row {number}: {len(values)} fields where the header has {len(header)}.")
        yield dict(zip(header, map(_unquote, values), strict=True))


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        inner = value[1:-1]
        # In a field that was quoted on export every inner quote is doubled.
        if '"' not in inner.replace('""', ""):
            return inner.replace('""', '"')
    return value


def _to_schema(raw: pd.DataFrame, source: str, prompt_infos: dict[str, PromptInfo]) -> pd.DataFrame:
    raw = raw.copy()
    prompt_ids = [str(value).strip() for value in raw["essay_set"]]
    for row, prompt_id in zip(raw.index, prompt_ids, strict=True):
        if prompt_id not in SCORE_RANGES:
            raise InputError(f"{source}, row {row}, column 'essay_set': {prompt_id!r} is no ASAP prompt (1 to 8).")
    infos = {prompt_id: prompt_infos.get(prompt_id, PromptInfo()) for prompt_id in set(prompt_ids)}
    ranges = {prompt_id: info.score_range or SCORE_RANGES[prompt_id] for prompt_id, info in infos.items()}
    own_texts = raw["prompt"].fillna("") if "prompt" in raw else pd.Series("", index=raw.index)
    frame = pd.DataFrame(
        {
            "essay_id": [str(value).strip() for value in raw["essay_id"]],
            "prompt_id": prompt_ids,
            "prompt": [infos[i].text or own or stand_in_text(i) for i, own in zip(prompt_ids, own_texts, strict=True)],
            "essay": raw["essay"],
            "score": [parse_score(value, row, source, "domain1_score") for row, value in raw["domain1_score"].items()],
            "min_score": [float(ranges[i].min_score) for i in prompt_ids],
            "max_score": [float(ranges[i].max_score) for i in prompt_ids],
        },
        index=raw.index,
    )
    used = {"essay_set", "domain1_score", *REQUIRED_COLUMNS}
    for name in raw.columns:
        values = raw[name]
        if name not in used and not values.isna().all() and not (values.astype(str).str.strip() == "").all():
            is_value = VALUE_COLUMNS.fullmatch(name) is not None
            frame[RATERS.get(name, name)] = numbers_if_all(values) if is_value else as_it_stands(values)
    return frame
