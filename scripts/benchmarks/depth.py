"""The score against depth: what a trained scorer gives after each supervision step, and with other cycles."""

from pathlib import Path

import numpy as np
import pandas as pd

from trm_aes.data.dataset import EssayDataset
from trm_aes.evaluation.agreement import mean_qwk
from trm_aes.scoring.scorer import EssayScorer

from .protocol import REPORTED_SPLITS, calibrated_on_validation, split_with_scores


def depth_table(
    scorer: EssayScorer, data: EssayDataset, max_steps: int = 16, cycles: tuple[tuple[int, int], ...] = ()
) -> pd.DataFrame:
    """
    A row for each `(H, L)` and number of supervision steps.

    Args:
        scorer: a trained scorer; its configuration is put back as it was.
        data: essays to score.
        max_steps: steps to take.
        cycles: `(H_cycles, L_cycles)` beside those that the scorer was trained with.

    Returns:
        Columns `H`, `L`, `step`, mean QWK on `validation` and `test` with each step's scale matched on validation (a
        step may order essays as well as another and yet spread their scores less), `test_as_scored` without, `moved`
        (the mean size of the step's change of the test essays' scores, on the 0-1 scale) and `halted` (the share of
        test essays whose halting head says stop).
    """
    config = scorer.model.config
    trained = (config.H_cycles, config.L_cycles)
    leaving = (config.halt_at_inference, config.exit_tolerance)
    rows = []
    try:
        # All essays take all steps.
        config.halt_at_inference, config.exit_tolerance = False, None
        for high, low in dict.fromkeys([trained, *cycles]):
            config.H_cycles, config.L_cycles = high, low
            steps = {name: _step_outputs(scorer, data, name, max_steps) for name in REPORTED_SPLITS}
            for step in range(max_steps):
                scores, halts = (values[:, : step + 1] for values in steps["test"])
                previous = scores[:, step - 1] if step else np.full(len(scores), np.nan)
                rows.append(
                    {
                        "H": high,
                        "L": low,
                        "step": step + 1,
                        **_mean_qwk(scorer, data, {name: steps[name][0][:, step] for name in REPORTED_SPLITS}),
                        "moved": float(np.mean(np.abs(scores[:, step] - previous))),
                        "halted": float(np.mean((halts > config.halting_threshold).any(axis=1))),
                    }
                )
    finally:
        config.H_cycles, config.L_cycles = trained
        config.halt_at_inference, config.exit_tolerance = leaving
    return pd.DataFrame(rows)


def plot_depth(table: pd.DataFrame, path: Path):
    """
    Draws validation and test QWK against supervision steps, a line for each `(H, L)`: with each step's scale matched on
    validation, and dashed, for test, as scored.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, constrained_layout=True)
    for axis, split in zip(axes, REPORTED_SPLITS, strict=True):
        for (high, low), rows in table.groupby(["H", "L"], sort=False):
            [line] = axis.plot(rows["step"], rows[split], marker="o", markersize=3, label=f"H={high}, L={low}")
            if split == "test":
                axis.plot(rows["step"], rows["test_as_scored"], linestyle="--", color=line.get_color())
        axis.set(title=split, xlabel="supervision steps", xticks=table["step"].unique()[::2])
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("mean QWK")
    axes[0].legend(frameon=False, loc="lower left")
    [as_scored] = axes[1].plot([], [], linestyle="--", color="gray", label="as scored")
    axes[1].legend(handles=[as_scored], frameon=False, loc="center right")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _step_outputs(scorer: EssayScorer, data: EssayDataset, split: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    return scorer.score_steps(scorer.rows(data.splits[split]), steps)


def _mean_qwk(scorer: EssayScorer, data: EssayDataset, normalized: dict[str, np.ndarray]) -> dict[str, float]:
    """Mean QWK by split, calibrated on validation, and that of test as it is."""
    frames = {name: split_with_scores(data, name, values) for name, values in normalized.items()}
    on_equal_terms = {
        name: calibrated_on_validation({"validation": frames["validation"], "test": frame})
        for name, frame in frames.items()
    }
    return {
        name: mean_qwk(frame["prompt_id"], frame["score"], frame["predicted_score"], scorer.score_ranges)
        for name, frame in {**on_equal_terms, "test_as_scored": frames["test"]}.items()
    }
