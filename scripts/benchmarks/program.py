"""What the benchmarks have in common as programs: options in, a JSON file of what was measured out."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trm_aes.cli.parser import CommandParser
from trm_aes.files import check_is_free, write_json
from trm_aes.records import package_versions


def add_output_options(parser: argparse.ArgumentParser):
    """The options that say where what was measured goes."""
    parser.add_argument("--output", required=True, type=Path, help="JSON file of what was measured")
    parser.add_argument("--overwrite", action="store_true", help="replace it")


def program(
    build_parser: Callable[[], CommandParser], run_benchmark: Callable[[argparse.Namespace], None]
) -> Callable[..., None]:
    """The `main` of a benchmark, which takes the words of a command line; an output that exists is refused at once."""

    def main(argv: Sequence[str] | None = None):
        parser = build_parser()
        args = parser.parse_args(argv)
        with parser.flags_in_errors():
            check_is_free(args.output, args.overwrite)
            run_benchmark(args)

    return main


def write_measured(args: argparse.Namespace, **measured: Any):
    """Writes what was measured, with the options and the versions of packages, to the output."""
    options = {name: str(value) for name, value in vars(args).items()}
    write_json(args.output, {**measured, "options": options, "packages": package_versions()})
