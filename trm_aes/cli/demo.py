"""`trm-aes demo`: a page in the browser on which a scorer can be tried."""

import argparse
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from ..errors import DependencyError, InputError
from .options import check_scorer_options, new_parser
from .parser import CommandParser

# What `make quickstart` trains.
QUICKSTART_MODEL = "runs/quickstart/model"


def build_parser() -> CommandParser:
    """The parser of `trm-aes demo`: scorer and address."""
    parser = new_parser(
        "demo", "Serve a page on which a scorer can be tried: one essay, a table, and what is known of the scorer."
    )
    parser.add_argument(
        "--model", default=QUICKSTART_MODEL, help="folder of a run or a checkpoint, or an id on the Hub"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="name or number of this machine; 0.0.0.0: others may visit, too"
    )
    parser.add_argument("--port", type=int, default=7860, help="where the page is served")
    parser.add_argument(
        "--share",
        choices=("true", "false"),
        default="false",
        help="true: a public address for a week, through a server of Gradio's makers, who see what is sent",
    )
    return parser


def main(argv: Sequence[str] | None = None):
    """
    Runs `trm-aes demo` on the words of a command line; `None` reads the program's own.

    Raises:
        DependencyError: without Gradio.
        InputError: if the model cannot be had, or the port is taken.
        InterruptedRun: on Ctrl-C.
    """
    parser = build_parser()
    args = parser.parse_args(argv)
    with parser.flags_in_errors():
        _check_options(args)
        _serve(args)


def _check_options(args: argparse.Namespace):
    if args.model == QUICKSTART_MODEL and not Path(args.model).is_dir():
        raise InputError(
            f"{QUICKSTART_MODEL} does not exist. Run `make quickstart`, or name another scorer with `model`."
        )
    check_scorer_options(args)
    # Looked for, not imported: that takes seconds.
    if importlib.util.find_spec("gradio") is None:
        raise DependencyError("The page needs Gradio: pip install 'trm-aes[demo]'.")


def _serve(args: argparse.Namespace):
    from ..page.app import Address, serve

    serve(args.model, Address(args.host, args.port, args.share == "true"))
