"""One training run: a plan in, a scorer with a full record of how it was made out."""

import os
import platform
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from transformers import EarlyStoppingCallback, PreTrainedTokenizerBase, set_seed

from ..checkpoints import Checkpoint, find_checkpoint
from ..data.dataset import EssayDataset, load_essay_dataset
from ..errors import InterruptedRun
from ..evaluation.agreement import build_compute_metrics
from ..files import new_files
from ..model.essay_tokens import EssayCollator, prompt_index_of
from ..model.modeling_trm import TRMForEssayScoring
from ..model.pipeline_trm import EssayScoringPipeline
from ..records import DataRecord, EmbeddingsRecord, MachineRecord, RunRecord, package_versions
from ..scoring.scorer import SCORED_COLUMNS, EssayScorer
from .fit.calibration import calibrate
from .fit.exit_rule import choose_exit_tolerance
from .folder import check_may_write
from .interrupts import StopOnInterrupt
from .recipe import TrainingPlan
from .resuming import LAST_CHECKPOINT, checkpoint_to_resume, last_checkpoint
from .trainer import TRMTrainer
from .untrained import build_model

MODEL_INPUTS = ("input_ids", "token_type_ids", "prompt_id", "score", "min_score", "max_score")


def train_scorer(plan: TrainingPlan) -> RunRecord:
    """
    Trains a scorer and writes it to `plan.training.output_dir`: the best model by validation mean QWK, its tokenizer, and
    `run.json` with the full configuration, seed, package versions and metrics. The test split is never read. With
    `push_to_hub` the scorer is then published.

    Returns:
        The record, as written.

    Raises:
        InputError: for input that cannot be used; nothing has been written then.
        TrainingDivergedError: if the loss is no longer finite.
        InterruptedRun: on Ctrl-C.
        OutputError: if a checkpoint cannot be saved, or publishing breaks off.
    """
    started = time.time()
    data = load_essay_dataset(plan.data)
    tokenizer = data.load_tokenizer()
    resume_from = _prepare_output(plan)
    set_seed(plan.training.seed)
    checkpoint = find_checkpoint(plan.embeddings) if plan.embeddings is not None else None
    model = build_model(plan, data, tokenizer, checkpoint)
    sizes = _count_parameters(model)
    trainer = _build_trainer(plan, model, data, tokenizer)
    if resume_from is None:
        _clear_output(trainer)
    train_metrics = _train(trainer, resume_from)
    # In full precision, as essays will be scored, whatever the precision of the training.
    fitted = _fit_to_validation(EssayScorer(trainer.model, tokenizer, plan.data, plan.training.device), data)
    validation_metrics = trainer.evaluate()
    record = RunRecord(
        **_describe_run(plan, data, checkpoint),
        **sizes,
        **fitted,
        model=trainer.model.config.to_diff_dict(),
        train_metrics=train_metrics,
        validation_metrics=validation_metrics,
        best_checkpoint=trainer.state.best_model_checkpoint,
        history=trainer.state.log_history,
        seconds=round(time.time() - started, 1),
    )
    if trainer.is_world_process_zero():
        _write_scorer(trainer.model, tokenizer, record, plan.training.run_folder)
    if plan.training.push_to_hub:
        trainer.push_to_hub()
    return record


def _prepare_output(plan: TrainingPlan) -> Path | None:
    """Checks that the output may be written; the checkpoint to resume from, if one was asked for."""
    args = plan.training
    resume_from = checkpoint_to_resume(args.run_folder, args.resume_from_checkpoint)
    if resume_from is None and args.process_index == 0:
        check_may_write(args.run_folder, plan.overwrite)
    return resume_from


def _count_parameters(model: TRMForEssayScoring) -> dict[str, Any]:
    return {
        "num_parameters": model.num_parameters(),
        "num_trained_parameters": model.num_parameters(only_trainable=True),
    }


