"""How much of a scorer's own rate is left end to end: essays read, tokenized, scored and written, as `trm-aes score` does."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from benchmarks.program import add_output_options, program, write_measured
from benchmarks.speed import ratios
from tqdm import tqdm

from trm_aes.cli.parser import CommandParser
from trm_aes.cli.runner import run
from trm_aes.data.tables import read_rows
from trm_aes.scoring.scorer import DTYPES, EssayScorer, tokenized_rows
from trm_aes.scoring.stream import WINDOW, score_file


def build_parser() -> CommandParser:
    parser = CommandParser(description=__doc__)
    parser.add_argument("--model", required=True, help="folder of a trained scorer")
    parser.add_argument("--input", required=True, help="Parquet file with the columns essay and prompt_id")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--num-threads", type=int, help="threads of the CPU (default: PyTorch's choice)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured, in turn")
    add_output_options(parser)
    return parser


def run_benchmark(args: argparse.Namespace):
    if args.num_threads:
        torch.set_num_threads(args.num_threads)
    scorer = EssayScorer.from_pretrained(args.model, "cpu", dtype=args.dtype)
    rows = list(read_rows(args.input))
    prompt_ids = [str(row["prompt_id"]) for row in rows]
    tokenized = tokenized_rows(scorer.encode([row["essay"] for row in rows], prompt_ids), prompt_ids)
    windows = [tokenized[start : start + WINDOW] for start in range(0, len(rows), WINDOW)]
    with tempfile.TemporaryDirectory() as folder:
        target = str(Path(folder) / "scored.parquet")
        ways: dict[str, Callable[[], object]] = {
            "model": lambda: [sum(1 for _ in scorer.outputs(window)) for window in windows],
            "end to end": lambda: score_file(scorer, args.input, target, overwrite=True),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in tqdm(range(args.rounds), desc="Measuring", unit="round", disable=None):
            for name, way in ways.items():
                started = time.perf_counter()
                way()
                rates[name].append(len(rows) / (time.perf_counter() - started))
    share = "{:.0%} ({:.0%} to {:.0%})".format(*ratios(rates["end to end"], rates["model"]))
    of_model, whole = (np.median(rates[name]) for name in ("model", "end to end"))
    print(f"model {of_model:.1f} essays/s, end to end {whole:.1f}: {share} of the model's own rate")
    write_measured(args, rates=rates)


main = program(build_parser, run_benchmark)

if __name__ == "__main__":
    sys.exit(run(main))
