"""Time and memory of `trm-aes build` and `trm-aes train` against the number of essays and of prompts."""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from benchmarks.essays import words_of, write_rows
from benchmarks.processes import run_measured
from benchmarks.program import add_output_options, program, write_measured
from benchmarks.report import markdown_table
from benchmarks.speed import essay_lengths

from trm_aes.checkpoints import find_checkpoint, load_tokenizer
from trm_aes.cli.parser import CommandParser
from trm_aes.cli.runner import run
from trm_aes.errors import InputError
from trm_aes.files import read_json

SCORES = (1, 6)
SCHEMA = pa.schema(
    [("essay_id", pa.string()), ("prompt_id", pa.string()), ("essay", pa.string()), ("score", pa.int64())]
)


def build_parser() -> CommandParser:
    parser = CommandParser(description=__doc__)
    parser.add_argument("--essays", type=int, nargs="+", default=[1_000, 10_000, 100_000], help="numbers of essays")
    parser.add_argument("--prompts", type=int, nargs="+", default=[1, 8, 200], help="numbers of prompts")
    parser.add_argument("--build-only", action="store_true", help="do not train")
    parser.add_argument(
        "--train-options", default="--recipe tiny --max-steps 10", help="options of `trm-aes train`, in one string"
    )
    add_output_options(parser)
    return parser


def run_benchmark(args: argparse.Namespace):
    # A prompt needs essays in each split.
    pairs = [pair for pair in itertools.product(args.prompts, sorted(args.essays)) if pair[1] >= 10 * pair[0]]
    if not pairs:
        raise InputError("`essays`: a prompt needs 10 of them, and no number of `prompts` has so many.")
    rows = []
    for num_prompts, num_essays in pairs:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(args, Path(folder), num_essays, num_prompts))
        print(rows[-1], flush=True)
    print("\n" + markdown_table(pd.DataFrame(rows).set_index("prompts")))
    write_measured(args, measured=rows)


def measure(args: argparse.Namespace, folder: Path, num_essays: int, num_prompts: int) -> dict[str, float]:
    """Seconds and peak MiB of both programs, each in a process of its own."""
    source = write_scored_essays(folder / "essays.parquet", num_essays, num_prompts)
    options = ["--source", str(source), "--output-dir", str(folder / "data"), "--score-range", "{}:{}".format(*SCORES)]
    # What is measured is not how fast essays are scored.
    options += ["--validation-share", "0.05", "--test-share", "0.05"]
    row = {"prompts": num_prompts, "essays": num_essays, **cost("build", options, folder)}
    if not args.build_only:
        options = ["--data", str(folder / "data"), "--output-dir", str(folder / "run"), *args.train_options.split()]
        row |= cost("train", options, folder)
    return row


def cost(program: str, options: Sequence[str], folder: Path) -> dict[str, float]:
    """CPU seconds and peak MiB of `trm-aes PROGRAM`; of training also the seconds of its steps and evaluations, by the clock."""
    command = [sys.executable, "-m", "trm_aes", program, *options]
    taken = run_measured(command, folder / "log")
    row = {
        f"{program} seconds": round(taken.seconds),
        f"{program} CPU seconds": round(taken.cpu_seconds),
        f"{program} MiB": round(taken.peak_mib),
    }
    if program == "train":
        row["of which steps"] = round(read_json(folder / "run" / "run.json")["train_metrics"]["train_runtime"], 1)
    return row


def write_scored_essays(path: Path, num_essays: int, num_prompts: int) -> Path:
    """
    Essays of ASAP's lengths, of words drawn as often as Zipf's law has it, a third of them from words of the prompt's own; a
    fifth of their words are the better the higher the score.
    """
    words, random = words_of(load_tokenizer(find_checkpoint())), np.random.default_rng(0)
    random.shuffle(words)
    lengths, levels = essay_lengths(1000), SCORES[1] - SCORES[0] + 1

    def row_of(number: int) -> tuple[str, str, str, int]:
        prompt, score = number % num_prompts, int(random.integers(levels))
        places = random.zipf(1.3, lengths[number % len(lengths)]) % len(words)
        kind = random.random(len(places))
        places[kind < 0.3] = 50 * prompt % len(words) + places[kind < 0.3] % 50
        places[kind > 0.8] = (len(words) // 2 + 200 * score + places[kind > 0.8] % 200) % len(words)
        return str(number), str(prompt + 1), " ".join(words[places]).capitalize() + ".", score + SCORES[0]

    return write_rows(path, SCHEMA, num_essays, row_of)


main = program(build_parser, run_benchmark)

if __name__ == "__main__":
    sys.exit(run(main))
