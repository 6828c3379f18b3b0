"""Faithfulness of explanations: what is said to have moved a score is deleted, beside what other methods name; resumable."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.faithfulness import (
    LEAST_SENTENCES,
    PEERS,
    SENTENCES,
    WORDS,
    agreement,
    curve,
    enough_sentences,
    mean_estimate,
    movements,
    rankings,
)
from benchmarks.report import markdown_table
from benchmarks.settings import check_settings
from tqdm import tqdm

from trm_aes.checks import check_at_least_one
from trm_aes.cli.parser import CommandParser
from trm_aes.cli.runner import run
from trm_aes.data.dataset import EssayDataset, load_essay_dataset
from trm_aes.errors import InputError
from trm_aes.evaluation.bootstrap import Estimate
from trm_aes.files import owned, write_json
from trm_aes.scoring.scorer import EssayScorer

ESSAYS, FIGURES = "essays.jsonl", "figures.json"


def build_parser() -> CommandParser:
    parser = CommandParser(description=__doc__)
    parser.add_argument("--model", required=True, help="a scorer whose model has an encoder and a lexical head")
    parser.add_argument("--second-model", help="a scorer of another seed: do both name the same sentences?")
    parser.add_argument("--data", required=True, help="the data set whose test essays are explained")
    parser.add_argument("--essays", type=int, default=200, help="how many of them are drawn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output-dir", required=True, type=Path, help="figures, and what is known of each essay")
    return parser


def main(argv=None):
    parser = build_parser()
    args = parser.parse_args(argv)
    with parser.flags_in_errors():
        run_benchmark(args)


def run_benchmark(args: argparse.Namespace):
    check_at_least_one(args.essays, "essays")
    data = load_essay_dataset(args.data)
    scorers = [EssayScorer.from_pretrained(name, "cpu") for name in (args.model, args.second_model) if name]
    settings = {"seed": args.seed, "models": [scorer.checksums() for scorer in scorers], "data": data.checksum}
    with owned(args.output_dir):
        args.output_dir.mkdir(parents=True, exist_ok=True)
        check_settings(args.output_dir, settings, "output_dir", ESSAYS)
        measured = measure(args, data, scorers)
    figures = summary(measured, args.seed)
    write_json(args.output_dir / FIGURES, json.loads(json.dumps(figures, default=asdict)))
    for kind, numbers in (("sentences", SENTENCES), ("words", WORDS)):
        print(f"\nMovement of the score in SDs when {kind} are deleted, over {len(measured)} essays")
        print(markdown_table(table(figures[kind], numbers)))
    for name, value in {**figures["agreement"], "gap of gradients (points)": figures["gap"]}.items():
        print(f"{name}: {shown(value)}")


def measure(args: argparse.Namespace, data: EssayDataset, scorers: list[EssayScorer]) -> list[dict]:
    """What was measured of each essay that is drawn; essays that an earlier run has measured are not measured again."""
    frame = data.split("test").select_columns(["essay_id", "prompt_id", "essay", "score"]).to_pandas()
    stds = frame.groupby("prompt_id")["score"].std()
    fit = frame[[enough_sentences(essay) for essay in frame["essay"]]]
    if fit.empty:
        raise InputError(f"{data.folder}: no test essay has {LEAST_SENTENCES} sentences and {2 * WORDS[-1]} words.")
    drawn = fit.iloc[np.random.default_rng(args.seed).permutation(len(fit))[: args.essays]]
    path = args.output_dir / ESSAYS
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    # The last one may have been cut short.
    done = {essay["essay_id"]: essay for essay in (json.loads(line) for line in lines if line.endswith("\n"))}
    path.write_text("".join(json.dumps(essay) + "\n" for essay in done.values()), encoding="utf-8")
    with open(path, "a", encoding="utf-8") as file:
        for number, row in enumerate(tqdm(drawn.itertuples(), total=len(drawn), unit="essay", disable=None)):
            if row.essay_id in done:
                continue
            rng = np.random.default_rng([args.seed, number])
            explanations = [scorer.explain(row.essay, row.prompt_id) for scorer in scorers]
            ranked = rankings(row.essay, explanations[0], scorers[0].model.config.lexical_share, rng)
            done[row.essay_id] = {
                "essay_id": row.essay_id,
                "prompt_id": row.prompt_id,
                "score_std": float(stds[row.prompt_id]),
                "lengths": [effect.end - effect.start for effect in explanations[0].sentences],
                "changes": [[effect.change for effect in found.sentences] for found in explanations],
                "gap": explanations[0].recursive_parts["gap"],
                **movements(scorers[0], row.essay, explanations[0], ranked),
            }
            file.write(json.dumps(done[row.essay_id]) + "\n")
            file.flush()
    return [done[essay_id] for essay_id in drawn["essay_id"] if essay_id in done]


def summary(essays: list[dict], seed: int) -> dict:
    """All figures: curves by kind and method, agreement, and how far gradients fail to add up."""
    figures: dict = {
        kind: {method: curve(essays, kind, method, seed) for method in essays[0][kind]}
        for kind in ("sentences", "words")
    }
    pairs = {"importance and length of sentences": [(essay["changes"][0], essay["lengths"]) for essay in essays]}
    if len(essays[0]["changes"]) == 2:
        pairs["importance by both models"] = [tuple(essay["changes"]) for essay in essays]
        pairs["importance by the second model and length"] = [(e["changes"][1], e["lengths"]) for e in essays]
    figures["agreement"] = {
        name: mean_estimate([agreement(*pair) for pair in of_essays], seed) for name, of_essays in pairs.items()
    }
    figures["gap"] = mean_estimate([abs(essay["gap"]) for essay in essays], seed)
    return figures


def table(curves: dict[str, list[dict[str, Estimate]]], numbers: tuple[int, ...]) -> pd.DataFrame:
    """A row a method and measure, a column for each number of parts that are deleted."""
    rows = {
        f"{method}: {name}": [shown(point[name]) for point in points]
        for method, points in curves.items()
        for name in points[0]
        if name == "movement" or method not in PEERS
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=[str(number) for number in numbers])


def shown(figure: Estimate) -> str:
    """A figure with its interval."""
    interval = "" if figure.low is None else f" [{figure.low:.3f}, {figure.high:.3f}]"
    return f"{figure.value:.3f}{interval}"


if __name__ == "__main__":
    sys.exit(run(main))
