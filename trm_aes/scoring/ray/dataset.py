"""A data set of Ray in, the same with scores out: rows are checked, put into windows, and scored by actors."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import torch

from ...errors import InputError
from ...model.score_scale import ScoreRange
from ..input_rows import (
    REFUSED,
    USUAL_COLUMNS,
    BadRows,
    InputColumns,
    added_columns,
    shown_types,
    trait_columns,
)
from ..review import NEEDS_REVIEW, ReviewRule
from ..scorer import EssayScorer
from ..stream import WINDOW, with_scores
from ..unknown_prompts import ERROR, SCORED_AS, PromptRule
from .cluster import Workers, ray
from .rows import PROMPT, WAS_CUT, RowRules, checked, mapped, rejected_table, usable_table

FITTING = Workers()


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
        prompt_id: the prompt that all essays answer; a row that names another of the model's is refused.
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
    return mapped(checked(dataset, rules), rejected_table)


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
    added = added_columns(scorer.trait_ranges, review)
    return RowRules(columns, prompt_id, PromptRule(scorer, bad_rows.unknown_prompt), added, files)


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
    usable = mapped(dataset, partial(usable_table, skip=bad_rows.skip))
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
    shown = shown_types(scales)
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
