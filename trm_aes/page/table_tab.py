"""The tab "A table": a file of essays in, the same file with scores out."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from ..data.formats import COMPRESSIONS, FORMATS, STRICT, TableReading
from ..errors import InputError
from ..model.configuration_trm import sort_prompt_ids
from ..scoring.input_rows import InputColumns
from ..scoring.scorer import EssayScorer
from .limits import MAX_ROWS, MAX_UPLOAD, MEGABYTE, SECONDS_HELD
from .rendering import problem, render
from .tables import ESSAY, PROMPT, PROMPT_ID, WatchedScorer, look, score_table
from .uploads import Upload
from .wording import HUMAN_READER, problem_in_words

FILE_TYPES = [*(f".{name}" for name in FORMATS), ".json", ".ndjson", ".pq", *COMPRESSIONS]
NO_FILE = "There is no file yet, or it is no longer held: choose it again."
NO_ESSAYS = "Choose the column that holds the essays."
NO_PROMPTS = "Choose what says which prompt an essay answers."
# What the field of prompts may hold, before a column's name or a prompt's id.
IDS, TEXTS, ALL = "ids:", "texts:", "all:"


def table_tab(scorer: EssayScorer, one_at_a_time: dict[str, Any]):
    """
    Builds the tab, within Gradio's context.

    Args:
        scorer: what scores.
        one_at_a_time: of an event that the model is needed for.
    """
    upload = gr.State(time_to_live=SECONDS_HELD)
    with gr.Column(elem_classes="narrow"):
        gr.HTML(render("table_intro", megabytes=MAX_UPLOAD // MEGABYTE, rows=MAX_ROWS), apply_default_css=False)
        file = gr.UploadButton("Choose a file", file_types=FILE_TYPES, elem_id="file")
        file_problem = gr.HTML(apply_default_css=False, elem_id="file-problem")
        with gr.Accordion("How the file is read", open=False), gr.Row():
            sheet = gr.Textbox("", label="Sheet", info="of a workbook with several")
            encoding = gr.Textbox("", label="Encoding", info="UTF-8 if empty; windows-1252 is another")
            delimiter = gr.Textbox("", label="Delimiter", info="between cells; found if empty")
        seen = gr.HTML(apply_default_css=False, elem_id="seen")
        with gr.Column(visible=False) as choices:
            with gr.Row():
                essays = gr.Dropdown(
                    label="Essays", info="The column that holds them.", min_width=260, elem_id="essays"
                )
                prompts = gr.Dropdown(
                    label="Prompts", info="What says which one an essay answers.", min_width=260, elem_id="prompts"
                )
            skips = gr.Checkbox(label="Leave out rows that cannot be scored, and say why", elem_id="skips")
            score = gr.Button("Score the table", variant="primary", elem_id="score-table")
        columns_problem = gr.HTML(apply_default_css=False, elem_id="columns-problem")
        result = gr.HTML(apply_default_css=False, elem_id="scored")
    hidden: dict[str, Any] = {"api_visibility": "private"}
    reading = [sheet, encoding, delimiter]
    looked_at = [file_problem, seen, choices, essays, prompts, columns_problem, result]
    file.upload(
        partial(taken, scorer), [file, *reading], [upload, *looked_at], show_progress="minimal", show_progress_on=seen,
        **hidden,
    )  # fmt: skip
    for field in reading:
        field.change(partial(seen_again, scorer), [upload, *reading], looked_at, show_progress="hidden", **hidden)
    score.click(
        partial(scored, scorer), [upload, *reading, essays, prompts, skips], [columns_problem, result],
        show_progress="full", show_progress_on=result, **one_at_a_time, **hidden,
    )  # fmt: skip


@dataclass(frozen=True)
class _Looked:
    """What the page shows of a file, before it is scored: the values of the tab's components, in their order."""

    file_problem: str = ""
    seen: str = ""
    choices: Any = None
    essays: Any = None
    prompts: Any = None

    @property
    def values(self) -> tuple[Any, ...]:
        hidden = gr.Column(visible=False)
        return (
            self.file_problem, self.seen, self.choices or hidden, self.essays or gr.skip(), self.prompts or gr.skip(), "", "",
        )  # fmt: skip


