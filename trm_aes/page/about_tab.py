"""The tab "About this scorer": its model card, and its report."""

from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from huggingface_hub import ModelCard

from ..errors import InputError
from ..publishing.hub import CARD_NAME
from ..publishing.model_card import DEFAULT_LICENSE, find_evaluation, find_report, render_model_card
from ..records import RUN_RECORD_NAME
from ..report.files import PAGE_NAME
from .rendering import render

REPORT_PATH = "/report"


@dataclass(frozen=True)
class About:
    """
    What is known of a scorer beside its scores.

    Args:
        name: of the scorer.
        card: its model card as Markdown, without metadata; None where there is none.
        report: the page of its report, HTML; None where there is none.
    """

    name: str
    card: str | None
    report: str | None

    @classmethod
    def of_folder(cls, name: str, folder: Path) -> "About":
        """What lies in a scorer's folder: the card that is there, or the one that `trm-aes push` would make."""
        report_dir = find_report(folder)
        page = None if report_dir is None else report_dir / PAGE_NAME
        has_page = page is not None and page.is_file()
        return cls(name, _card(folder), page.read_text(encoding="utf-8") if has_page and page else None)


def about_tab(about: About):
    """Builds the tab, within Gradio's context."""
    with gr.Column(elem_classes="narrow"):
        gr.HTML(render("about", about=about, report_path=REPORT_PATH.lstrip("/")), apply_default_css=False)
        if about.card is not None:
            gr.Markdown(about.card, latex_delimiters=[], elem_id="card")


def _card(folder: Path) -> str | None:
    file = folder / CARD_NAME
    if file.is_file():
        return ModelCard(file.read_text(encoding="utf-8"), ignore_metadata_errors=True).text
    if not (folder / RUN_RECORD_NAME).is_file():
        return None
    try:
        return render_model_card(
            folder, folder.name, find_evaluation(folder), DEFAULT_LICENSE, find_report(folder)
        ).text
    except InputError:
        # Records of an earlier version: the scorer can be tried all the same.
        return None
