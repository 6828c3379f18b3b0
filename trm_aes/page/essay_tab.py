"""The tab "One essay": a prompt and an essay in, the score and what moved it out."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from ..data.cells import check_essay_text
from ..errors import InputError
from ..model.configuration_trm import sort_prompt_ids
from ..model.essay_tokens import known_prompt_texts
from ..model.score_scale import ScoreRange
from ..scoring.scorer import EssayScore, EssayScorer
from .limits import MAX_EXPLAINED_LETTERS, check_length
from .moved import legend, parts_of
from .path_figure import confidence_path, score_path
from .rendering import problem, render
from .uploads import Upload
from .wording import (
    HUMAN_READER,
    WAS_CUT,
    advisories_in_words,
    confidence_in_words,
    problem_in_words,
    set_in_words,
)

NO_PROMPT = "Choose the prompt that the essay answers."
NO_ESSAY = "There is no essay yet: type or paste one, or load a text file."


def essay_tab(scorer: EssayScorer, one_at_a_time: dict[str, Any]):
    """
    Builds the tab, within Gradio's context.

    Args:
        scorer: what scores.
        one_at_a_time: of an event that the model is needed for.
    """
    prompt_ids = sort_prompt_ids(scorer.score_ranges)
    only = prompt_ids[0] if len(prompt_ids) == 1 else None
    with gr.Row(equal_height=False, elem_classes="columns"):
        with gr.Column(elem_classes="given"):
            prompt = gr.Dropdown(prompt_ids, value=only, label="Prompt", elem_id="prompt")
            prompt_problem = gr.HTML(apply_default_css=False, elem_id="prompt-problem")
            prompt_text = gr.HTML(shown_prompt(scorer, only), apply_default_css=False)
            essay = gr.Textbox(
                "", label="Essay", lines=14, max_lines=24, placeholder="Type or paste the essay here.", elem_id="essay"
            )
            essay_problem = gr.HTML(apply_default_css=False, elem_id="essay-problem")
            with gr.Row(elem_classes="buttons"):
                score = gr.Button("Score", variant="primary", elem_id="score")
                load = gr.UploadButton("Load a text file", file_types=[".txt"], elem_id="load")
        with gr.Column(elem_classes="found"):
            result = gr.HTML(render("no_result"), apply_default_css=False, elem_id="result")
    hidden: dict[str, Any] = {"api_visibility": "private"}
    prompt.change(partial(shown_prompt, scorer), prompt, prompt_text, show_progress="hidden", **hidden)
    load.upload(loaded_text, load, [essay, essay_problem], show_progress="hidden", **hidden)
    score.click(
        partial(scored, scorer), [prompt, essay], [prompt_problem, essay_problem, result], show_progress_on=result,
        **one_at_a_time, **hidden,
    )  # fmt: skip


def shown_prompt(scorer: EssayScorer, prompt_id: str | None) -> str:
    """The text of a prompt and its scale, as HTML; nothing where none is chosen."""
    if prompt_id is None:
        return ""
    text = known_prompt_texts(scorer.model.config).get(prompt_id, "")
    return render("prompt", text=text, scale=str(scorer.score_ranges[prompt_id]))


def loaded_text(path: str) -> tuple[Any, str]:
    """The essay in a text file that was uploaded, and what is wrong with it; the field stays as it is if anything is."""
    try:
        upload = Upload.taken(path)
        text = upload.content.decode("utf-8-sig")
        check_length(text)
    except UnicodeDecodeError:
        return gr.skip(), problem("This file is no text in UTF-8. Save it as such, or paste the essay.")
    except InputError as error:
        return gr.skip(), problem(problem_in_words(error))
    return text, ""


def scored(scorer: EssayScorer, prompt_id: str | None, essay: str) -> Iterator[tuple[str, str, Any]]:
    """
    Scores an essay.

    Yields:
        What is wrong with the prompt, what is wrong with the essay, and the result: first the score, then what moved it.
    """
    wrong = (problem("" if prompt_id else NO_PROMPT), problem("" if essay.strip() else NO_ESSAY))
    if prompt_id is None or any(wrong):
        yield *wrong, render("no_result")
        return
    try:
        check_length(essay)
        check_essay_text(essay, "This text")
        [result] = scorer.score([essay], [prompt_id])
        shown = _Shown.of(scorer, result, prompt_id)
        yield "", "", render("result", **vars(shown), moved=None)
        yield "", "", render("result", **vars(shown), moved=_moved(scorer, essay, prompt_id))
    except Exception as error:
        yield "", problem(problem_in_words(error)), render("no_result")


@dataclass(frozen=True)
class _Shown:
    """What the page shows of a score, beside what moved it; ends of marks on the scale in percent of its length."""

    result: EssayScore
    scale: str
    ends: tuple[str, str]
    place: float
    set_places: tuple[float, float] | None
    set_words: str | None
    confidence_words: str
    advisories: list[tuple[str, list[str]]]
    traits: list[dict[str, Any]]
    was_cut: str
    human_reader: str = HUMAN_READER

    @classmethod
    def of(cls, scorer: EssayScorer, result: EssayScore, prompt_id: str) -> "_Shown":
        score_range = scorer.score_ranges[prompt_id]
        set_places = None
        if result.score_low is not None and result.score_high is not None:
            low, high = (_place(score_range, score_range.parse(end)) for end in (result.score_low, result.score_high))
            set_places = (low, high)
        return cls(
            result=result,
            scale=str(score_range),
            ends=(score_range.format(score_range.min_score), score_range.format(score_range.max_score)),
            place=_place(score_range, result.score),
            set_places=set_places,
            set_words=set_in_words(result, score_range),
            confidence_words=confidence_in_words(result),
            advisories=advisories_in_words(result),
            traits=_traits(scorer, result, prompt_id),
            was_cut=WAS_CUT if result.was_cut else "",
        )


def _place(score_range: ScoreRange, score: float) -> float:
    return float(100 * score_range.normalize(score))


def _traits(scorer: EssayScorer, result: EssayScore, prompt_id: str) -> list[dict[str, Any]]:
    """The traits of an essay in the order of the scorer's, each with its score and its place on its own scale."""
    rows = []
    for name, trait in result.traits.items():
        trait_range = scorer.trait_ranges[name][prompt_id]
        rows.append(
            {
                "name": name,
                "score": trait.rounded_score,
                "scale": str(trait_range),
                "place": _place(trait_range, trait.score),
            }
        )
    return rows


def _moved(scorer: EssayScorer, essay: str, prompt_id: str) -> dict[str, Any]:
    """What moved the score: the essay in parts, and the path of the recursion; a long essay is not taken apart."""
    score_range, points = scorer.score_ranges[prompt_id], scorer.trajectory(essay, prompt_id)
    found: dict[str, Any] = {
        "score_path": score_path(points, score_range),
        "confidence_path": confidence_path(points),
        "points": points,
        "parts": [],
        "too_long": len(essay) > MAX_EXPLAINED_LETTERS,
        "most": MAX_EXPLAINED_LETTERS,
    }
    if not found["too_long"]:
        explanation = scorer.explain(essay, prompt_id)
        if explanation.sentences:
            found["parts"] = parts_of(essay, explanation.sentences, score_range)
        found |= {
            "legend": legend(score_range),
            "passages": len(explanation.sentences) < explanation.num_sentences,
        }
    return found