def taken(scorer: EssayScorer, path: str, sheet: str, encoding: str, delimiter: str) -> tuple[Any, ...]:
    """The file that was uploaded, which is held in memory from now on, and what the page shows of it."""
    try:
        upload = Upload.taken(path)
    except InputError as error:
        return None, *_Looked(problem(problem_in_words(error))).values
    return upload, *seen_again(scorer, upload, sheet, encoding, delimiter)


def seen_again(
    scorer: EssayScorer, upload: Upload | None, sheet: str, encoding: str, delimiter: str
) -> tuple[Any, ...]:
    """What the page shows of a file that is held, read as the fields say."""
    if upload is None:
        return _Looked().values
    try:
        table = look(upload, _reading(sheet, encoding, delimiter))
    except Exception as error:
        return _Looked(problem(problem_in_words(error))).values
    prompt_choices = _prompt_choices(scorer, table.columns)
    return _Looked(
        seen=render("seen", name=upload.name, num_rows=table.num_rows, columns=table.columns, rows=table.rows),
        choices=gr.Column(visible=True),
        essays=gr.Dropdown(choices=table.columns, value=ESSAY if ESSAY in table.columns else None),
        prompts=gr.Dropdown(choices=prompt_choices, value=_usual_prompts(scorer, table.columns)),
    ).values


def _reading(sheet: str, encoding: str, delimiter: str) -> TableReading:
    return TableReading(encoding.strip() or None, STRICT, delimiter or None, sheet.strip() or None)


def _prompt_choices(scorer: EssayScorer, columns: list[str]) -> list[tuple[str, str]]:
    """What may say of an essay which prompt it answers, in words and as the field's value."""
    return [
        *((f"ids in the column {name}", IDS + name) for name in columns),
        *((f"texts in the column {name}", TEXTS + name) for name in columns),
        *((f"all essays answer {prompt_id}", ALL + prompt_id) for prompt_id in sort_prompt_ids(scorer.score_ranges)),
    ]


def _usual_prompts(scorer: EssayScorer, columns: list[str]) -> str | None:
    """What `trm-aes score` goes by where nothing is said; None where that is not enough to tell the prompt."""
    if PROMPT_ID in columns:
        return IDS + PROMPT_ID
    if PROMPT in columns:
        return TEXTS + PROMPT
    return ALL + next(iter(scorer.score_ranges)) if len(scorer.score_ranges) == 1 else None


def scored(
    scorer: EssayScorer,
    upload: Upload | None,
    sheet: str,
    encoding: str,
    delimiter: str,
    essays: str | None,
    prompts: str | None,
    skips: bool,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 (Gradio tells by it that progress is shown)
) -> tuple[str, str]:
    """Scores the file that is held: what is wrong with the choices, and the result."""
    if upload is None or essays is None or prompts is None:
        return problem(NO_FILE if upload is None else NO_ESSAYS if essays is None else NO_PROMPTS), ""
    columns = InputColumns(
        essays,
        # Where texts are chosen, ids are the owner's own.
        prompts.removeprefix(IDS) if prompts.startswith(IDS) else "" if prompts.startswith(TEXTS) else None,
        prompts.removeprefix(TEXTS) if prompts.startswith(TEXTS) else None,
    )
    prompt_id = prompts.removeprefix(ALL) if prompts.startswith(ALL) else None
    try:
        reading = _reading(sheet, encoding, delimiter)
        done, total = 0, look(upload, reading).num_rows

        def watch(num_essays: int):
            nonlocal done
            done += num_essays
            progress((done, total), desc="Scored", unit="essays")

        watched = WatchedScorer(scorer, watch)
        table = score_table(watched, upload, reading, columns, prompt_id, skips, problem_in_words)
    except Exception as error:
        return problem(problem_in_words(error)), ""
    return "", render("scored", table=table, human_reader=HUMAN_READER)
