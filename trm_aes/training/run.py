"""One training run: data set and presets in, a scorer with a full record of how it was made out."""

import os
import platform
import shutil
import sys
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers import EarlyStoppingCallback, PreTrainedTokenizerBase, set_seed
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from ..checkpoints import DEFAULT_CHECKPOINT, Checkpoint, embedding_size, find_checkpoint
from ..data.dataset import EssayDataset, load_essay_dataset
from ..errors import InputError, InterruptedRun
from ..evaluation.agreement import build_compute_metrics
from ..files import check_is_free, is_occupied, new_files, write_json
from ..model.configuration_trm import TRMConfig
from ..model.essay_tokens import EssayCollator, prompt_index_of
from ..model.modeling_trm import TRMForEssayScoring
from ..model.pipeline_trm import EssayScoringPipeline
from ..presets import Recipe
from ..records import RUN_RECORD_NAME, package_versions
from ..scoring.scorer import SCORED_COLUMNS, EssayScorer
from .arguments import TRMTrainingArguments
from .fit.calibration import calibrate
from .fit.embeddings import copy_word_embeddings
from .fit.exit_rule import choose_exit_tolerance
from .fit.lexical import fit_lexical_head
from .fit.prompts import set_prompt_statistics
from .interrupts import StopOnInterrupt
from .trainer import TRMTrainer

NO_EMBEDDINGS = "none"
LAST_CHECKPOINT = "last"
RECORDED_OF_DATA = ("source", "source_sha256", "corpus", "num_essays", "options", "tokenizer", "token_limits")
MODEL_INPUTS = ("input_ids", "token_type_ids", "prompt_id", "score", "min_score", "max_score")


@dataclass
class RunArguments:
    """What is trained, on what data, and where it goes; the rest are the model's and the Trainer's own arguments."""

    data: str = field(metadata={"help": "Data set that `trm-aes build` wrote."})
    recipe: str = field(default="default", metadata={"help": "Recipe preset: what is trained, and how."})
    hardware: str = field(
        default="auto", metadata={"help": "Hardware preset, or auto: the first of cuda, mps, cpu there is."}
    )
    embeddings: str = field(
        default=DEFAULT_CHECKPOINT,
        metadata={"help": "Encoder whose word embeddings to start from (Hub name or folder), or none."},
    )
    rescale_embeddings: bool | None = field(
        default=None, metadata={"help": "Scale those to a root mean square of 1; the recipe's choice if not given."}
    )
    freeze_embeddings: bool | None = field(
        default=None, metadata={"help": "Keep those out of training; the recipe's choice if not given."}
    )
    project_name: str | None = field(default=None, metadata={"help": "Project for --report_to wandb or trackio."})
    overwrite: bool = field(default=False, metadata={"help": "Replace an existing --output_dir."})


