"""The benchmark's table: means and deviations by prompt, paired differences, and what they are held against."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from trm_aes.data.schema import score_ranges
from trm_aes.evaluation.agreement import rater_agreement
from trm_aes.evaluation.difference import Difference, paired_scores, qwk_difference

from .protocol import Benchmark, calibrated_on_validation, fisher_mean, read_predictions
from .references import label_noise_ceiling
from .runner import run_folder
from .systems import System

# As their authors report them, mean QWK over the eight prompts and five folds.
PUBLISHED = {
    "EASE (SVR), as reported by Taghipour and Ng 2016": 0.699,
    "LSTM + CNN ensemble, Taghipour and Ng 2016": 0.761,
    "SkipFlow, Tay et al. 2018": 0.764,
    "HISK + BOSWE, Cozma et al. 2018": 0.785,
    "R2BERT, Yang et al. 2020": 0.794,
    "NPCR, Xie et al. 2022 (0.793 when reproduced)": 0.817,
}


def results_table(results: Sequence[dict], prompt_ids: Sequence[str], split: str = "test") -> pd.DataFrame:
    """
    A row a system: mean QWK by prompt over its runs, the mean over prompts with its standard deviation over runs, and
    the Fisher-z mean. `split` is `validation`, `test` or `calibrated_test`.
    """
    rows = []
    for (name, mode), runs in _by_system(results).items():
        by_prompt = {p: float(np.mean([run[f"{split}_qwk"][p] for run in runs])) for p in prompt_ids}
        means = [float(np.mean([run[f"{split}_qwk"][p] for p in prompt_ids])) for run in runs]
        rows.append(
            {
                "system": f"{name} ({mode})",
                "runs": len(runs),
                **by_prompt,
                "mean": float(np.mean(means)),
                "sd": float(np.std(means, ddof=1)) if len(means) > 1 else float("nan"),
                "Fisher": fisher_mean(by_prompt.values()),
            }
        )
    return pd.DataFrame(rows).set_index("system")


def cost_table(results: Sequence[dict]) -> pd.DataFrame:
    """A row a system: what it costs, as means over its runs."""
    rows = [
        {"system": f"{name} ({mode})", **pd.DataFrame([run["cost"] for run in runs]).mean().to_dict()}
        for (name, mode), runs in _by_system(results).items()
        if runs[0]["cost"]
    ]
    return pd.DataFrame(rows).set_index("system") if rows else pd.DataFrame()


def reference_table(benchmark: Benchmark) -> pd.DataFrame:
    """Over the whole release: QWK of the two raters, and the ceiling that their noise sets, by prompt."""
    rows = {"two human raters": {}, "label-noise ceiling": {}}
    for prompt_id in benchmark.prompt_ids:
        essays = benchmark.table.frame[benchmark.table.frame["prompt_id"] == prompt_id]
        agreement = rater_agreement(essays["rater1"], essays["rater2"])
        rows["two human raters"][prompt_id] = agreement
        rows["label-noise ceiling"][prompt_id] = label_noise_ceiling(agreement, prompt_id)
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.assign(mean=table.mean(axis=1), Fisher=table.apply(fisher_mean, axis=1))


def paired_difference(
    benchmark: Benchmark,
    first: tuple[System, str],
    second: tuple[System, str],
    folds: Sequence[int],
    seeds: Sequence[int],
) -> Difference:
    """
    Mean QWK of one system less that of another over the same folds and seeds, the scales of both matched on validation,
    with a 95 % interval: essays are drawn with replacement within prompt and fold, the same ones for both systems and all seeds.

    Args:
        first, second: systems with their modes.
        folds, seeds: of the runs, which both have.
    """
    ranges = score_ranges(benchmark.table.frame)
    groups = []
    for fold in folds:
        tables = [
            _calibrated_scores(benchmark, system, mode, fold, seed)
            for system, mode in (first, second)
            for seed in seeds
        ]
        # The same essays, by their ids.
        joined = pd.concat(tables, axis=1, join="inner")
        scores, gold = joined.to_numpy(), joined.index.get_level_values("score").to_numpy()
        prompts = joined.index.get_level_values("prompt_id")
        groups += [
            paired_scores(gold[places], *np.hsplit(scores[places], 2), ranges[str(prompt_id)])
            for prompt_id, places in pd.Series(range(len(gold))).groupby(prompts).groups.items()
        ]
    return qwk_difference(groups)


def _calibrated_scores(benchmark: Benchmark, system: System, mode: str, fold: int, seed: int) -> "pd.Series[float]":
    """A run's test scores by essay, its scale matched on validation."""
    folder = run_folder(benchmark.work_dir, system, mode, fold, seed)
    table = calibrated_on_validation(read_predictions(folder))
    return table.set_index(["essay_id", "prompt_id", "score"])["predicted_score"]


def _by_system(results: Sequence[dict]) -> dict[tuple[str, str], list[dict]]:
    groups: dict[tuple[str, str], list[dict]] = {}
    for result in results:
        groups.setdefault((result["system"], result["mode"]), []).append(result)
    return groups


def write_report(path: Path, sections: dict[str, pd.DataFrame | str]):
    """A Markdown page of titled tables."""
    lines = []
    for title, content in sections.items():
        lines += [f"## {title}", ""]
        lines += [content if isinstance(content, str) else markdown_table(content), ""]
    path.write_text("\n".join(lines), encoding="utf-8")


def markdown_table(table: pd.DataFrame) -> str:
    """A table with its index, numbers to three places."""
    header = [str(table.index.name or ""), *map(str, table.columns)]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for name, row in table.iterrows():
        lines.append("| " + " | ".join([str(name), *map(_cell, row)]) + " |")
    return "\n".join(lines)


def _cell(value) -> str:
    if isinstance(value, float) and not np.isfinite(value):
        return ""
    if isinstance(value, float) and value != int(value):
        return f"{value:.3f}"
    return f"{int(value):,}" if isinstance(value, (int, float, np.integer)) else str(value)
