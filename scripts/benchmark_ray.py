"""Essays a second of `trm-aes score` in one process, and with 1, 2, … workers of Ray on this machine."""

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from benchmarks.essays import write_essays
from benchmarks.processes import run_measured
from benchmarks.program import add_output_options, program, write_measured
from benchmarks.report import markdown_table

from trm_aes.cli.parser import CommandParser
from trm_aes.cli.runner import run
from trm_aes.errors import InputError
from trm_aes.scoring.scorer import EssayScorer


def build_parser() -> CommandParser:
    parser = CommandParser(description=__doc__)
    parser.add_argument("--model", required=True, help="folder of a trained scorer")
    parser.add_argument("--essays", type=int, nargs=2, default=[2_000, 20_000], help="two numbers of essays, rising")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of workers")
    parser.add_argument("--score-options", default="", help="further options of `trm-aes score`, in one string")
    add_output_options(parser)
    return parser


def run_benchmark(args: argparse.Namespace):
    prompt_id = next(iter(EssayScorer.from_pretrained(args.model, "cpu").score_ranges))
    ways = {"one process": []} | {
        f"{number} of Ray": ["--engine", "ray", "--ray-workers", str(number)] for number in args.workers
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        sources = [write_essays(Path(folder) / f"{number}.parquet", number, args.model) for number in args.essays]
        for way, options in ways.items():
            # As many threads as a worker has, so that workers are compared and not threads.
            options = [*options, "--device", "cpu", "--prompt-id", prompt_id, *args.score_options.split()]
            few, many = (score(args.model, source, Path(folder) / way / source.name, options) for source in sources)
            rate = (args.essays[1] - args.essays[0]) / (many - few)
            rows.append(
                {"scored by": way, "seconds": round(many, 1), "to start": round(few - args.essays[0] / rate, 1)}
            )
            rows[-1]["essays/s"] = round(rate, 1)
        check_scores_agree({way: Path(folder) / way / sources[1].name for way in ways})
    print(markdown_table(pd.DataFrame(rows).set_index("scored by")))
    write_measured(args, measured=rows)


def score(model: str, source: Path, target: Path, options: list[str]) -> float:
    """Seconds of the scoring program, in a process of its own with one thread."""
    command = [sys.executable, str(Path(__file__).with_name("score.py")), "--model", model]
    command += ["--input", str(source), "--output", str(target), *options]
    return run_measured(command, source.with_name("log"), environment={**os.environ, "OMP_NUM_THREADS": "1"}).seconds


def check_scores_agree(outputs: Mapping[str, Path]):
    """
    Checks that scores are the same to the bit, whoever scored them.

    Raises:
        InputError: if they are not: other work was measured.
    """
    scores = {way: pq.read_table(path)["predicted_score"].to_pylist() for way, path in outputs.items()}
    first, *others = scores
    for way in others:
        if scores[way] != scores[first]:
            raise InputError(f"The scores of {way} are not those of {first}.")


main = program(build_parser, run_benchmark)

if __name__ == "__main__":
    sys.exit(run(main))
