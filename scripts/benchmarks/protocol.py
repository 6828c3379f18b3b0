"""The published protocol (Taghipour and Ng, EMNLP 2016): train, choose on dev, report on test, by prompt and fold."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trm_aes.checkpoints import Checkpoint, load_tokenizer
from trm_aes.data.dataset import EssayDataset, build_dataset, load_essay_dataset
from trm_aes.data.prompts import read_prompt_infos, select_prompt_ids
from trm_aes.data.schema import EssayTable, prompt_rows, score_ranges
from trm_aes.data.sources.asap import load_release
from trm_aes.data.splits import Splits, read_folds, select_prompts_in_splits
from trm_aes.data.tokenizing import TokenLimits
from trm_aes.evaluation.agreement import metrics_by_prompt
from trm_aes.evaluation.calibration import apply_calibrations, fit_calibrations
from trm_aes.model.score_scale import ScoreRange, by_prompt

REPORTED_SPLITS = ("validation", "test")
SPLIT_COLUMNS = ("essay_id", "prompt_id", "score", "predicted_score")

# `split -> scores`, in the order of the split's essays.
Predictions = dict[str, np.ndarray]


@dataclass(frozen=True)
class Benchmark:
    """
    Args:
        table: the whole release.
        folds: folder of the published ids.
        prompt_ids: prompts that take part.
        checkpoint: where tokenizer and embeddings come from.
        limits: of the tokens.
        work_dir: where data sets and results lie.
    """

    table: EssayTable
    folds: Path
    prompt_ids: list[str]
    checkpoint: Checkpoint
    limits: TokenLimits
    work_dir: Path

    def settings(self) -> dict[str, Any]:
        """What every result of a work folder depends on, beside system, mode, fold and seed."""
        ids = sorted(self.folds.glob("fold_*/*_ids.txt"))
        return {
            "release": self.table.checksum,
            "folds": hashlib.sha256(b"".join(path.read_bytes() for path in ids)).hexdigest(),
            "prompts": hashlib.sha256(repr(prompt_rows(self.table.frame)).encode()).hexdigest(),
            "prompt_ids": self.prompt_ids,
            "checkpoint": self.checkpoint.name,
            "limits": asdict(self.limits),
        }

    def splits(self, fold: int) -> Splits:
        """Train, validation and test essays of a fold."""
        return select_prompts_in_splits(
            read_folds(self.table, self.folds, fold), self.prompt_ids, f"{self.folds}, fold {fold}"
        )

    def dataset(self, fold: int, prompt_ids: list[str] | None = None) -> EssayDataset:
        """The tokenized data set of a fold (of some of its prompts), built when it is first asked for."""
        prompt_ids = prompt_ids or self.prompt_ids
        name = f"fold_{fold}-prompts_{'_'.join(prompt_ids)}-tokens_{self.limits.max_tokens}"
        folder = self.work_dir / "data" / name
        if not folder.exists():
            splits = select_prompts_in_splits(self.splits(fold), prompt_ids, f"{self.folds}, fold {fold}")
            tokenizer = load_tokenizer(self.checkpoint)
            options = {"folds": str(self.folds), "fold": fold, "prompts": prompt_ids}
            build_dataset(self.table, splits, tokenizer, self.checkpoint.name, self.limits, folder, options)
        return load_essay_dataset(folder)


@dataclass(frozen=True)
class PromptEssays:
    """
    What a peer is told of one prompt.

    Args:
        train: its training essays: `prompt`, `essay`, `score`.
        others: essays to predict, likewise, by split; choices are made on `validation`.
        score_range: of the scores.
        vocabulary: word in lower case -> rank, see [`text_features`].
    """

    train: pd.DataFrame
    others: dict[str, pd.DataFrame]
    score_range: ScoreRange
    vocabulary: Mapping[str, int]


def load_benchmark(
    release: str,
    folds: str,
    prompts: str | None,
    prompt_set: str,
    checkpoint: Checkpoint,
    limits: TokenLimits,
    work_dir: str | Path,
) -> Benchmark:
    """
    Raises:
        InputError: if the release, the folds or the prompts cannot be used.
    """
    table = load_release(release, read_prompt_infos(prompts) if prompts else None)
    return Benchmark(
        table, Path(folds), select_prompt_ids(prompt_set, table.prompt_ids), checkpoint, limits, Path(work_dir)
    )


def qwk_by_prompt(predictions: pd.DataFrame, table: EssayTable) -> dict[str, float]:
    """`prompt_id -> QWK` of a table with the columns of `SPLIT_COLUMNS`, on each prompt's published range."""
    metrics = metrics_by_prompt(
        predictions["prompt_id"], predictions["score"], predictions["predicted_score"], score_ranges(table.frame)
    )
    return {prompt_id: values["qwk"] for prompt_id, values in metrics.items()}


def read_predictions(folder: Path) -> dict[str, pd.DataFrame]:
    """A run's predictions by split, with the columns of `SPLIT_COLUMNS`."""
    return {
        name: pd.read_csv(folder / f"{name}.csv", dtype={"prompt_id": str}, keep_default_na=False)
        for name in REPORTED_SPLITS
    }


def split_with_scores(data: EssayDataset, split: str, normalized: np.ndarray) -> pd.DataFrame:
    """
    A split's essays, with the columns of `SPLIT_COLUMNS`.

    Args:
        normalized: their predicted scores, 0-1. They are not clipped: calibration comes first.
    """
    frame = data.splits[split].select_columns(["essay_id", "prompt_id", "score"]).to_pandas()

    def on_scale(scale: ScoreRange, values: np.ndarray) -> np.ndarray:
        return scale.min_score + values * scale.span

    return frame.assign(predicted_score=by_prompt(on_scale, normalized, frame["prompt_id"], data.score_ranges))


def calibrated_on_validation(predictions: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The test predictions with each prompt's scale matched on validation, so that all systems compare on equal terms."""
    columns = ["prompt_id", "predicted_score", "score"]
    lines = fit_calibrations(*(predictions["validation"][name] for name in columns))
    test = predictions["test"]
    return test.assign(predicted_score=apply_calibrations(lines, test["prompt_id"], test["predicted_score"]))


def fisher_mean(values) -> float:
    """Mean by Fisher's z transformation, as in the original competition; perfect agreement counts as 0.999."""
    clipped = np.clip(np.asarray(list(values), dtype=float), -0.999, 0.999)
    return float(np.tanh(np.mean(np.arctanh(clipped))))
