"""Does recursion earn its place? Forms of recursion and their controls, trained on the same folds and seeds; resumable."""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.designs import CONTROLS, DESIGNS
from benchmarks.report import markdown_table
from benchmarks.study import LEXICAL_SHARE, Study

from trm_aes.cli.parser import CommandParser
from trm_aes.cli.runner import run
from trm_aes.data.folder import read_card
from trm_aes.errors import InputError
from trm_aes.evaluation.difference import Difference, paired_scores, qwk_difference
from trm_aes.files import owned, read_json, write_json
from trm_aes.model.score_scale import ScoreRange
from trm_aes.records import package_versions

KINDS = {"alone": 0.0, "whole": LEXICAL_SHARE}
RESULT, PICTURE = "result.json", "recursion.png"


def build_parser() -> CommandParser:
    parser = CommandParser(description=__doc__)
    parser.add_argument(
        "--data", required=True, nargs="+", help="data sets, one a fold, as `trm-aes build` writes them"
    )
    parser.add_argument(
        "--design", nargs="+", choices=tuple(DESIGNS), default=list(DESIGNS), help="forms of recursion and controls"
    )
    parser.add_argument("--seed", nargs="+", type=int, default=[42])
    parser.add_argument("--test", action="store_true", help="measure on test essays: once, when all is chosen")
    parser.add_argument("--output-dir", required=True, type=Path, help="results, a folder each, and a picture of all")
    return parser


def main(argv=None):
    parser = build_parser()
    args = parser.parse_args(argv)
    with parser.flags_in_errors():
        run_study(args)


def run_study(args: argparse.Namespace):
    split = "test" if args.test else "validation"
    runs = [(data, design, seed) for data in args.data for seed in args.seed for design in args.design]
    with owned(args.output_dir):
        args.output_dir.mkdir(parents=True, exist_ok=True)
        study = None
        for data, design, seed in runs:
            folder = run_folder(args.output_dir, data, design, seed, split)
            if (folder / RESULT).is_file():
                check_same_data(folder, data)
                continue
            if study is None or str(study.data.folder) != data:
                study = Study.prepare(data, args.test)
            train_and_measure(study, design, seed, split, folder)
    found = {run: run_folder(args.output_dir, *run, split) for run in runs}
    print(markdown_table(table(args, found)))
    plot(args, found, args.output_dir / PICTURE)


def run_folder(output_dir: Path, data: str, design: str, seed: int, split: str) -> Path:
    return output_dir / split / Path(data).name / f"{design}-seed_{seed}"


def check_same_data(folder: Path, data: str):
    """Checks that a result is of these essays."""
    card = read_card(Path(data))
    if read_json(folder / RESULT)["files"] != card["files"]:
        raise InputError(f"{folder} is of other essays than {data}. Choose another `output_dir`.")


def train_and_measure(study: Study, design_name: str, seed: int, split: str, folder: Path):
    """Trains a design, and writes its figures and predictions."""
    design = study.design(design_name, seed)
    scores, by_epoch, seconds = study.train(design, seed)
    folder.mkdir(parents=True, exist_ok=True)
    frame = study.frame(split, scores[split][-1])[["essay_id", "prompt_id", "score"]]
    figures = {}
    for kind, share in KINDS.items():
        whole = {name: (1 - share) * values[-1] + share * study.lexical[name] for name, values in scores.items()}
        frame[kind] = study.matched(whole, split)["predicted_score"]
        figures[kind] = study.mean_qwk(whole, split)
    frame.to_csv(folder / "predictions.csv", index=False)
    steps = scores[split]
    normalized = np.array(
        [study.data.score_ranges[p].normalize(s) for p, s in zip(frame["prompt_id"], frame["score"], strict=True)]
    )
    errors = [np.abs(step - normalized) for step in steps]
    result = {
        "design": design_name,
        "seed": seed,
        "split": split,
        "essays": len(frame),
        "mean_qwk": figures,
        "validation_by_epoch": by_epoch,
        "cpu_seconds": round(seconds, 1),
        "trained_parameters": sum(weight.numel() for weight in design.parameters() if weight.requires_grad),
        # From a step to the next: of how many essays the error falls.
        "error_falls": [float(np.mean(after < before)) for before, after in zip(errors, errors[1:], strict=False)],
        "files": study.data.card["files"],
        "packages": package_versions(),
    }
    write_json(folder / RESULT, result)
    print(
        f"{folder}: alone {figures['alone']:.4f}, whole {figures['whole']:.4f}, {seconds:.0f} CPU seconds", flush=True
    )


def table(args: argparse.Namespace, found: dict[tuple, Path]) -> pd.DataFrame:
    """A row a design: what it costs, its mean QWK, and the differences to each control."""
    rows = {}
    for design in args.design:
        results = [read_json(folder / RESULT) for (_, name, _), folder in found.items() if name == design]
        row = {
            "parameters": f"{results[0]['trained_parameters'] / 1e6:.2f} M",
            "CPU s": round(float(np.mean([result["cpu_seconds"] for result in results]))),
        }
        for kind in KINDS:
            row[kind] = f"{np.mean([result['mean_qwk'][kind] for result in results]):.4f}"
            for control in (name for name in CONTROLS if name in args.design and name != design):
                row[f"{kind}, less {control}"] = shown(difference(args, found, design, control, kind))
        rows[design] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def difference(args: argparse.Namespace, found: dict[tuple, Path], first: str, second: str, kind: str) -> Difference:
    """Mean QWK of one design less that of another over all folds and seeds, paired by essay."""
    groups = []
    for data in args.data:
        ranges = {
            key: ScoreRange(prompt["min_score"], prompt["max_score"], prompt.get("score_step", 1.0))
            for key, prompt in read_card(Path(data))["prompts"].items()
        }
        for seed in args.seed:
            one, other = (
                pd.read_csv(found[data, name, seed] / "predictions.csv", dtype={"prompt_id": str})
                for name in (first, second)
            )
            for prompt_id, essays in one.groupby("prompt_id"):
                pair = essays[kind], other.loc[essays.index, kind]
                groups.append(paired_scores(essays["score"], *pair, ranges[prompt_id]))
    return qwk_difference(groups)


def shown(found: Difference) -> str:
    return f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})"


def plot(args: argparse.Namespace, found: dict[tuple, Path], path: Path):
    """Draws each design's difference to the first control, with its interval, alone and with the linear head."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    control = next((name for name in CONTROLS if name in args.design), None)
    others = [name for name in args.design if name != control]
    if control is None or not others:
        return
    figure, axis = plt.subplots(figsize=(7, 0.6 + 0.45 * len(others)), constrained_layout=True)
    for offset, (kind, label) in enumerate((("alone", "recursive head alone"), ("whole", "whole score"))):
        points = [difference(args, found, name, control, kind) for name in others]
        places = np.arange(len(others)) + 0.2 * offset - 0.1
        means = np.array([point.mean for point in points])
        ends = np.array([[point.mean - point.low, point.high - point.mean] for point in points]).T
        axis.errorbar(means, places, xerr=ends, fmt="o", markersize=4, capsize=2, label=label)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.axvline(0.01, color="gray", linewidth=0.8, linestyle="--")
    axis.set_yticks(range(len(others)), others)
    axis.invert_yaxis()
    axis.set_xlabel(f"mean QWK less that of `{control}` (no recursion); dashed: what was asked for")
    axis.legend(frameon=False, loc="best", fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(run(main))
