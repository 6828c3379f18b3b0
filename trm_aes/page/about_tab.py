"""The tab "About this scorer": its model card, and its report."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from huggingface_hub import ModelCard, snapshot_download

from ..checkpoints import Checkpoint
from ..errors import InputError
from ..publishing.hub import CARD_NAME
from ..publishing.model_card import DEFAULT_LICENSE, find_evaluation, find_report, render_model_card
from ..publishing.privacy import published_report
from ..records import REPORT_NAME, RUN_RECORD_NAME
from ..report.files import read_report
from .rendering import render

REPORT_PATH = "/report"
REPORT_FOLDER = "report-test"
SHOWN_FILES = [CARD_NAME, f"{REPORT_FOLDER}/{REPORT_NAME}"]


@dataclass(frozen=True)
class About:
    """
    What is known of a scorer beside its scores.

    Args:
        name: of the scorer.
        card: its model card as Markdown, without metadata; None where there is none.
        report: the page of its report, HTML, as it would be published; None where there is none.
    """

    name: str
    card: str | None
    report: str | None

    @classmethod
    def of(cls, scorer: Checkpoint) -> "About":
        """
        What lies in a scorer's folder, or beside it on the Hub: the card that is there, or the one that `trm-aes push` would
        make, and the report on its test split.
        """
        if scorer.hub_id is not None:
            # Without them the scorer can be tried all the same.
            with contextlib.suppress(Exception):
                snapshot_download(scorer.hub_id, revision=scorer.commit, allow_patterns=SHOWN_FILES)
        report_dir = None
        with contextlib.suppress(InputError):  # Of an earlier version: the scorer can be tried all the same.
            report_dir = find_report(scorer.folder)
        return cls(scorer.name, _card(scorer.folder, report_dir), None if report_dir is None else _report(report_dir))


def about_tab(about: About):
    """Builds the tab, within Gradio's context."""
    with gr.Column(elem_classes="narrow"):
        gr.HTML(render("about", about=about, report_path=REPORT_PATH.lstrip("/")), apply_default_css=False)
        if about.card is not None:
            gr.Markdown(about.card, latex_delimiters=[], elem_id="card")


def _report(report_dir: Path) -> str:
    """
    The page of a report, made anew from its record: the page in the folder of one's own has names and paths that are for
    oneself alone, and one from the Hub could hold anything.
    """
    from ..report.page import render_page

    return render_page(published_report(read_report(report_dir)))


def _card(folder: Path, report_dir: Path | None) -> str | None:
    file = folder / CARD_NAME
    if file.is_file():
        return ModelCard(file.read_text(encoding="utf-8"), ignore_metadata_errors=True).text
    if not (folder / RUN_RECORD_NAME).is_file():
        return None
    try:
        return render_model_card(folder, folder.name, find_evaluation(folder), DEFAULT_LICENSE, report_dir).text
    except InputError:
        # Records of an earlier version: the scorer can be tried all the same.
        return None
