"""`trm-aes build|train|adapt|evaluate|report|score|explain|demo|push|states`: the programs in `scripts/` under one name."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from .parser import CommandParser
from .runner import run

PROGRAMS = {
    "build": "build a tokenized data set from scored essays",
    "train": "train a scorer on it",
    "adapt": "tell a scorer of a prompt that it has never seen, by a few scored essays",
    "evaluate": "measure a scorer on held-out essays",
    "report": "report on a scorer as an assessment body asks for it",
    "score": "score new essays",
    "explain": "say what moved the scores of essays, sentence by sentence and word by word",
    "demo": "try a scorer on a page in the browser",
    "push": "publish a scorer on the Hugging Face Hub",
    "states": "show or clear what training keeps on disk",
}


def main() -> int:
    """Entry point of the console script; returns the exit code."""
    return run(_run_command, sys.argv[1:])


def _run_command(argv: Sequence[str] | None):
    words = list(argv or [])
    parser = CommandParser(
        "trm-aes",
        "Tiny Recursive Models that score essays.",
        epilog="\n".join(f"  {name:<10}{what}" for name, what in PROGRAMS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=PROGRAMS, help="then its own options: trm-aes COMMAND --help lists them")
    # The rest belongs to the command.
    args = parser.parse_args(words[:1])
    importlib.import_module(f".{args.command}", __package__).main(words[1:])
