"""Does recursion earn its place? Forms of recursion and their controls, trained on the same folds and seeds; resumable."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks import designs, protocol, study
from benchmarks.designs import CONTROLS, DESIGNS
from benchmarks.protocol import split_with_scores
from benchmarks.report import markdown_table
from benchmarks.settings import code_checksum
from benchmarks.study import Study

from trm_aes.cli.parser import CommandParser
from trm_aes.cli.runner import run
from trm_aes.data.dataset import EssayDataset, load_essay_dataset
from trm_aes.errors import InputError, InterruptedRun, TrainingDivergedError
from trm_aes.evaluation.bootstrap import Estimate, draw_times, estimate, kappas
from trm_aes.files import owned, read_json, write_json
from trm_aes.model.score_scale import ScoreRange, by_prompt
from trm_aes.records import package_versions

# What is compared: the recursive part's scores, and those that it gives together with the linear head.
ALONE, WHOLE = "alone", "whole"
# In the place of figures, what was said of a training whose loss did not stay finite.
DIVERGED = "diverged"
RESULT, PICTURE = "result.json", "recursion.png"

# Data set, design, seed.
Run = tuple[str, str, int]


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
    data_sets = load_data(args.data, split)
    seeds, names = list(dict.fromkeys(args.seed)), list(dict.fromkeys(args.design))
    code = code_checksum(designs, study, protocol)
    folder = args.output_dir / split
    runs = [(data, design, seed) for data in data_sets for seed in seeds for design in names]
    with owned(args.output_dir):
        folder.mkdir(parents=True, exist_ok=True)
        missing = [run for run in runs if not is_done(run_folder(folder, run), data_sets[run[0]], code)]
        prepared: Study | None = None
        for number, (name, design, seed) in enumerate(missing):
            try:
                if prepared is None or prepared.data is not data_sets[name]:
                    prepared = Study.prepare(data_sets[name], args.test)
                train_and_measure(prepared, design, seed, split, run_folder(folder, (name, design, seed)), code)
            except KeyboardInterrupt:
                how = "The same command goes on with the others."
                raise InterruptedRun(
                    f"interrupted; {number} of {len(missing)} designs are trained and kept. {how}"
                ) from None
    results = Results(folder, data_sets, seeds)
    for name in names:
        for result in results.of(name):
            if DIVERGED in result:
                print(f"Left out: {name}, seed {result['seed']}: {result[DIVERGED]}")
    names = [name for name in names if not any(DIVERGED in result for result in results.of(name))]
    print(markdown_table(table(results, names)))
    plot(results, names, folder / PICTURE)


def load_data(folders: Sequence[str], split: str) -> dict[str, EssayDataset]:
    """`name -> data set`: all are looked at before anything is trained."""
    data_sets: dict[str, EssayDataset] = {}
    for folder in dict.fromkeys(Path(folder).resolve() for folder in folders):
        data = load_essay_dataset(folder)
        data.split(split)
        if folder.name in data_sets:
            raise InputError(
                f"Two data sets are called {folder.name}, and results lie by that name. Rename one of them."
            )
        data_sets[folder.name] = data
    return data_sets


def run_folder(folder: Path, run: Run) -> Path:
    data, design, seed = run
    return folder / data / f"{design}-seed_{seed}"


def is_done(folder: Path, data: EssayDataset, code: str) -> bool:
    """Whether a folder has a result; one of other essays, code or packages is refused."""
    if not (folder / RESULT).is_file():
        return False
    result = read_json(folder / RESULT)
    for name, present in (("data", data.checksum), ("code", code), ("packages", package_versions())):
        if result.get(name) != present:
            raise InputError(f"{folder} was measured with other {name}. Choose another `output_dir`.")
    return True


def train_and_measure(prepared: Study, name: str, seed: int, split: str, folder: Path, code: str):
    """Trains a design, and writes its figures and what it says of the essays of a split; or that its loss did not stay finite."""
    design = prepared.design(name, seed)
    about = {"design": name, "seed": seed, "data": prepared.data.checksum, "code": code, "packages": package_versions()}
    try:
        scores, seconds = prepared.train(design, seed)
    except TrainingDivergedError as error:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / RESULT, {**about, DIVERGED: str(error)})
        return
    last = {split: steps[-1] for split, steps in scores.items()}
    of_kind = {ALONE: last, WHOLE: prepared.whole(last)}
    table = split_with_scores(prepared.data, split, last[split])[["essay_id", "prompt_id", "score"]]
    gold = by_prompt(ScoreRange.normalize, table["score"], table["prompt_id"], prepared.data.score_ranges)
    errors = [np.abs(step - gold) for step in scores[split]]
    folder.mkdir(parents=True, exist_ok=True)
    table.assign(
        **{kind: prepared.matched(values, split)["predicted_score"] for kind, values in of_kind.items()}
    ).to_csv(folder / "predictions.csv", index=False)
    result = {
        **about,
        "essays": {split: len(values) for split, values in last.items()},
        "mean_qwk": {
            split: {kind: prepared.mean_qwk(values, split) for kind, values in of_kind.items()} for split in last
        },
        "cpu_seconds": round(seconds, 1),
        "trained_parameters": sum(weight.numel() for weight in design.parameters() if weight.requires_grad),
        # Shares of the essays whose error falls from a step to the next.
        "error_falls": [float(np.mean(after < before)) for before, after in zip(errors, errors[1:], strict=False)],
    }
    write_json(folder / RESULT, result)
    figures = result["mean_qwk"][split]
    print(f"{folder}: alone {figures[ALONE]:.4f}, whole {figures[WHOLE]:.4f}, {seconds:.0f} CPU seconds", flush=True)


class Results:
    """
    What was measured.

    Args:
        folder: of the results of a split.
        data_sets: by name.
        seeds: with which each design was trained on each.
    """

    def __init__(self, folder: Path, data_sets: dict[str, EssayDataset], seeds: Sequence[int]):
        self.folder, self.data_sets, self.seeds = folder, data_sets, seeds
        self._samples: dict[tuple[str, str], np.ndarray] = {}

    def of(self, design: str) -> list[dict]:
        """Those of a design, over data sets and seeds."""
        return [
            read_json(run_folder(self.folder, (data, design, seed)) / RESULT)
            for data in self.data_sets
            for seed in self.seeds
        ]

    def difference(self, first: str, second: str, kind: str) -> Estimate:
        """
        Mean QWK of one design less that of another over data sets, seeds and prompts, with an interval: a prompt's essays are
        drawn with replacement, the same ones for both designs and all seeds. What another training would change is not in it:
        see [`spread`].
        """
        return estimate(self._mean_qwk(first, kind) - self._mean_qwk(second, kind))

    def spread(self, first: str, second: str, kind: str) -> float | None:
        """Standard deviation over trainings (data sets and seeds) of that difference; None for one training."""
        differences = [
            one["mean_qwk"][self.folder.name][kind] - other["mean_qwk"][self.folder.name][kind]
            for one, other in zip(self.of(first), self.of(second), strict=True)
        ]
        return float(np.std(differences, ddof=1)) if len(differences) > 1 else None

    def _mean_qwk(self, design: str, kind: str) -> np.ndarray:
        """Of a design, in each sample (see [`estimate`]), which has the same essays whatever the design and seed."""
        if (design, kind) not in self._samples:
            samples = []
            for data, data_set in self.data_sets.items():
                for seed in self.seeds:
                    path = run_folder(self.folder, (data, design, seed)) / "predictions.csv"
                    for prompt, essays in pd.read_csv(path, dtype={"prompt_id": str}, keep_default_na=False).groupby(
                        "prompt_id"
                    ):
                        score_range = data_set.score_ranges[prompt]
                        gold, scores = (
                            score_range.round(essays[name].to_numpy(dtype=float)) for name in ("score", kind)
                        )
                        times = draw_times(len(essays), [*data.encode(), *str(prompt).encode()])
                        samples.append(kappas(gold, scores, times))
            self._samples[design, kind] = np.mean(samples, axis=0)
        return self._samples[design, kind]


def table(results: Results, names: Sequence[str]) -> pd.DataFrame:
    """
    A row a design: what it costs, its mean QWK, and the differences to each control, with the interval over essays and the standard
    deviation over trainings.
    """
    rows = {}
    for name in names:
        found = results.of(name)
        seconds = np.mean([result["cpu_seconds"] for result in found])
        row = {"parameters": f"{found[0]['trained_parameters'] / 1e6:.2f} M", "CPU s": f"{seconds:.0f}"}
        for kind in (ALONE, WHOLE):
            row[kind] = f"{np.mean([result['mean_qwk'][results.folder.name][kind] for result in found]):.4f}"
            for control in (control for control in CONTROLS if control in names):
                row[f"{kind}, less {control}"] = (
                    ""
                    if control == name
                    else shown(results.difference(name, control, kind), results.spread(name, control, kind))
                )
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def shown(difference: Estimate, spread: float | None) -> str:
    of_trainings = "" if spread is None else f", SD {spread:.4f}"
    return f"{difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f}{of_trainings})"


def plot(results: Results, names: Sequence[str], path: Path):
    """Draws each design's difference to the first control, with its interval, alone and with the linear head."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    control = next((name for name in CONTROLS if name in names), None)
    others = [name for name in names if name != control]
    if control is None or not others:
        return
    figure, axis = plt.subplots(figsize=(7, 1 + 0.4 * len(others)), constrained_layout=True)
    for offset, (kind, label) in enumerate(((ALONE, "recursive part alone"), (WHOLE, "with the linear head"))):
        points = [results.difference(name, control, kind) for name in others]
        values, lows, highs = (np.array([getattr(point, end) for point in points]) for end in ("value", "low", "high"))
        places = np.arange(len(others)) + 0.2 * offset - 0.1
        axis.errorbar(
            values, places, xerr=[values - lows, highs - values], fmt="o", markersize=4, capsize=2, label=label
        )
    axis.axvline(0, color="black", linewidth=0.8)
    axis.axvline(0.01, color="gray", linewidth=0.8, linestyle="--")
    axis.set_yticks(range(len(others)), others)
    axis.invert_yaxis()
    axis.set_xlabel(f"mean QWK less that of `{control}`, which does not recurse; dashed: a gain of 0.01")
    axis.legend(frameon=False, loc="best", fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(run(main))
