"""A data set of Ray in, the same with scores out: rows are checked, put into windows, and scored by actors."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch

from ...data.rejection import REASON as REJECTED_FOR
from ...errors import InputError
from ...model.score_scale import ScoreRange
from ..input_rows import (
    REFUSED,
    USUAL_COLUMNS,
    BadRows,
    InputColumns,
    added_columns,
    check_columns,
    check_row,
    trait_columns,
)
from ..review import NEEDS_REVIEW, ReviewRule
from ..scorer import EssayScorer
from ..stream import WINDOW, with_scores
from ..unknown_prompts import ERROR, SCORED_AS, PromptRule
from .cluster import Workers, ray

# Columns that travel beside those of the input, and reach no output: the prompt as whose an essay is scored, why a row cannot
# be used, the number of its file and its own number there, and whether its essay was too long.
PREFIX = "trm_aes:"
PROMPT, REASON, FILE, ROW, WAS_CUT = (f"{PREFIX}{name}" for name in ("prompt", "reason", "file", "row", "was_cut"))
FITTING = Workers()


@dataclass(frozen=True)
class RowRules:
    """
    What the rows of a data set are checked by.

    Args:
        columns, prompt_id: as of [`score_dataset`].
        rule: what becomes of unknown prompts.
        added: columns that the scores are written to.
        files: names of the files that rows come from, where they have numbers of files.
    """

    columns: InputColumns
    prompt_id: str | None
    rule: PromptRule
    added: tuple[str, ...]
    files: tuple[str, ...] = ()

    def place(self, row: Mapping[str, Any]) -> str:
        """What messages call a row."""
        return f"{self.files[row[FILE]]}, row {row[ROW]}" if FILE in row else "a row of the data set"


def score_dataset(
    dataset: "ray.data.Dataset",
    model: EssayScorer | str | Path,
    columns: InputColumns = USUAL_COLUMNS,
    prompt_id: str | None = None,
    bad_rows: BadRows = REFUSED,
    review: ReviewRule | None = None,
    workers: Workers = FITTING,
) -> "ray.data.Dataset":
    """
    The essays of a data set with their scores: its rows and columns in their order, and after them the columns of
    [`score_file`].

    Nothing is scored before the result is read or written. Actors score windows of 1,024 consecutive rows, as
    [`score_file`] does, so that on the same kind of machine, with as many threads, scores are the same to the bit. An actor
    that is lost is started again, and its window scored again. The scorer travels through Ray's object store: nodes need
    this package and no copy of the model.

    Example:

    ```python
    essays = ray.data.read_parquet("s3://bucket/essays")
    score_dataset(essays, "runs/model").write_parquet("s3://bucket/scored")
    ```

    Args:
        dataset: with a column of essays.
        model: a scorer on the CPU, or what [`EssayScorer.from_pretrained`] loads.
        columns: what the data set's columns are called.
        prompt_id: the prompt that all essays answer, whatever the rows say.
        bad_rows: what becomes of rows that cannot be scored: with `skip` they are left out. As of [`score_file`], but that
            nothing is written of them; see [`rejected_rows`].
        review: tells which essays people should read, in a column `needs_review`.
        workers: which actors score.

    Raises:
        InputError: if the scorer cannot be used or the cluster has no room for the workers; while the result is read, from
            Ray, for a row that cannot be scored.
    """
    scorer = _loaded(model)
    rules = rules_of(scorer, columns, prompt_id, bad_rows, review)
    return score_checked(checked(dataset, rules), scorer, rules, bad_rows, review, workers).drop_columns([WAS_CUT])


def rejected_rows(
    dataset: "ray.data.Dataset",
    model: EssayScorer | str | Path,
    columns: InputColumns = USUAL_COLUMNS,
    prompt_id: str | None = None,
    bad_rows: BadRows = REFUSED,
) -> "ray.data.Dataset":
    """
    The rows that [`score_dataset`] leaves out with the same arguments, with a last column `reason`. No essay is scored.
    """
    rules = rules_of(_loaded(model), columns, prompt_id, bad_rows, None)
    return checked(dataset, rules).map_batches(_rejected, batch_size=None, batch_format="pyarrow")


def rules_of(
    scorer: EssayScorer,
    columns: InputColumns,
    prompt_id: str | None,
    bad_rows: BadRows,
    review: ReviewRule | None,
    files: tuple[str, ...] = (),
) -> RowRules:
    """
    By what rows are checked that are to be scored with these arguments of [`score_dataset`].

    Raises:
        InputError: if the scorer does not know the prompt.
    """
    if prompt_id is not None:
        scorer.prompt_of(prompt_id, None, "`prompt_id`")
    added = (*added_columns(scorer.trait_ranges), *([] if review is None else [NEEDS_REVIEW]))
    return RowRules(columns, prompt_id, PromptRule(scorer, bad_rows.unknown_prompt), added, files)


def checked(dataset: "ray.data.Dataset", rules: RowRules) -> "ray.data.Dataset":
    """The rows, in their order, each with its `PROMPT`, and with a `REASON` where it cannot be used."""
    dataset.context.execution_options.preserve_order = True
    return dataset.map_batches(check_table, batch_size=None, batch_format="pyarrow", fn_kwargs={"rules": rules})


def score_checked(
    dataset: "ray.data.Dataset",
    scorer: EssayScorer,
    rules: RowRules,
    bad_rows: BadRows,
    review: ReviewRule | None,
    workers: Workers,
) -> "ray.data.Dataset":
    """What [`checked`] gave, scored; `WAS_CUT` and numbers of files and rows stay with the rows."""
    if scorer.device.type != "cpu":
        raise InputError(
            f"{scorer.name} lies on {scorer.device.type}. Load it on the cpu: the workers choose their device."
        )
    workers = workers.fitted()
    usable = dataset.map_batches(
        _usable, batch_size=None, batch_format="pyarrow", fn_kwargs={"rules": rules, "skip": bad_rows.skip}
    )
    windows = usable.repartition(target_num_rows_per_block=WINDOW, strict=True)
    settings = {
        # Once into the object store, whence each worker takes it.
        "scorer": [ray.put(scorer)],
        "workers": workers,
        "essay_column": rules.columns.usual("essay"),
        "says_prompt": rules.rule.unknown != ERROR,
        "types": _types(scorer, rules.added),
        "threshold": None if review is None else review.threshold,
    }
    return windows.map_batches(
        ScoringActor,
        batch_size=None,
        batch_format="pyarrow",
        fn_constructor_kwargs=settings,
        compute=ray.data.ActorPoolStrategy(size=workers.number),
        num_cpus=workers.cpus,
        num_gpus=1 if workers.device == "cuda" else 0,
    )


def check_table(table: pa.Table, rules: RowRules) -> pa.Table:
    """Rows with their `PROMPT` and `REASON`; rows that have a reason already keep it."""
    columns = rules.columns
    needed = [columns.usual(role) for role in ("essay", "prompt_id", "prompt")]
    known = [name for name in (*needed, FILE, ROW, REASON) if name in table.column_names]
    prompts, reasons = [], []
    for row in table.select(known).to_pylist():
        prompt, reason, where = None, row.get(REASON), rules.place(row)
        if reason is None:
            check_columns(dict.fromkeys(table.column_names), where, columns, (*rules.rule.added(""), *rules.added))
            try:
                prompt = check_row(row, where, columns, rules.prompt_id, rules.rule)
            except InputError as error:
                reason = str(error)
        prompts.append(prompt)
        reasons.append(reason)
    if REASON in known:
        table = table.drop_columns([REASON])
    return table.append_column(PROMPT, pa.array(prompts, pa.string())).append_column(
        REASON, pa.array(reasons, pa.string())
    )


def is_usable(table: pa.Table) -> pa.ChunkedArray:
    """Which rows of a table that was checked can be used."""
    return pc.is_null(table[REASON])


def _usable(table: pa.Table, rules: RowRules, skip: bool) -> pa.Table:
    found = table.filter(is_usable(table)).drop_columns([REASON])
    if not skip and found.num_rows < table.num_rows:
        raise InputError(next(reason for reason in table[REASON].to_pylist() if reason is not None))
    return found


def _rejected(table: pa.Table) -> pa.Table:
    found = table.filter(pc.invert(is_usable(table)))
    return found.drop_columns([PROMPT, REASON]).append_column(REJECTED_FOR, found[REASON])


class ScoringActor:
    """
    Scores windows of essays, one after the other.

    Args:
        scorer: in Ray's object store.
        workers: on which device, with how many threads.
        essay_column: column with the essays.
        says_prompt: whether a column says as whose prompt each essay was scored.
        types: of the columns that are added.
        threshold: of [`ReviewRule`]; None where nobody asked for review.
    """

    def __init__(
        self,
        scorer: "list[ray.ObjectRef]",
        workers: Workers,
        essay_column: str,
        says_prompt: bool,
        types: Mapping[str, pa.DataType],
        threshold: float | None,
    ):
        torch.set_num_threads(workers.cpus)
        found = ray.get(scorer[0])
        self.scorer = EssayScorer(
            found.model, found.tokenizer, found.name, workers.device, found.batch_tokens, found.commit
        )
        self.essay_column, self.says_prompt, self.types = essay_column, says_prompt, types
        self.review = None if threshold is None else ReviewRule(self.scorer, threshold)

    def __call__(self, window: pa.Table) -> pa.Table:
        """The window with its scores, `(rows, columns)` to `(rows, columns and those added)`."""
        prompts = window[PROMPT].to_pylist()
        is_known = pc.is_valid(window[PROMPT])
        essays, known = window[self.essay_column].filter(is_known).to_pylist(), [p for p in prompts if p is not None]
        scores = self.scorer.score_encoded(self.scorer.encode(essays, known), known)
        # Only what is added: the other columns stay as they are.
        rows = list(with_scores([({}, prompt) for prompt in prompts], scores, Counter(), self.review, list(self.types)))
        window = window.drop_columns([PROMPT])
        if self.says_prompt:
            window = window.append_column(SCORED_AS, pa.array([prompt or "" for prompt in prompts]))
        for name, kind in self.types.items():
            window = window.append_column(name, pa.array([row[name] for row in rows], kind))
        was_cut = iter(scores)
        return window.append_column(
            WAS_CUT, pa.array([prompt is not None and next(was_cut).was_cut for prompt in prompts])
        )


def _types(scorer: EssayScorer, added: Iterable[str]) -> dict[str, pa.DataType]:
    """The types of the columns that are added: the same in every window, whichever prompts it holds."""
    scores = _score_type(scorer.name, scorer.score_ranges.values())
    types = dict.fromkeys(added, pa.float64())
    types |= {"rounded_score": scores, "score_low": scores, "score_high": scores}
    types |= {"supervision_steps": pa.int64(), "advisories": pa.string()}
    for trait, ranges in scorer.trait_ranges.items():
        types[trait_columns(trait)[1]] = _score_type(scorer.name, ranges.values())
    if NEEDS_REVIEW in types:
        types[NEEDS_REVIEW] = pa.bool_()
    return types


def _score_type(name: str, scales: Iterable[ScoreRange]) -> pa.DataType:
    """The type that holds the rounded scores of all these scales."""
    shown = {type(scale.shown(scale.min_score + step)) for scale in scales for step in (0, scale.step)}
    if shown == {int}:
        return pa.int64()
    if str not in shown:
        return pa.float64()
    if shown == {str}:
        return pa.string()
    raise InputError(
        f"{name} scores some prompts by numbers and others by labels, and Parquet holds values of one type in a column. Score "
        "without `engine` ray, to .jsonl."
    )


def _loaded(model: EssayScorer | str | Path) -> EssayScorer:
    return model if isinstance(model, EssayScorer) else EssayScorer.from_pretrained(model, "cpu")
