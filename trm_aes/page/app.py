"""The page as a whole, and the server that shows it."""

import os
import socket
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gradio as gr
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from ..checkpoints import find_checkpoint
from ..errors import InputError, InterruptedRun, OutputError
from ..scoring.scorer import EssayScorer
from .about_tab import REPORT_PATH, About, about_tab
from .essay_tab import essay_tab
from .limits import MAX_QUEUE, MAX_RECEIVED, MAX_SESSIONS, SECONDS_HELD, SWEEP_SECONDS
from .rendering import render
from .table_tab import table_tab
from .uploads import uploads_in_private

STYLE = Path(__file__).with_name("style.css")
# No other host is asked for anything, whatever a model card may hold.
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "form-action 'self'; base-uri 'self'"
)
# A table of the card that is too wide scrolls, by keyboard, too.
FOCUS = (
    "new MutationObserver(() => document.querySelectorAll('#card table').forEach(one => { one.tabIndex = 0 }))"
    ".observe(document, {childList: true, subtree: true})"
)
HEAD = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><script>{FOCUS}</script>'
# Dark enough for white letters.
ACCENT, ACCENT_HOVER = "#0a5a8f", "#084a75"
FONT = ("-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "Liberation Sans", "system-ui", "sans-serif")
MONOSPACE = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace")


@dataclass(frozen=True)
class Address:
    """
    Where the page is served.

    Args:
        host: name or number of this machine; `0.0.0.0` for all of its numbers.
        port: 1 to 65,535.
        share: whether Gradio makes a public address for the page, through a server of its makers.
    """

    host: str
    port: int
    share: bool = False

    def check_is_free(self):
        """
        Checks that a server may listen here.

        Raises:
            InputError: if another does, or this machine has no such host.
        """
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind, protocol) as server:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                server.bind(place)
        except (socket.gaierror, UnicodeError):
            raise InputError(f"`host` {self.host}: there is no such host.") from None
        except OSError as error:
            raise InputError(
                f"Nothing can be served at {self.host}, `port` {self.port}: {error.strerror}. Choose another `port`."
            ) from None


def build_page(scorer: EssayScorer, about: About) -> gr.Blocks:
    """
    The page of a scorer, with one worker for the one model: visitors wait in line for it.

    Args:
        scorer: what scores.
        about: what the page says of it.
    """
    with gr.Blocks(title="Essay scorer", analytics_enabled=False, delete_cache=(SWEEP_SECONDS, SECONDS_HELD)) as page:
        gr.HTML(render("head", name=about.name), apply_default_css=False)
        one_at_a_time = {"concurrency_limit": 1, "concurrency_id": "model"}
        with gr.Tabs():
            with gr.Tab("One essay"):
                essay_tab(scorer, one_at_a_time)
            with gr.Tab("A table"):
                table_tab(scorer, one_at_a_time)
            with gr.Tab("About this scorer"):
                about_tab(about)
        gr.HTML(render("foot"), apply_default_css=False)

        def forget(request: gr.Request):
            """Gradio holds the last values of all fields, until 50 others have come."""
            page.state_holder.session_data.pop(request.session_hash, None)

        page.unload(forget)
    return page.queue(max_size=MAX_QUEUE)


def serve(model: str, address: Address):
    """
    Serves the page of a scorer until Ctrl-C. Nothing that a visitor sends is logged or kept.

    Args:
        model: folder of a run or a checkpoint, or an id on the Hub.
        address: where.

    Raises:
        InputError: if the model cannot be had, or the address is taken.
        OutputError: if no public address can be had, where one is asked for.
        InterruptedRun: on Ctrl-C.
    """
    address.check_is_free()
    scorer = EssayScorer.from_pretrained(model)
    about = About.of(find_checkpoint(model))
    # Gradio's own switch, for all that does not belong to one page.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with uploads_in_private():
        page = build_page(scorer, about)
        try:
            _launch(page, about, address)
            threading.Event().wait()
        except KeyboardInterrupt:
            raise InterruptedRun("the page is closed. Nothing that was sent to it is kept.") from None
        finally:
            page.close(verbose=False)


def _launch(page: gr.Blocks, about: About, address: Address):
    _, local, public = page.launch(
        server_name=address.host, server_port=address.port, share=address.share, theme=_theme(), css_paths=STYLE, head=HEAD,
        max_file_size=MAX_RECEIVED, footer_links=[], run_history=False, enable_monitoring=False, ssr_mode=False, pwa=False,
        mcp_server=False, state_session_capacity=MAX_SESSIONS, inbrowser=False, inline=False, quiet=True,
        prevent_thread_lock=True, app_kwargs={"routes": [Route(REPORT_PATH, partial(_report, about))]},
    )  # fmt: skip
    if address.share and public is None:
        raise OutputError("No public address can be had for the page. Is this machine connected? Leave `share` out.")
    print(f"{about.name} is at {public or local} until you press Ctrl-C.", flush=True)


def _theme() -> gr.themes.Base:
    """Fonts of the visitor's own machine, and fields without boxes around them."""
    theme = gr.themes.Base(primary_hue="blue", neutral_hue="slate", font=FONT, font_mono=MONOSPACE)
    return theme.set(
        block_background_fill="transparent", block_border_width="0px", block_padding="0px", block_label_padding="0px",
        block_title_text_weight="600", form_gap_width="0px", input_border_width="1px", button_large_text_weight="600",
        button_primary_background_fill=ACCENT, button_primary_background_fill_hover=ACCENT_HOVER,
        button_primary_background_fill_dark=ACCENT, button_primary_background_fill_hover_dark=ACCENT_HOVER,
        block_background_fill_dark="transparent", block_border_width_dark="0px", input_border_width_dark="1px",
    )  # fmt: skip


async def _report(about: About, request: Request) -> HTMLResponse:
    """The page of the report, which loads nothing and runs nothing."""
    return HTMLResponse(about.report or "There is no report.", 200 if about.report else 404)
