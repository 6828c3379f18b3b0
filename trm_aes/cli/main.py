"""`trm-aes build|train|evaluate|score|push`: the programs in `scripts/` under one name."""

import argparse
import importlib
import sys

from .runner import run

PROGRAMS = {
    "build": "build a tokenized data set from scored essays",
    "train": "train a scorer on it",
    "evaluate": "measure a scorer on held-out essays",
    "score": "score new essays",
    "push": "publish a scorer on the Hugging Face Hub",
}


def main() -> int:
    """Entry point of the console script; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="trm-aes",
        description="Tiny Recursive Models that score essays.",
        epilog="\n".join(f"  {name:<10}{what}" for name, what in PROGRAMS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=PROGRAMS, help="then its own options: trm-aes COMMAND --help lists them")
    # The rest belongs to the command. Its module alone is imported: each brings in seconds of libraries.
    args = parser.parse_args(sys.argv[1:2])
    program = importlib.import_module(f".{args.command}", __package__)
    return run(program.main, sys.argv[2:])
