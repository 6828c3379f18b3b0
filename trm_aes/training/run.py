"""One training run: a plan in, a scorer with a full record of how it was made out."""

import contextlib
import copy
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from datasets import Dataset
from transformers import PreTrainedConfig, PreTrainedTokenizerBase, set_seed

from ..checkpoints import Checkpoint
from ..data.dataset import EssayDataset, load_essay_dataset
from ..errors import InputError, InterruptedRun
from ..evaluation.agreement import build_compute_metrics, metric_names
from ..files import check_is_outside, new_files
from ..model.configuration_trm import sort_prompt_ids
from ..model.essay_tokens import EssayCollator
from ..model.modeling_trm import TRMForEssayScoring
from ..naming import nearest_name
from ..presets import is_recipe_file
from ..records import DataRecord, MachineRecord, PretrainedRecord, RunRecord, package_versions
from ..scoring.scorer import EssayScorer, input_columns
from .arguments import TRMTrainingArguments
from .early_stopping import EarlyStopping, stopped_at
from .fit.advisories import fit_advisories
from .fit.calibration import calibrate, calibrate_confidence, calibrate_traits, left_out_scores
from .fit.confidence import fit_error_model
from .fit.exit_rule import choose_exit_tolerance
from .fit.lexical import fit_lexical_head
from .fit.passages import fit_passage_check
from .fit.penalties import fit_penalties
from .fit.prompts import set_signatures
from .folder import folder_to_train_in
from .interrupts import StopOnInterrupt
from .recipe import TrainingPlan
from .resuming import LAST_CHECKPOINT, checkpoint_to_resume, last_checkpoint, settings_of
from .states import EssayStates, EssaysWithStates, read_with_encoder
from .trainer import TRMTrainer
from .untrained import Pretrained, build_model

LABELS = ("score", "min_score", "max_score", "score_step")


@dataclass(frozen=True)
class Essays:
    """
    What is trained on and measured with.

    Args:
        data: the data set.
        tokenizer: of the data set.
        states: `split -> states` of a frozen encoder for `train` and `validation`; empty without one.
    """

    data: EssayDataset
    tokenizer: PreTrainedTokenizerBase
    states: dict[str, EssayStates]

    def rows(self, split: str, config: PreTrainedConfig) -> Dataset | EssaysWithStates:
        """Rows that hold what a model of this configuration is given in training."""
        wanted = [*input_columns(config), *LABELS, *(config.auxiliary_targets or ())]
        rows = self.data.splits[split]
        rows = rows.select_columns([name for name in wanted if name in rows.column_names])
        return EssaysWithStates(rows, self.states[split]) if self.states else rows


def train_scorer(plan: TrainingPlan) -> RunRecord:
    """
    Trains a scorer and writes it to `plan.training.output_dir`: the best model by `metric_for_best_model` on validation,
    its tokenizer, and `run.json` with the full configuration, seed, package versions and metrics. The test split is never
    read. With `push_to_hub` the scorer is then published.

    Returns:
        The record, as written.

    Raises:
        InputError: for input that cannot be used, or if another run is writing the output; nothing has been written then.
        TrainingDivergedError: if the loss is no longer finite.
        InterruptedRun: on Ctrl-C.
        OutputError: if a checkpoint cannot be saved, or publishing breaks off.
    """
    started = time.time()
    data = load_essay_dataset(plan.data)
    output_dir = plan.training.run_folder
    check_is_outside(plan.data, output_dir, "data")
    if is_recipe_file(plan.recipe):
        check_is_outside(plan.recipe, output_dir, "recipe")
    _check_metric(plan.training.metric_for_best_model, data)
    settings = settings_of(plan, data)
    resume_from = checkpoint_to_resume(output_dir, plan.training.resume_from_checkpoint, settings)
    with _folder_of_all(plan, resume_from) as folder:
        trainer, record = _train_in(folder, plan, data, resume_from, settings, started)
    if plan.training.push_to_hub:
        trainer.args.output_dir = str(output_dir)
        try:
            trainer.push_to_hub()
        except KeyboardInterrupt as interrupt:
            said = str(interrupt) or "interrupted."
            raise InterruptedRun(f"{said} The scorer is in {output_dir}; `trm-aes push` publishes it.") from None
    return record


# How names of metrics end by which no model can be chosen: a difference is best near 0, and a number of essays says nothing.
NOT_TO_CHOOSE_BY = ("_smd", "_n")


def _check_metric(wanted: str | None, data: EssayDataset):
    """The Trainer itself notices a metric that it is not given only after the first epoch."""
    of_validation = sort_prompt_ids(set(data.splits["validation"]["prompt_id"]))
    names = [name for name in ["loss", *metric_names(of_validation)] if not name.endswith(NOT_TO_CHOOSE_BY)]
    name = (wanted or "loss").removeprefix("eval_")
    if name not in names:
        near = nearest_name(name, names)
        suggested = f"Did you mean {near}? " if near is not None else ""
        raise InputError(f"`metric_for_best_model` {wanted}: no such metric. {suggested}There are {', '.join(names)}.")