def train_scorer(run: RunArguments, recipe: Recipe, model_overrides: dict, args: TRMTrainingArguments) -> dict:
    """
    Trains a scorer and writes it to `args.output_dir`: the best model by validation mean QWK, its tokenizer, and
    `run.json` with the full configuration, seed, package versions and metrics. The test split is never read.

    Args:
        run: data, presets, embeddings.
        recipe: the recipe that `run` names; `args` already holds its training part.
        model_overrides: fields of `TRMConfig` that win over the recipe's.
        args: of the Trainer.

    With `--push_to_hub true` it is then published.

    Returns:
        The record, as written.

    Raises:
        InputError: for input that cannot be used; nothing has been written then.
        TrainingDivergedError: if the loss is no longer finite.
        InterruptedRun: on Ctrl-C.
        OutputError: if a checkpoint cannot be saved, or publishing breaks off.
    """
    started = time.time()
    data = load_essay_dataset(run.data)
    tokenizer = data.load_tokenizer()
    resume_from = _checkpoint_to_resume(args)
    if resume_from is None and args.process_index == 0:
        check_is_free(args.output_dir, run.overwrite)
        _check_is_a_run(Path(args.output_dir))
    set_seed(args.seed)
    checkpoint = find_checkpoint(run.embeddings) if run.embeddings != NO_EMBEDDINGS else None
    model = build_model(data, tokenizer, run, recipe, model_overrides, checkpoint)
    if model.config.num_latents and args.device.type == "cpu":
        # Few states: plain products are several times faster there than the fused kernel's backward pass.
        model.set_attn_implementation("eager")
    counts = {
        "num_parameters": model.num_parameters(),
        "num_trained_parameters": model.num_parameters(only_trainable=True),
    }
    validation = data.splits["validation"]
    interrupts = StopOnInterrupt()
    trainer = TRMTrainer(
        model=model,
        args=args,
        train_dataset=data.splits["train"].select_columns(list(MODEL_INPUTS)),
        eval_dataset=validation.select_columns(list(MODEL_INPUTS)),
        data_collator=EssayCollator(tokenizer, prompt_index_of(model.config)),
        processing_class=tokenizer,
        compute_metrics=build_compute_metrics(validation["prompt_id"], data.score_ranges),
        callbacks=[*_callbacks(args), interrupts],
    )
    if resume_from is None and trainer.is_world_process_zero() and Path(args.output_dir).exists():
        shutil.rmtree(args.output_dir)
    try:
        with interrupts:
            result = trainer.train(resume_from_checkpoint=resume_from)
    except KeyboardInterrupt:
        if last_checkpoint(args.output_dir) is None:
            how = "before the first checkpoint. Start anew with --overwrite."
        else:
            how = f"and can be resumed: the same command and --resume_from_checkpoint {LAST_CHECKPOINT}"
        raise InterruptedRun(f"interrupted at step {trainer.state.global_step}, {how}") from None
    # In full precision, as essays will be scored, whatever the precision of the training.
    fitted = _fit_to_validation(EssayScorer(trainer.model, tokenizer, run.data, args.device), data)
    metrics = trainer.evaluate()
    record = {
        # The record may be published, and a token must not be.
        "command": [word.replace(args.hub_token, "<hidden>") if args.hub_token else word for word in sys.argv],
        "run": vars(run),
        "model": trainer.model.config.to_diff_dict(),
        "training": args.to_dict(),
        "seed": args.seed,
        **counts,
        "data": {key: data.card.get(key) for key in RECORDED_OF_DATA},
        "embeddings": {"name": checkpoint.name, "hub_id": checkpoint.hub_id} if checkpoint else None,
        "packages": package_versions(),
        "machine": {"platform": platform.platform(), "device": str(args.device), "processes": args.world_size},
        "seconds": round(time.time() - started, 1),
        "train_metrics": result.metrics,
        "validation_metrics": metrics,
        **fitted,
        "best_checkpoint": trainer.state.best_model_checkpoint,
        "history": trainer.state.log_history,
    }
    if trainer.is_world_process_zero():
        with new_files(args.output_dir) as folder:
            # Model, tokenizer, and the code of all three for where this package is absent.
            EssayScoringPipeline(model=trainer.model, tokenizer=tokenizer).save_pretrained(folder)
            write_json(folder / RUN_RECORD_NAME, record)
    if args.push_to_hub:
        trainer.push_to_hub()
    return record


def _fit_to_validation(scorer: EssayScorer, data: EssayDataset) -> dict:
    """
    What ends the training of a scorer: its scales are matched to the validation essays' (where it knows its prompts), and
    its exit rule is chosen by them (where it takes several supervision steps and was given none).

    Returns:
        `calibration` and `exit_rule`, for the record; None for what was left out.
    """
    fitted = {"calibration": None, "exit_rule": None}
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


