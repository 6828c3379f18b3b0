"""Cold start: help beside a bare `import torch`, and first scores beside Transformers alone, which loads the same weights."""

import argparse
import csv
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.processes import ProcessCost, import_seconds, run_measured
from benchmarks.program import add_output_options, program, write_measured
from benchmarks.report import markdown_table
from benchmarks.speed import ratios

from trm_aes.cli.parser import CommandParser
from trm_aes.cli.runner import run
from trm_aes.data.sources.demo.corpus import load_demo
from trm_aes.errors import InputError
from trm_aes.model.score_scale import ScoreRange

NUM_ESSAYS = 3
NUM_PACKAGES = 15
BARE, HELP, PEER, SCORE = "import torch", "trm-aes --help", "AutoModel", "trm-aes score"
# What is held against what.
PAIRS = ((HELP, BARE), (SCORE, PEER))
# As one does it by hand where this package is absent: the model's own code prepares the essays.
PEER_PROGRAM = """
import csv, json, sys
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.dynamic_module_utils import get_class_from_dynamic_module

folder, essays, output = sys.argv[1:]
model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True).eval()
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
collator = get_class_from_dynamic_module("essay_tokens.EssayCollator", folder)
encode_for_model = sys.modules[collator.__module__].encode_for_model
rows = list(csv.DictReader(open(essays, encoding="utf-8")))
prompt_ids = [row["prompt_id"] for row in rows]
encoded = encode_for_model(tokenizer, model.config, prompt_ids, [row["essay"] for row in rows])
batch = collator.for_model(tokenizer, model.config)(
    [{**vars(essay), "prompt_id": prompt_id} for essay, prompt_id in zip(encoded, prompt_ids)]
)
with torch.inference_mode():
    scores = model(**batch).logits.reshape(len(rows), -1)[:, 0].tolist()
json.dump(scores, open(output, "w"))
"""


def build_parser() -> CommandParser:
    parser = CommandParser(description=__doc__)
    parser.add_argument("--model", required=True, help="folder of a trained scorer")
    parser.add_argument("--rounds", type=int, default=5, help="how often each program is started, in turn")
    add_output_options(parser)
    return parser


def run_benchmark(args: argparse.Namespace):
    if not (Path(args.model) / "config.json").is_file():
        raise InputError(f"`model`: {args.model} is not the folder of a trained scorer.")
    with tempfile.TemporaryDirectory() as name:
        programs = Programs(Path(args.model), Path(name))
        # One round that is not counted: files are in memory from then on, and modules compiled.
        rounds = [programs.start_all() for _ in range(args.rounds + 1)][1:]
        programs.check_scores_agree()
        imports = {name: import_seconds(programs.start(name, "-X", "importtime").log) for name in (PEER, SCORE)}
    costs = {name: [costs[name] for costs in rounds] for name in programs.words}
    print(markdown_table(cost_table(costs)))
    for name, of in PAIRS:
        by_clock, of_cpu = (times(costs, name, of, measure) for measure in ("seconds", "cpu_seconds"))
        print(f"{name} takes {by_clock} times the seconds of {of}, and {of_cpu} times its CPU seconds.")
    print("\n" + markdown_table(import_table(imports)[:NUM_PACKAGES]))
    seconds = {name: [{"seconds": c.seconds, "cpu_seconds": c.cpu_seconds} for c in of] for name, of in costs.items()}
    write_measured(args, measured=seconds, imports=imports)


class Programs:
    """
    The programs that are measured, each started in a folder of its own.

    Args:
        model: folder of a trained scorer.
        folder: for what they read and write.

    Attributes:
        words: of each program by its name, after `python`.
    """

    def __init__(self, model: Path, folder: Path):
        self.folder = folder
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
        self.prompt_id = next(iter(config["score_ranges"]))
        self.scale = ScoreRange.from_list(config["score_ranges"][self.prompt_id])
        self.essays, self.scores, self.peer_scores = (
            folder / name for name in ("essays.csv", "scores.csv", "peer.json")
        )
        essays = load_demo(essays_per_prompt=1).frame["essay"][:NUM_ESSAYS]
        pd.DataFrame({"essay": essays, "prompt_id": self.prompt_id}).to_csv(self.essays, index=False)
        files = ["--input", str(self.essays), "--output", str(self.scores), "--overwrite", "--device", "cpu"]
        self.words = {
            BARE: ["-c", "import torch"],
            HELP: ["-m", "trm_aes", "--help"],
            PEER: ["-c", PEER_PROGRAM, str(model), str(self.essays), str(self.peer_scores)],
            SCORE: ["-m", "trm_aes", "score", "--model", str(model), *files],
        }
        # The code that the peer runs is copied there.
        self.environment = {**os.environ, "HF_MODULES_CACHE": str(folder / "modules"), "HF_HUB_OFFLINE": "1"}

    def start(self, name: str, *options: str) -> ProcessCost:
        """Runs one of them, with further options of Python."""
        command = [sys.executable, *options, *self.words[name]]
        return run_measured(command, self.folder / "log", environment=self.environment)

    def start_all(self) -> dict[str, ProcessCost]:
        """Runs one after the other."""
        return {name: self.start(name) for name in self.words}

    def check_scores_agree(self):
        """
        Checks that both ways gave the same scores.

        Raises:
            InputError: if they did not: other work was measured.
        """
        normalized = json.loads(self.peer_scores.read_text(encoding="utf-8"))
        with open(self.scores, encoding="utf-8", newline="") as file:
            ours = [float(row["predicted_score"]) for row in csv.DictReader(file)]
        theirs = [float(self.scale.denormalize(score)) for score in normalized]
        if not np.allclose(ours, theirs, atol=1e-4 * self.scale.span):
            raise InputError(f"The scores differ: {ours} here, and {theirs} by the code that came with the model.")


def cost_table(costs: Mapping[str, Sequence[ProcessCost]]) -> pd.DataFrame:
    """A row a program: medians, with the least and the largest in brackets."""
    rows = {}
    for name, measured in costs.items():
        row = {}
        for column, measure in (("seconds", "seconds"), ("CPU seconds", "cpu_seconds"), ("peak MiB", "peak_mib")):
            values = [asdict(cost)[measure] for cost in measured]
            row[column] = f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("program")


def import_table(imports: Mapping[str, Mapping[str, tuple[float, str]]]) -> pd.DataFrame:
    """A row a package that `trm-aes score` imports: its slowest module with all that this imports, and seconds in both."""
    rows = [
        {"package": package, "module": module, SCORE: seconds, PEER: imports[PEER].get(package, (np.nan, ""))[0]}
        for package, (seconds, module) in imports[SCORE].items()
        if package not in sys.stdlib_module_names
    ]
    return pd.DataFrame(rows).set_index("package")


def times(costs: Mapping[str, Sequence[ProcessCost]], name: str, of: str, measure: str) -> str:
    """How many times as much one program takes as another, as median over the rounds (least to largest)."""
    middle, least, largest = ratios(*([getattr(cost, measure) for cost in costs[program]] for program in (name, of)))
    return f"{middle:.2f} ({least:.2f} to {largest:.2f})"


main = program(build_parser, run_benchmark)

if __name__ == "__main__":
    sys.exit(run(main))
