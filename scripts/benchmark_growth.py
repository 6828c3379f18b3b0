"""Time and memory of `trm-aes score` over the course of a run, streamed from Parquet to Parquet."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.essays import write_essays
from benchmarks.processes import ProcessCost, Sample, run_measured
from benchmarks.program import add_output_options, program, write_measured
from benchmarks.report import markdown_table

from trm_aes.cli.parser import CommandParser
from trm_aes.cli.runner import run
from trm_aes.scoring.parts import ScoringParts
from trm_aes.scoring.scorer import EssayScorer
from trm_aes.scoring.stream import WINDOW

# Rows of the table of a run's course.
NUM_STRETCHES = 10


def build_parser() -> CommandParser:
    parser = CommandParser(description=__doc__)
    parser.add_argument("--model", required=True, help="folder of a trained scorer")
    parser.add_argument("--essays", type=int, nargs="+", default=[10_000, 100_000], help="numbers of essays, rising")
    parser.add_argument("--mean-words", type=int, help="mean length of an essay (default: ASAP's, 270)")
    parser.add_argument("--score-options", default="", help="further options of `trm-aes score`, in one string")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks at memory and progress")
    parser.add_argument(
        "--work-dir",
        type=Path,
        help="keep essays and scores here: a run that was interrupted goes on (default: a temporary folder)",
    )
    add_output_options(parser)
    return parser


def run_benchmark(args: argparse.Namespace):
    prompt_id = next(iter(EssayScorer.from_pretrained(args.model, "cpu").score_ranges))
    measured = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.work_dir or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for num_essays in args.essays:
            # What lies in the folder is taken, so a name says what the essays are.
            name = f"{num_essays}" if args.mean_words is None else f"{num_essays}_of_{args.mean_words}_words"
            source = write_essays(folder / f"{name}.parquet", num_essays, args.model, args.mean_words)
            scored_before, cost = score(args, source, prompt_id)
            measured.append({"essays": num_essays, "scored_before": scored_before, **asdict(cost)})
            print(f"\n{num_essays:,} essays:\n{markdown_table(course(cost.samples))}", flush=True)
    rows = [{name: round(run[name]) for name in ("essays", "scored_before", "seconds", "peak_mib")} for run in measured]
    # The time of a run that went on where an earlier one was interrupted is not that of all its essays.
    whole = [row for row in rows if not row["scored_before"]]
    if len(whole) > 1:
        slope = np.polyfit([row["essays"] for row in whole], [row["seconds"] for row in whole], 1)
        hours = slope @ [1e6, 1] / 3600
        print(f"\n{1 / slope[0]:.0f} essays/s once started; 1,000,000 essays would take {hours:.1f} hours")
    print("\n" + markdown_table(pd.DataFrame(rows).set_index("essays")))
    write_measured(args, measured=measured)


def score(args: argparse.Namespace, source: Path, prompt_id: str) -> tuple[int, ProcessCost]:
    """
    How many essays an earlier run that was interrupted had scored, and what the scoring program costs for the others, in a
    process of its own. The parts beside its output tell how far it has got.
    """
    program, target = Path(__file__).with_name("score.py"), source.with_name(f"{source.stem}.scores.parquet")
    command = [sys.executable, str(program), "--model", args.model, "--input", str(source), "--output", str(target)]
    command += ["--prompt-id", prompt_id, "--overwrite", *args.score_options.split()]
    parts = ScoringParts(target, {})
    scored_before = len(parts) * WINDOW
    return scored_before, run_measured(command, target.with_suffix(".log"), args.every, lambda: len(parts) * WINDOW)


def course(samples: Sequence[Sample]) -> pd.DataFrame:
    """
    The course of a run, a row a stretch: its first pass, which checks the input; ten of about as many essays each; and what
    comes after the last window, when scores are written. `resident MiB` is the most at a look within it.
    """
    done = np.array([sample.progress for sample in samples])
    if not done.any():
        return pd.DataFrame([_stretch("all", samples)]).set_index("until")
    since = int((done > 0).argmax())
    rows = [_stretch("checked", samples[: since + 1])]
    for goal in np.linspace(0, done.max(), NUM_STRETCHES + 1)[1:]:
        until = int((done >= goal).argmax())
        if until > since:
            rows.append(_stretch(f"{done[until]:,}", samples[since : until + 1]))
            since = until
    return pd.DataFrame([*rows, _stretch("written", samples[since:])]).set_index("until")


def _stretch(until: str, samples: Sequence[Sample]) -> dict[str, Any]:
    first, last = samples[0], samples[-1]
    num_essays, seconds = last.progress - first.progress, last.seconds - first.seconds
    return {
        "until": until,
        "seconds": round(last.seconds),
        "essays/s": round(num_essays / seconds) if num_essays > 0 else "",
        "resident MiB": round(max(sample.resident_mib for sample in samples)),
    }


main = program(build_parser, run_benchmark)

if __name__ == "__main__":
    sys.exit(run(main))
