"""Options that say which essays of a table are scored as of which prompt, of every command that scores new essays."""

import argparse

from .options import refuse_idle
from .table_options import add_reading_options

INPUT_HELP = ".csv, .tsv, .jsonl, .parquet, .xlsx, .xls or .ods with a column of essays, .txt with an essay a line"
# Fields of the library's `columns`, each an option of its own here.
RENAMED = {"source": "input"} | {f"columns.{name}": f"{name}_column" for name in ("essay", "prompt_id", "prompt")}


def add_input_options(parser: argparse.ArgumentParser):
    """The options that name the essays' prompt and the input's columns, and say how the input is read."""
    parser.add_argument("--prompt-id", help="the prompt that all essays answer (else the input's prompt_id or prompt)")
    for name in ("essay", "prompt-id", "prompt"):
        usual = name.replace("-", "_")
        parser.add_argument(f"--{name}-column", metavar="NAME", help=f"column with the {name} ({usual} if not given)")
    add_reading_options(parser)


def check_input_options(args: argparse.Namespace):
    """
    Checks what can be told of these options before the library is there.

    Raises:
        InputError: for columns that would have no effect.
    """
    if args.prompt_id is not None:
        names = ("prompt_id_column", "prompt_column", "unknown_prompt")
        refuse_idle(args, (name for name in names if hasattr(args, name)), "with `prompt_id`, which all essays answer")
