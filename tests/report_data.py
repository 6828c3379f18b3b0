"""Data sets in memory and predictions for them, from which reports are built without a model."""

from types import SimpleNamespace

import datasets
import numpy as np
import pandas as pd
from helpers import ROOT

from trm_aes.data.dataset import EssayDataset
from trm_aes.data.scales import scale_columns
from trm_aes.data.sources.demo import load_demo
from trm_aes.model.score_scale import ScoreRange
from trm_aes.report.build import ReportChoices, build_report

SCORER = SimpleNamespace(
    checksums=lambda: {"weights_sha256": "0" * 64},
    name="scorer",
    commit=None,
    trait_ranges={},
    model=SimpleNamespace(config=SimpleNamespace(advisory_limits=None, review_by=None)),
)


def essay_data(frame, scales, raters=(), groups=(), train=None, traits=None):
    """A data set whose test split is `frame`: `prompt_id`, `score`, and what else a test needs."""
    frame = frame.assign(essay_id=[f"e{number}" for number in range(len(frame))])
    if "essay" not in frame:
        frame["essay"] = [" ".join(["word"] * (5 + number % 7)) for number in range(len(frame))]
    splits = {"test": frame} if train is None else {"train": train, "test": frame}
    card = {
        "source": "essays.csv",
        "source_sha256": "0" * 64,
        "values": {"raters": list(raters), "groups": list(groups), "traits": traits or {}},
        "prompts": {
            name: {"text": "", **{key: values[0] for key, values in scale_columns([scale]).items()}}
            for name, scale in scales.items()
        },
    }
    made = {name: datasets.Dataset.from_pandas(part, preserve_index=False) for name, part in splits.items()}
    return EssayDataset(datasets.DatasetDict(made), card, ROOT)


def predictions_of(data, predicted):
    frame = data.splits["test"].to_pandas()
    return frame[["essay_id", "prompt_id", "score"]].assign(
        predicted_score=np.asarray(predicted, float), confidence=0.5
    )


def report_of(data, predicted, **choices):
    return build_report(SCORER, data, "test", predictions_of(data, predicted), ReportChoices(**choices))


def demo_frame(seed=0, essays_per_prompt=100):
    """Essays of the synthetic corpus, with predictions that are off by noise."""
    frame = load_demo(seed, essays_per_prompt).frame
    scales = {
        prompt_id: ScoreRange(of_prompt["min_score"].iloc[0], of_prompt["max_score"].iloc[0])
        for prompt_id, of_prompt in frame.groupby("prompt_id")
    }
    spread = frame.groupby("prompt_id")["score"].transform("std")
    noise = np.random.default_rng(seed).normal(0, 0.4, len(frame)) * spread
    frame = frame[["prompt_id", "essay", "score", "rater1", "rater2", "region"]].reset_index(drop=True)
    return frame, scales, (frame["score"] + noise.to_numpy()), spread.to_numpy()


def constant_frame(scores, prompt_id="a", **columns):
    return pd.DataFrame({"prompt_id": prompt_id, "score": np.asarray(scores, float), **columns})
