"""Runs systems on folds and seeds, one result file each; what has a result already is not run again."""

import shutil
import time
from pathlib import Path

import pandas as pd

from trm_aes.data.dataset import EssayDataset
from trm_aes.devices import available_device
from trm_aes.evaluation.evaluate import evaluate_scorer
from trm_aes.files import read_json, write_json
from trm_aes.presets import load_recipe
from trm_aes.records import package_versions
from trm_aes.scoring.scorer import EssayScorer
from trm_aes.training.arguments import RunArguments
from trm_aes.training.recipe import resolve_plan
from trm_aes.training.run import train_scorer

from .cost import COUNTED_TOKENS, forward_gflop
from .peers import ENCODER_PEER, predict_by_prompt, predict_with_encoder
from .protocol import REPORTED_SPLITS, SPLIT_COLUMNS, Benchmark, calibrated_on_validation, qwk_by_prompt
from .systems import System

RESULT_NAME = "result.json"


def run_folder(work_dir: Path, system: System, mode: str, fold: int, seed: int) -> Path:
    return work_dir / "runs" / f"{system.slug}-{mode}" / f"fold_{fold}-seed_{seed}"


def run_system(benchmark: Benchmark, system: System, mode: str, fold: int, seed: int, hardware: str) -> dict:
    """
    Trains and evaluates a system on one fold, or reads the result of an earlier run.

    Args:
        benchmark: data and protocol.
        system: what to run.
        mode: `joint` (one model for all prompts) or `per-prompt`. Peers have their own way.
        fold, seed: which.
        hardware: hardware preset of the training, or `auto`.

    Returns:
        The result: QWK by prompt on validation and test, costs, versions. The predictions (ids and scores, no text)
        lie beside it as CSV.
    """
    folder = run_folder(benchmark.work_dir, system, mode, fold, seed)
    if (folder / RESULT_NAME).is_file():
        return read_json(folder / RESULT_NAME)
    folder.mkdir(parents=True, exist_ok=True)
    started = time.time()
    if system.is_recipe:
        groups = [benchmark.prompt_ids] if mode == "joint" else [[prompt_id] for prompt_id in benchmark.prompt_ids]
        parts = [
            _run_recipe(benchmark, benchmark.dataset(fold, group), system, folder / "_".join(group), seed, hardware)
            for group in groups
        ]
        predictions = {name: pd.concat(part[0][name] for part in parts) for name in REPORTED_SPLITS}
        cost = {key: sum(part[1][key] for part in parts) / len(parts) for key in parts[0][1]}
    else:
        frames = benchmark.splits(fold).frames
        if system.base == ENCODER_PEER:
            use_cpu = (available_device() if hardware == "auto" else hardware) == "cpu"
            predictions = predict_with_encoder(benchmark.checkpoint, frames, seed, folder / "encoder", use_cpu)
            shutil.rmtree(folder / "encoder", ignore_errors=True)
        else:
            predictions = predict_by_prompt(system.base, frames, benchmark.checkpoint, seed)
        cost = {}
    for name, frame in predictions.items():
        frame[list(SPLIT_COLUMNS)].to_csv(folder / f"{name}.csv", index=False)
    result = {
        "system": system.name,
        "mode": mode,
        "fold": fold,
        "seed": seed,
        "prompt_ids": benchmark.prompt_ids,
        **{f"{name}_qwk": qwk_by_prompt(predictions[name], benchmark.table) for name in REPORTED_SPLITS},
        "calibrated_test_qwk": qwk_by_prompt(calibrated_on_validation(predictions), benchmark.table),
        "num_essays": {name: len(frame) for name, frame in predictions.items()},
        "cost": cost,
        "seconds": round(time.time() - started, 1),
        "checkpoint": benchmark.checkpoint.name,
        "packages": package_versions(),
    }
    write_json(folder / RESULT_NAME, result)
    return result


def _run_recipe(
    benchmark: Benchmark, data: EssayDataset, system: System, folder: Path, seed: int, hardware: str
) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
    """Predictions by split, and costs: parameters, seconds of the training steps, GFLOP and seconds to score an essay."""
    model_dir = folder / "model"
    training = {"output_dir": str(model_dir), "seed": seed, "save_total_limit": 1, **system.training}
    checkpoint = benchmark.checkpoint
    # An encoder has embeddings of its own.
    embeddings = None if load_recipe(system.base).encoder else checkpoint.hub_id or str(checkpoint.folder)
    run = RunArguments(
        data=str(data.folder), recipe=system.base, hardware=hardware, embeddings=embeddings, overwrite=True
    )
    plan = resolve_plan(run, system.model, training)
    record = train_scorer(plan)
    for kept in model_dir.glob("checkpoint-*"):
        shutil.rmtree(kept)
    scorer = EssayScorer.from_pretrained(model_dir, None if hardware == "auto" else plan.training.device.type)
    validation = evaluate_scorer(scorer, data, "validation").predictions
    # Scores come back to the CPU, so nothing is still under way when the clock stops.
    started = time.time()
    test = evaluate_scorer(scorer, data, "test").predictions
    score_seconds = time.time() - started
    cost = {
        "parameters": record.num_parameters,
        "trained_parameters": record.num_trained_parameters,
        # Of the steps alone: the systems of a fold share the encoder's first reading, which would count for the first of them.
        "step_seconds": record.train_metrics["train_runtime"],
        f"gflop_an_essay_of_{COUNTED_TOKENS}_tokens": forward_gflop(scorer.model),
        "score_seconds_an_essay": score_seconds / len(test),
    }
    return {"validation": validation, "test": test}, cost