def build_model(
    data: EssayDataset,
    tokenizer: PreTrainedTokenizerBase,
    run: RunArguments,
    recipe: Recipe,
    overrides: dict,
    checkpoint: Checkpoint | None,
) -> TRMForEssayScoring:
    """
    The untrained model of a recipe, its word embeddings copied from an encoder (random without one), its prompts
    described and its lexical head fitted where it has them.

    Raises:
        InputError: if the configuration contradicts itself, the data set or the encoder.
    """
    fields = {**recipe.model, **overrides}
    if checkpoint is not None:
        # Factorized where the encoder's width is not the model's.
        fields.setdefault("embedding_size", embedding_size(checkpoint))
    try:
        config = TRMConfig(
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            score_ranges={key: [r.min_score, r.max_score] for key, r in data.score_ranges.items()},
            prompt_texts=data.prompt_texts,
            max_prompt_tokens=data.card["token_limits"]["max_prompt_tokens"],
            **fields,
        )
    except (ValueError, TypeError) as error:
        raise InputError(f"The model's configuration is no good: {str(error).strip()}") from None
    longest = data.card["token_limits"]["max_tokens"]
    if longest > config.max_position_embeddings:
        raise InputError(
            f"{run.data} has sequences of up to {longest} tokens, the model takes {config.max_position_embeddings}: "
            f"give --max_position_embeddings {longest}, or build the data set with a lower --max-tokens."
        )
    model = TRMForEssayScoring(config)
    freeze = recipe.embeddings["freeze"] if run.freeze_embeddings is None else run.freeze_embeddings
    if checkpoint is not None:
        rescale = recipe.embeddings["rescale"] if run.rescale_embeddings is None else run.rescale_embeddings
        copy_word_embeddings(model, checkpoint, tokenizer, rescale, freeze)
    elif freeze and run.freeze_embeddings:
        raise InputError("--freeze_embeddings with --embeddings none would freeze random embeddings.")
    if model.model.prompt_bank is not None:
        set_prompt_statistics(model, data, tokenizer)
    if model.lexical_head is not None:
        fit_lexical_head(model, data)
    return model


def last_checkpoint(output_dir: str | os.PathLike) -> Path | None:
    """The newest whole checkpoint of a run. The trainer's state is written last, so one that lacks it is not whole."""
    folders = [path.parent for path in Path(output_dir).glob(f"{PREFIX_CHECKPOINT_DIR}-*/trainer_state.json")]
    return max(folders, key=lambda folder: int(folder.name.rsplit("-", 1)[1]), default=None)


def _check_is_a_run(output_dir: Path):
    """
    Raises:
        InputError: if a folder that is to be replaced holds something, and it is not what a training run leaves.
    """
    is_run = any((output_dir / name).exists() for name in (RUN_RECORD_NAME, "config.json"))
    is_run = is_run or any(output_dir.glob(f"{PREFIX_CHECKPOINT_DIR}-*"))
    if is_occupied(output_dir) and not is_run:
        raise InputError(
            f"{output_dir} is not what a training run wrote, so --overwrite leaves it alone. Choose another."
        )


def _checkpoint_to_resume(args: TRMTrainingArguments) -> str | None:
    wanted = args.resume_from_checkpoint
    if wanted is None:
        return None
    folder = last_checkpoint(args.output_dir) if wanted == LAST_CHECKPOINT else Path(wanted)
    if folder is None:
        raise InputError(f"{args.output_dir} holds no checkpoint to resume from. Leave --resume_from_checkpoint out.")
    if not (folder / "trainer_state.json").is_file():
        raise InputError(f"{folder} is not a whole checkpoint of a training run (it holds no trainer_state.json).")
    _check_is_whole(folder)
    return str(folder)


def _check_is_whole(checkpoint: Path):
    """
    Raises:
        InputError: if a file of the checkpoint is cut short.
    """
    for path in checkpoint.iterdir():
        whole = True
        if path.suffix == ".safetensors":
            try:
                with safe_open(path, framework="pt"):
                    pass
            except SafetensorError:
                whole = False
        elif path.suffix in (".pt", ".pth"):
            # PyTorch's files are zip archives, whose directory stands at the end.
            whole = zipfile.is_zipfile(path)
        if not whole:
            raise InputError(f"{path} is damaged or cut short. Resume from an earlier checkpoint, or start anew.")


def _callbacks(args: TRMTrainingArguments) -> list:
    if args.early_stopping_patience is None:
        return []
    return [EarlyStoppingCallback(early_stopping_patience=args.early_stopping_patience)]
