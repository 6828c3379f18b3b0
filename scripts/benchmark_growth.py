"""Time and memory of `trm-aes score` against the number of essays, streamed from Parquet."""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.report import markdown_table
from benchmarks.speed import essay_lengths, peak_resident
from transformers import AutoTokenizer

from trm_aes.cli.parser import CommandParser
from trm_aes.cli.runner import run
from trm_aes.files import check_is_free, write_json
from trm_aes.records import package_versions
from trm_aes.scoring.scorer import EssayScorer

WRITTEN_AT_ONCE = 10_000


def build_parser() -> CommandParser:
    parser = CommandParser(description=__doc__)
    parser.add_argument("--model", required=True, help="folder of a trained scorer")
    parser.add_argument("--essays", type=int, nargs="+", default=[10_000, 100_000], help="numbers of essays, rising")
    parser.add_argument("--score-options", default="", help="further options of `trm-aes score`, in one string")
    parser.add_argument("--output", required=True, type=Path, help="JSON file of what was measured")
    parser.add_argument("--overwrite", action="store_true", help="replace it")
    return parser


def main(argv=None):
    parser = build_parser()
    args = parser.parse_args(argv)
    with parser.flags_in_errors():
        run_benchmark(args)


def run_benchmark(args: argparse.Namespace):
    check_is_free(args.output, args.overwrite)
    prompt_id = next(iter(EssayScorer.from_pretrained(args.model, "cpu").score_ranges))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for num_essays in args.essays:
            source = write_essays(Path(folder) / f"{num_essays}.parquet", num_essays, args.model)
            seconds, peak = score(args, source, prompt_id)
            rows.append({"essays": num_essays, "seconds": round(seconds, 1), "peak_mib": round(peak)})
    slope = np.polyfit([row["essays"] for row in rows], [row["seconds"] for row in rows], 1) if len(rows) > 1 else None
    if slope is not None:
        print(
            f"{1 / slope[0]:.0f} essays/s once started; 1,000,000 essays would take {slope @ [1e6, 1] / 3600:.1f} hours"
        )
    print(markdown_table(pd.DataFrame(rows).set_index("essays")))
    write_json(args.output, {"measured": rows, "model": args.model, "packages": package_versions()})


def write_essays(path: Path, num_essays: int, model: str) -> Path:
    """Essays of random words of the model's vocabulary, of ASAP's lengths."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    words = np.array([word for word in sorted(tokenizer.get_vocab()) if word.isalpha()])
    random = np.random.default_rng(0)
    lengths = essay_lengths(1000)
    schema = pa.schema([("essay_id", pa.string()), ("essay", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, num_essays, WRITTEN_AT_ONCE):
            numbers = range(start, min(start + WRITTEN_AT_ONCE, num_essays))
            essays = [" ".join(random.choice(words, lengths[number % len(lengths)])) for number in numbers]
            writer.write_table(pa.table({"essay_id": [str(number) for number in numbers], "essay": essays}, schema))
    return path


def score(args: argparse.Namespace, source: Path, prompt_id: str) -> tuple[float, float]:
    """Seconds and peak MiB of the scoring program, in a process of its own."""
    program, target = Path(__file__).with_name("score.py"), source.with_suffix(".csv")
    command = [sys.executable, str(program), "--model", args.model, "--input", str(source), "--output", str(target)]
    command += ["--prompt-id", prompt_id, *args.score_options.split()]
    started, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(command)
    while process.poll() is None:
        peak = max(peak, peak_resident(process.pid))
        time.sleep(0.05)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.perf_counter() - started, peak or peak_resident(process.pid)


if __name__ == "__main__":
    sys.exit(run(main))