def _build_trainer(
    plan: TrainingPlan, model: TRMForEssayScoring, data: EssayDataset, tokenizer: PreTrainedTokenizerBase
) -> TRMTrainer:
    args, validation = plan.training, data.splits["validation"]
    if model.config.num_latents and args.device.type == "cpu":
        # Few states: plain products are several times faster there than the fused kernel's backward pass.
        model.set_attn_implementation("eager")
    if plan.project_name:
        # wandb reads its project's name from here.
        os.environ["WANDB_PROJECT"] = plan.project_name
    patience = args.early_stopping_patience
    return TRMTrainer(
        model=model,
        args=args,
        train_dataset=data.splits["train"].select_columns(list(MODEL_INPUTS)),
        eval_dataset=validation.select_columns(list(MODEL_INPUTS)),
        data_collator=EssayCollator(tokenizer, prompt_index_of(model.config)),
        processing_class=tokenizer,
        compute_metrics=build_compute_metrics(validation["prompt_id"], data.score_ranges),
        callbacks=[] if patience is None else [EarlyStoppingCallback(early_stopping_patience=patience)],
    )


def _clear_output(trainer: TRMTrainer) -> None:
    """Removes the run that this one replaces; what it is was checked before."""
    if trainer.is_world_process_zero() and trainer.args.run_folder.exists():
        shutil.rmtree(trainer.args.run_folder)


def _train(trainer: TRMTrainer, resume_from: Path | None) -> dict[str, float]:
    """Trains until the end or Ctrl-C; the Trainer's metrics."""
    interrupts = StopOnInterrupt()
    trainer.add_callback(interrupts)
    try:
        with interrupts:
            return trainer.train(resume_from_checkpoint=str(resume_from) if resume_from else None).metrics
    except KeyboardInterrupt:
        if last_checkpoint(trainer.args.run_folder) is None:
            how = "before the first checkpoint. Start anew with `overwrite`."
        else:
            how = f"and can be resumed: the same command and `resume_from_checkpoint` {LAST_CHECKPOINT}"
        raise InterruptedRun(f"interrupted at step {trainer.state.global_step}, {how}") from None


def _fit_to_validation(scorer: EssayScorer, data: EssayDataset) -> dict[str, Any]:
    """
    What ends the training of a scorer: its scales are matched to the validation essays' (where it knows its prompts), and
    its exit rule is chosen by them (where it takes several supervision steps and was given none).

    Returns:
        `calibration` and `exit_rule`, for the record; None for what was left out.
    """
    fitted: dict[str, Any] = {"calibration": None, "exit_rule": None}
    model, config = scorer.model, scorer.model.config
    tokens = data.splits["validation"].select_columns(list(SCORED_COLUMNS)).to_list()
    essays = data.splits["validation"].select_columns(["prompt_id", "score"]).to_pandas()
    if model.model.prompt_bank is not None:
        fitted["calibration"] = calibrate(model, scorer.score_tokens(tokens), essays, data.score_ranges)
    if config.num_supervision_steps > 1 and config.exit_tolerance is None:
        step_scores, _ = scorer.score_steps(tokens, config.num_supervision_steps)
        fitted["exit_rule"] = choose_exit_tolerance(step_scores, essays, data.score_ranges)
        config.exit_tolerance = fitted["exit_rule"]["tolerance"]
    return fitted


def _describe_run(plan: TrainingPlan, data: EssayDataset, checkpoint: Checkpoint | None) -> dict[str, Any]:
    """The part of the record that was settled before training."""
    args = plan.training
    return {
        # The record may be published, and a token must not be.
        "command": [word.replace(args.hub_token, "<hidden>") if args.hub_token else word for word in sys.argv],
        "run": plan.choices,
        "training": args.to_dict(),
        "seed": args.seed,
        "data": DataRecord.of_card(data.card),
        "embeddings": EmbeddingsRecord(name=checkpoint.name, hub_id=checkpoint.hub_id) if checkpoint else None,
        "packages": package_versions(),
        "machine": MachineRecord(platform=platform.platform(), device=str(args.device), processes=args.world_size),
    }


def _write_scorer(
    model: TRMForEssayScoring, tokenizer: PreTrainedTokenizerBase, record: RunRecord, output_dir: Path
) -> None:
    with new_files(output_dir) as folder:
        # Model, tokenizer, and the code of all three for where this package is absent.
        EssayScoringPipeline(model=model, tokenizer=tokenizer).save_pretrained(folder)
        record.write(folder)