@contextlib.contextmanager
def _folder_of_all(plan: TrainingPlan, resume_from: Path | None) -> Iterator[Path]:
    """Where all processes write: the first owns the output (see [`folder_to_train_in`]), and tells the others."""
    args = plan.training
    is_first = args.process_index == 0
    owner: contextlib.AbstractContextManager[Path | None] = contextlib.nullcontext()
    if is_first:
        owner = folder_to_train_in(args.run_folder, plan.overwrite, resume_from)
    with owner as folder:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        [chosen] = broadcast_object_list([folder])
        # Otherwise each machine would keep checkpoints of its own, and find no best one at the end. All end together: those that
        # went on would wait for the others.
        if not all(gather_object([_appears(chosen)])):
            raise InputError(
                f"`output_dir` {args.run_folder} is not the same folder for all processes: several machines need a disk that "
                "they share."
            )
        yield chosen
        PartialState().wait_for_everyone()


def _appears(folder: Path, seconds: int = 60) -> bool:
    """Whether a folder is there, or comes to be: on a disk that machines share, that may take a while to be seen."""
    for _ in range(seconds):
        if folder.is_dir():
            return True
        time.sleep(1)
    return folder.is_dir()


def _train_in(
    folder: Path,
    plan: TrainingPlan,
    data: EssayDataset,
    resume_from: Path | None,
    settings: dict[str, Any],
    started: float,
) -> tuple[TRMTrainer, RunRecord]:
    """Trains a scorer and writes it into a folder; the trainer and the record, as written."""
    args = _writing_to(plan.training, folder)
    tokenizer = data.load_tokenizer()
    set_seed(args.seed)
    pretrained = Pretrained.find(plan)
    model = build_model(plan, data, tokenizer, pretrained)
    essays = Essays(data, tokenizer, _read_states(plan, model, data, tokenizer))
    by_having_seen = None
    if model.lexical_head is not None:
        by_having_seen = fit_lexical_head(model, data, essays.states.get("train"))
    if model.passage_check is not None:
        fit_passage_check(model, data, essays.states.get("train"), plan.training.seed)
    sizes = _count_parameters(model)
    trainer = _build_trainer(plan, args, model, essays, settings)
    train_metrics = _train(trainer, resume_from)
    # In full precision, as essays will be scored: Accelerate has put autocast around the model's forward pass.
    for name in ("forward", "_original_forward"):
        vars(trainer.model).pop(name, None)
    scorer = EssayScorer(trainer.model, tokenizer, str(plan.training.output_dir), args.device)
    fitted = _fit_to_unseen(scorer, essays, by_having_seen, plan.training.seed)
    validation_metrics = trainer.evaluate()
    best = trainer.state.best_model_checkpoint
    record = RunRecord(
        **_describe_run(plan, data, pretrained),
        **sizes,
        **fitted,
        model=trainer.model.config.to_diff_dict(),
        train_metrics=train_metrics,
        validation_metrics=validation_metrics,
        best_checkpoint=None if best is None else Path(best).name,
        history=trainer.state.log_history,
        seconds=round(time.time() - started, 1),
    )
    if trainer.is_world_process_zero():
        with new_files(folder) as new:
            scorer.save_pretrained(new)
            # Saving completes the configuration.
            record = replace(record, model=trainer.model.config.to_diff_dict())
            record.write(new)
    return trainer, record


def _writing_to(args: TRMTrainingArguments, folder: Path) -> TRMTrainingArguments:
    """The same arguments with another output folder, which must not give a repository on the Hub its name."""
    changed = copy.copy(args)
    changed.hub_model_id = args.hub_model_id or args.run_folder.absolute().name
    changed.output_dir = str(folder)
    return changed


def _count_parameters(model: TRMForEssayScoring) -> dict[str, Any]:
    return {
        "num_parameters": model.num_parameters(),
        "num_trained_parameters": model.num_parameters(only_trainable=True),
    }


def _read_states(
    plan: TrainingPlan, model: TRMForEssayScoring, data: EssayDataset, tokenizer: PreTrainedTokenizerBase
) -> dict[str, EssayStates]:
    """A frozen encoder reads the essays once; one that is trained reads them at every step."""
    encoder = model.model.encoder
    if encoder is None or encoder.is_trained:
        return {}
    collate, device = EssayCollator(tokenizer), plan.training.device
    return {
        split: read_with_encoder(encoder, data.splits[split], collate, device, f"Reading {split}")
        for split in ("train", "validation")
    }


def _build_trainer(
    plan: TrainingPlan, args: TRMTrainingArguments, model: TRMForEssayScoring, essays: Essays, settings: dict[str, Any]
) -> TRMTrainer:
    config = model.config
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
        settings=settings,
        train_dataset=essays.rows("train", config),
        eval_dataset=essays.rows("validation", config),
        data_collator=EssayCollator.for_model(essays.tokenizer, config),
        processing_class=essays.tokenizer,
        compute_metrics=build_compute_metrics(essays.data.splits["validation"]["prompt_id"], essays.data.score_ranges),
        callbacks=[] if patience is None else [EarlyStopping(early_stopping_patience=patience)],
    )


