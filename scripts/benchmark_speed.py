"""Speed of scoring and training beside BERT-base, DistilBERT, MiniLM and ModernBERT, on synthetic tokens of ASAP's lengths."""

import argparse
import sys
from dataclasses import asdict

import numpy as np
import pandas as pd
import torch
from benchmarks.program import add_output_options, program, write_measured
from benchmarks.report import markdown_table
from benchmarks.speed import (
    PLAIN,
    Measured,
    SpeedTest,
    essay_lengths,
    matmul_gflops,
    peak_memory,
    ratios,
    system_names,
)
from tqdm import tqdm

from trm_aes.cli.parser import CommandParser
from trm_aes.cli.runner import run
from trm_aes.devices import choose_device
from trm_aes.errors import InputError
from trm_aes.scoring.scorer import DEFAULT_BATCH_TOKENS, DTYPES

BASE = "BERT-base"
DEFAULT_SYSTEMS = ["default", "fast", "tiny", BASE, "DistilBERT", "all-MiniLM-L6-v2", "ModernBERT-base"]


def build_parser() -> CommandParser:
    parser = CommandParser(description=__doc__)
    parser.add_argument("--system", nargs="+", default=DEFAULT_SYSTEMS, help=f"of {', '.join(system_names())}")
    parser.add_argument("--base", default=BASE, help="the system that the others' rates are divided by")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--num-threads", type=int, help="threads of a CPU (default: PyTorch's choice)")
    parser.add_argument("--essays", type=int, default=32, help="essays in the mix of lengths")
    parser.add_argument("--rounds", type=int, default=3, help="how often each system is measured, in turn")
    parser.add_argument("--min-seconds", type=float, default=2.0, help="least time of a measurement of scoring")
    parser.add_argument("--latency-calls", type=int, default=30, help="single essays in each round")
    parser.add_argument("--batch-tokens", type=int, default=DEFAULT_BATCH_TOKENS, help="tokens in a batch of scoring")
    parser.add_argument("--train-batch-size", type=int, default=16)
    parser.add_argument("--train-steps", type=int, default=1, help="steps of training in each round; 0 for none")
    add_output_options(parser)
    return parser


def run_benchmark(args: argparse.Namespace):
    unknown = [name for name in [*args.system, args.base] if name not in system_names()]
    if unknown:
        raise InputError(f"`system` {unknown[0]}: there are {', '.join(system_names())}.")
    if args.base not in args.system:
        raise InputError(f"`base` {args.base} must be among the systems.")
    if args.num_threads:
        torch.set_num_threads(args.num_threads)
    device = torch.device(choose_device(args.device))
    tables = {}
    record = {"device": str(device), "threads": torch.get_num_threads(), "dtypes": {}}
    for name in args.dtype:
        gflops, measured = measure(args, device, getattr(torch, name))
        record["dtypes"][name] = {
            "matmul_gflops": gflops,
            "systems": {system: asdict(values) for system, values in measured.items()},
        }
        tables[name] = table(measured, args.base, gflops)
        print(f"\n{name} on {device}, {torch.get_num_threads()} threads, large products at {gflops:.0f} GFLOP/s")
        print(markdown_table(tables[name]))
    write_measured(args, **record)
    print(f"\nWrote {args.output}")


def measure(args: argparse.Namespace, device: torch.device, dtype: torch.dtype) -> tuple[float, dict[str, Measured]]:
    """The machine's rate for large products, and what was measured of each system."""
    common = {
        "device": device,
        "dtype": dtype,
        "lengths": essay_lengths(args.essays),
        "batch_tokens": args.batch_tokens,
        "train_batch_size": args.train_batch_size,
    }
    tests = {name: SpeedTest(name, **common) for name in args.system}
    measured = {name: Measured() for name in args.system}
    steps = [(number, name) for number in range(args.rounds) for name in args.system]
    for name, test in tqdm(tests.items(), desc="Warming up", unit="system", disable=None):
        measured[name].mean_tokens = float(np.mean(test.lengths))
        measured[name].gflop = test.measure_gflop()
        measured[name].parameters = test.model.num_parameters()
        measured[name].peak_mib = peak_memory({"name": name, **common})
        test.score_rate(0)
        test.latencies(3)
    for _, name in tqdm(steps, desc=f"Measuring {dtype}", unit="system", disable=None):
        measured[name].score_rates.append(tests[name].score_rate(args.min_seconds))
        measured[name].latencies += tests[name].latencies(args.latency_calls)
        # Plain scoring is a way to run, not to train.
        if args.train_steps and not name.endswith(PLAIN):
            measured[name].train_rates.append(tests[name].train_rate(args.train_steps))
    return matmul_gflops(device, dtype), measured


def table(measured: dict[str, Measured], base: str, gflops: float) -> pd.DataFrame:
    """A row a system; rates as medians over the rounds, ratios to the base as median (least to largest)."""
    rows = []
    for name, values in measured.items():
        rate = float(np.median(values.score_rates))
        row = {
            "system": name,
            "parameters": f"{values.parameters / 1e6:.1f} M",
            "GFLOP": f"{values.gflop:.2f}",
            "essays/s": f"{rate:.1f}",
            "essay tokens/s": f"{rate * values.mean_tokens:.0f}",
            f"times {base}": _ratio(values.score_rates, measured[base].score_rates),
            "latency p50, p99 (ms)": f"{np.percentile(values.latencies, 50):.1f}, {np.percentile(values.latencies, 99):.1f}",
            "share of product rate": f"{rate * values.gflop / gflops:.0%}",
            "peak MiB": f"{values.peak_mib:.0f}",
        }
        if values.train_rates:
            row["train essays/s"] = f"{np.median(values.train_rates):.1f}"
            row[f"training, times {base}"] = _ratio(values.train_rates, measured[base].train_rates)
        rows.append(row)
    return pd.DataFrame(rows).set_index("system").fillna("")


def _ratio(ours: list[float], theirs: list[float]) -> str:
    middle, least, largest = ratios(ours, theirs)
    return f"{middle:.1f} ({least:.1f} to {largest:.1f})"


main = program(build_parser, run_benchmark)

if __name__ == "__main__":
    sys.exit(run(main))