def _train(trainer: TRMTrainer, resume_from: Path | None) -> dict[str, float]:
    """Trains until the end or Ctrl-C; the Trainer's metrics."""
    interrupts = StopOnInterrupt()
    trainer.add_callback(interrupts)
    patience = trainer.args.early_stopping_patience
    if resume_from is not None and patience is not None:
        # A run that had stopped at the end of an epoch, and was interrupted after that, takes no further step.
        trainer.args.max_steps = stopped_at(resume_from, patience) or trainer.args.max_steps
    try:
        with interrupts:
            return trainer.train(resume_from_checkpoint=str(resume_from) if resume_from else None).metrics
    except KeyboardInterrupt:
        if last_checkpoint(trainer.args.run_folder) is None:
            how = "before the first checkpoint: nothing was kept."
        else:
            how = f"and can be resumed: the same command and `resume_from_checkpoint` {LAST_CHECKPOINT}"
        raise InterruptedRun(f"interrupted at step {trainer.state.global_step}, {how}") from None


def _validation(scorer: EssayScorer, essays: Essays) -> tuple[list[dict], pd.DataFrame]:
    """The validation essays as a scorer is given them, and their `prompt_id` and gold `score` and traits."""
    split = essays.data.splits["validation"]
    rows = scorer.rows(split, essays.states.get("validation"))
    return rows, split.select_columns(["prompt_id", "score", *scorer.trait_ranges]).to_pandas()


def _fit_to_unseen(scorer: EssayScorer, essays: Essays, by_having_seen: np.ndarray | None, seed: int) -> dict[str, Any]:
    """
    What ends the training of a scorer: its scales are matched to the validation essays' (where it knows its prompts), with
    the help of training essays where those are few; its exit rule is chosen by the validation essays (where it takes
    several supervision steps and was given none); then come the penalties of its passage check, the confidence, its error
    model, and the limits of the advisories.

    Args:
        by_having_seen: as [`fit_lexical_head`] returned it; None without such a head.
        seed: of what is drawn.

    Returns:
        `calibration`, and `exit_rule` for the record, None where it was left out; `penalties` and `error_model` of a model
        that has such.
    """
    fitted: dict[str, Any] = {"calibration": {}, "exit_rule": None}
    model, config = scorer.model, scorer.model.config
    data, ranges = essays.data, essays.data.score_ranges
    rows, gold = _validation(scorer, essays)
    unlike_shares = None
    if model.model.prompt_bank is not None:
        # Word embeddings may have been trained.
        set_signatures(model, data, essays.tokenizer)
        left_out = None
        if by_having_seen is not None:
            left_out = left_out_scores(scorer, data, by_having_seen, essays.states.get("train"))
        raw = scorer.score_tokens(rows)
        # Neither the scale nor the penalties change these.
        unlike_shares = raw.unlike_shares
        fitted["calibration"] = calibrate(model, raw, gold, ranges, left_out)
        if scorer.trait_ranges:
            fitted["calibration"]["traits"] = calibrate_traits(scorer, raw, gold, left_out)
    if config.num_supervision_steps > 1 and config.exit_tolerance is None:
        step_scores, _ = scorer.score_steps(rows, config.num_supervision_steps)
        fitted["exit_rule"] = choose_exit_tolerance(step_scores, gold, ranges)
        config.exit_tolerance = fitted["exit_rule"]["tolerance"]
    if model.passage_check is not None:
        fitted["penalties"] = fit_penalties(scorer, data, seed)
    fitted["calibration"]["halting_bias"] = calibrate_confidence(model, scorer.score_tokens(rows), gold, ranges)
    if model.model.prompt_bank is not None:
        fitted["error_model"] = fit_error_model(scorer, rows, gold, ranges)
    fit_advisories(scorer, data, unlike_shares, seed)
    return fitted


def _describe_run(plan: TrainingPlan, data: EssayDataset, pretrained: Pretrained) -> dict[str, Any]:
    """The part of the record that was settled before training."""
    args = plan.training
    return {
        # The record may be published, and a token must not be.
        "command": [word.replace(args.hub_token, "<hidden>") if args.hub_token else word for word in sys.argv],
        "run": plan.choices,
        "training": args.to_dict(),
        "seed": args.seed,
        "data": DataRecord.of_card(data.card, data.essays_checksum),
        "embeddings": _describe_checkpoint(pretrained.embeddings),
        "encoder": _describe_checkpoint(pretrained.encoder),
        "packages": package_versions(),
        "machine": MachineRecord(platform=platform.platform(), device=str(args.device), processes=args.world_size),
    }


def _describe_checkpoint(checkpoint: Checkpoint | None) -> PretrainedRecord | None:
    if checkpoint is None:
        return None
    return PretrainedRecord(name=checkpoint.name, hub_id=checkpoint.hub_id, commit=checkpoint.commit)
