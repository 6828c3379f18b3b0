"""Deep supervision on top of the Transformers `Trainer`."""

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import prepare_data_loader
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.tensor import DTensor
from torch.utils.data import DataLoader
from transformers import ProgressCallback, Trainer, TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.utils import SAFE_WEIGHTS_NAME

from ..errors import InputError, OutputError, TrainingDivergedError
from ..files import read_json, write_json
from ..model.modeling_trm import TRMForEssayScoring
from ..publishing.hub import clear_hub_errors, publish
from ..publishing.model_card import DEFAULT_LICENSE, find_evaluation, render_model_card
from ..records import RUN_RECORD_NAME
from .arguments import TRMTrainingArguments
from .averaging import WeightAverage
from .sampler import DeepSupervisionBatchSampler

OWN_WEIGHTS_NAME = "optimizer_weights.safetensors"
AVERAGE_STATE_NAME = "weight_average.json"


@dataclass
class _MicroBatch:
    """What one micro-batch carries from a supervision step to the next: the rows that still recurse, and their states."""

    rows: torch.LongTensor
    carry: torch.Tensor | None
    min_steps: torch.LongTensor
    loss: torch.Tensor | None = None


class TRMTrainer(Trainer):
    """
    A `Trainer` that takes up to `config.num_supervision_steps` optimizer steps on each batch.

    Every supervision step goes on from the detached carry of the one before, on the same essays, with a loss, a
    gradient and an optimizer step of its own (deep supervision, arXiv 2510.04871). Essays whose halting head says so
    leave the batch. One step of the Trainer (`global_step`, logging, learning-rate schedule) is one supervision step;
    steps on a batch that has halted altogether change nothing and take no time.

    The loss is the mean over all essays that still recurse, over micro-batches and processes, so gradient accumulation
    and DDP give what one process with the whole batch would. Evaluation and saving use the weights' moving average
    where `ema_decay` is set; a checkpoint holds both.

    Raises:
        InputError: for arguments that deep supervision cannot honor.
        TrainingDivergedError: where the loss is no longer finite.
    """

    args: TRMTrainingArguments

    def __init__(self, model: TRMForEssayScoring, args: TRMTrainingArguments, **kwargs):
        super().__init__(model=model, args=args, **kwargs)
        self.num_supervision_steps = self.model.config.num_supervision_steps
        if args.save_strategy == "steps" and args.save_steps % self.num_supervision_steps:
            raise InputError(
                f"--save_steps {args.save_steps:g} would save in the midst of a batch, whose carry is not saved: use a "
                f"multiple of the {self.num_supervision_steps} supervision steps, or --save_strategy epoch."
            )
        if args.n_gpu > 1:
            raise InputError("Several GPUs in one process (DataParallel) are not supported: start with torchrun.")
        # The loss is already a mean over the whole accumulated batch: see compute_loss.
        self.loss_is_scaled_for_ga = True
        self.average: WeightAverage | None = None
        # To look at a loss is to wait for an accelerator: there it is looked at when logging and before saving.
        self._checks_every_step = args.device.type == "cpu"
        self._loss_since_check: torch.Tensor | None = None
        self._step_of_batch = 0
        self._micro_batches: list[_MicroBatch] = []
        self._next_micro_batch = 0
        self.add_callback(_DeepSupervisionCallback(self))
        if self.pop_callback(ProgressCallback) is not None:
            self.add_callback(_BriefProgress)

    # ---- Batches

    def get_train_dataloader(self) -> DataLoader:
        sampler = DeepSupervisionBatchSampler(
            num_essays=len(self.train_dataset),
            batch_size=self._train_batch_size,
            num_repeats=self.num_supervision_steps,
            num_micro_batches=self.args.gradient_accumulation_steps,
            num_processes=self.args.world_size,
            process_index=self.args.process_index,
            seed=self.args.data_seed if self.args.data_seed is not None else self.args.seed,
        )
        loader = DataLoader(
            self._remove_unused_columns(self.train_dataset, description="training"),
            batch_sampler=sampler,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
            persistent_workers=self.args.dataloader_persistent_workers,
        )
        # The sampler deals essays to processes itself; accelerate only moves batches to the device.
        return prepare_data_loader(
            loader, device=self.args.device, num_processes=1, process_index=0, put_on_device=True
        )

    def get_batch_samples(self, epoch_iterator, num_batches: int, device: torch.device) -> tuple[list, Any]:
        """The micro-batches of the next optimizer step, and how many essays still recurse over all processes."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self._step_of_batch % self.num_supervision_steps == 0:
            self._step_of_batch = 0
            self._micro_batches = [self._start(batch, index) for index, batch in enumerate(batches)]
        self._step_of_batch += 1
        self._next_micro_batch = 0
        num_running = sum(len(state.rows) for state in self._micro_batches)
        if self.args.world_size > 1:
            counts = self.accelerator.gather(torch.tensor([num_running], device=self.args.device))
            num_running = int(counts.sum())
        return batches, num_running

    def _start(self, batch: dict[str, torch.Tensor], index: int) -> _MicroBatch:
        size = len(batch["labels"])
        # As published: with some chance an essay must go on for a random number of steps, so that later steps train.
        # Drawn from place and seed alone: a resumed run draws the same.
        place = (self.state.global_step * self.args.gradient_accumulation_steps + index) * self.args.world_size
        generator = torch.Generator().manual_seed(self.args.seed * 1_000_003 + place + self.args.process_index)
        explores = torch.rand(size, generator=generator) < self.args.halt_exploration_prob
        most = max(self.num_supervision_steps, 2)
        min_steps = torch.where(explores, torch.randint(2, most + 1, (size,), generator=generator), 1)
        return _MicroBatch(rows=torch.arange(size), carry=None, min_steps=min_steps)

    # ---- One supervision step

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: int | None = None):
        state = self._micro_batches[self._next_micro_batch]
        self._next_micro_batch += 1
        if num_items_in_batch == 0:
            # Every essay of this batch has halted, on every process: no gradient, so the optimizer does nothing.
            return state.loss
        inputs["micro_batch"] = state
        loss = super().training_step(model, inputs, num_items_in_batch)
        self._loss_since_check = loss if self._loss_since_check is None else self._loss_since_check + loss
        if self._checks_every_step:
            self._check_loss(self.state.global_step + 1)
        state.loss = loss
        return loss

    def _check_loss(self, step: int):
        loss, self._loss_since_check = self._loss_since_check, None
        if loss is not None and not torch.isfinite(loss):
            raise TrainingDivergedError(
                f"The training loss is {loss.item()} at step {step}. The last checkpoint in "
                f"{self.args.output_dir} is good; start anew with a lower --learning_rate or a lower --max_grad_norm."
            )

    def log(self, *args, **kwargs):
        self._check_loss(self.state.global_step)
        super().log(*args, **kwargs)

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, **kwargs):
        state = inputs.pop("micro_batch", None)
        if state is None:
            return super().compute_loss(model, inputs, return_outputs=return_outputs, **kwargs)
        num_running = kwargs["num_items_in_batch"]
        # A process whose own essays have all halted still takes part, with weight 0: DDP waits for its gradients.
        rows = state.rows if len(state.rows) else torch.zeros(1, dtype=torch.long)
        carry = state.carry
        if len(rows) < len(inputs["labels"]):
            on_device = rows.to(inputs["labels"].device)
            inputs = {name: tensor[on_device] for name, tensor in inputs.items()}
        outputs = model(**inputs, carry=carry, num_supervision_steps=1)
        share = len(state.rows) * self.args.world_size / num_running
        if len(state.rows):
            self._advance(state, outputs)
        return outputs.loss * share

    @torch.no_grad()
    def _advance(self, state: _MicroBatch, outputs):
        """Hands the carry on, and lets essays leave that have halted; after the last step there is nothing to hand on."""
        if self._step_of_batch == self.num_supervision_steps:
            return
        if self.args.fp16:
            # A step without any gradient would break the loss scaler.
            halted = torch.zeros(len(state.rows), dtype=torch.bool)
        else:
            threshold = self.model.config.halting_threshold
            halted = outputs.halt_logits.sigmoid().cpu() > threshold
            halted &= state.min_steps[state.rows] <= self._step_of_batch
        stay = (~halted).nonzero().squeeze(-1)
        if 0 < len(stay) < len(state.rows):
            on_device = stay.to(outputs.halt_logits.device)
            state.carry = outputs.carry[on_device]
        elif len(stay):
            state.carry = outputs.carry
        else:
            state.carry = outputs.carry[:1]
        state.rows = state.rows[stay]

    # ---- Optimizer

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW (or what `--optim` says) with a learning rate of its own for the word embeddings."""
        model = self.model if model is None else model
        if self.optimizer is None and self.args.embedding_learning_rate is not None:
            embeddings = self.accelerator.unwrap_model(model).get_input_embeddings().weight
            decayed = set(self.get_decay_parameter_names(model))
            groups: dict[tuple[float, float], list[nn.Parameter]] = {}
            for name, weight in model.named_parameters():
                if weight.requires_grad:
                    rate = self.args.embedding_learning_rate if weight is embeddings else self.args.learning_rate
                    decay = self.args.weight_decay if name in decayed else 0.0
                    groups.setdefault((rate, decay), []).append(weight)
            optimizer_class, options = self.get_optimizer_cls_and_kwargs(self.args, model)
            self.optimizer = optimizer_class(
                [{"params": weights, "lr": rate, "weight_decay": decay} for (rate, decay), weights in groups.items()],
                **options,
            )
        return super().create_optimizer(model)

    # ---- Averaged weights

    def train(self, *args, **kwargs):
        """
        As `Trainer.train`; afterwards `model` holds the averaged weights, or the best ones where asked for. Where FSDP
        sharded it, it is another object, whole on every process.
        """
        self._step_of_batch = 0
        result = super().train(*args, **kwargs)
        if self.average is not None:
            self.average.copy_to_model()
            self.average = None
        self._unshard()
        return result

    def _unshard(self):
        if not self.is_fsdp_enabled:
            return
        weights = {
            name: weight.full_tensor() if isinstance(weight, DTensor) else weight
            for name, weight in self.model.state_dict().items()
        }
        self.model = self.model_wrapped = TRMForEssayScoring(self.model.config).to(self.args.device)
        self.model.load_state_dict(weights)
        self.is_fsdp_enabled = False

    def evaluation_loop(self, *args, **kwargs):
        with self.average.applied() if self.average else contextlib.nullcontext():
            return super().evaluation_loop(*args, **kwargs)

    def save_model(self, *args, **kwargs):
        with self.average.applied() if self.average else contextlib.nullcontext():
            super().save_model(*args, **kwargs)

    def _save_checkpoint(self, model, trial):
        self._check_loss(self.state.global_step)
        folder = Path(self.args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        try:
            if self.average:
                own = self.average.own_weights()
                if self.args.should_save:
                    folder.mkdir(parents=True, exist_ok=True)
                    # Written first: rotation of checkpoints and the trainer state come last, when the rest is whole.
                    save_file(own, folder / OWN_WEIGHTS_NAME, metadata={"format": "pt"})
                    write_json(folder / AVERAGE_STATE_NAME, {"num_updates": self.average.num_updates})
            super()._save_checkpoint(model, trial)
        except (OSError, RuntimeError, SafetensorError) as error:
            # A checkpoint cut short must not be taken for a whole one.
            shutil.rmtree(folder, ignore_errors=True)
            raise OutputError(
                f"{folder} could not be saved ({str(error).splitlines()[0]}). Is the disk full? Earlier checkpoints in "
                f"{self.args.output_dir} are whole: free some space and go on with --resume_from_checkpoint last."
            ) from error

    def _load_best_model(self):
        # As one file: Trainer looks for FSDP's own kind, which it has not written.
        self._unshard()
        super()._load_best_model()
        # What was loaded is an average already.
        self.average = None

    def start_average(self):
        """Begins the moving average, or takes it up where the checkpoint left it."""
        if not self.args.ema_decay:
            return
        self.average = WeightAverage(self.model, self.args.ema_decay)
        checkpoint = self._resumed_from
        if checkpoint is not None and (checkpoint / OWN_WEIGHTS_NAME).is_file():
            num_updates = read_json(checkpoint / AVERAGE_STATE_NAME)["num_updates"]
            own, averaged = (load_file(checkpoint / name) for name in (OWN_WEIGHTS_NAME, SAFE_WEIGHTS_NAME))
            self.average.restore(own, averaged, num_updates)

    # ---- The Hub

    def init_hf_repo(self, token: str | None = None, private: bool | None = None):
        with clear_hub_errors(str(self.args.hub_model_id or self.args.output_dir), "Nothing was published."):
            super().init_hf_repo(token, private)

    def push_to_hub(
        self,
        commit_message: str = "End of training",
        token: str | None = None,
        private: bool | None = None,
        license: str = DEFAULT_LICENSE,
        **kwargs,
    ) -> str | None:
        """
        As `Trainer.push_to_hub`, but without pickled files and, where `train_scorer` left its record, with a card that
        tells it and the evaluation beside it. Adds a commit to `args.hub_model_id`, whatever is there.

        Args:
            commit_message, token, private: see `Trainer.push_to_hub`.
            license: of the weights, by the Hub's name for it.
            kwargs: for `Trainer.create_model_card`, where there is no such record.

        Returns:
            Address of the commit; None on all processes but the first.

        Raises:
            InputError, OutputError: see [`publish`].
        """
        if self.hub_model_id is None:
            self.init_hf_repo(token, private)
        self.save_model(_internal_call=True)
        if not self.is_world_process_zero():
            return None
        folder, card, evaluation = Path(self.args.output_dir), None, None
        if (folder / RUN_RECORD_NAME).is_file():
            evaluation = find_evaluation(folder)
            card = str(render_model_card(folder, self.hub_model_id, evaluation, license))
        else:
            self.create_model_card(model_name=self.hub_model_id.split("/")[-1], license=license, **kwargs)
        return publish(
            folder,
            self.hub_model_id,
            card,
            evaluation,
            overwrite=True,
            token=token or self.args.hub_token,
            message=commit_message,
        )

    # ---- Resuming

    def _inner_training_loop(self, *args, resume_from_checkpoint: str | None = None, **kwargs):
        self._resumed_from = Path(resume_from_checkpoint) if resume_from_checkpoint else None
        return super()._inner_training_loop(*args, resume_from_checkpoint=resume_from_checkpoint, **kwargs)


class _DeepSupervisionCallback(TrainerCallback):
    """Moments at which the Trainer calls back: the average, and validation every few epochs."""

    def __init__(self, trainer: TRMTrainer):
        self.trainer = trainer

    def on_train_begin(self, args, state, control, **kwargs):
        self.trainer.start_average()

    def on_optimizer_step(self, args, state, control, **kwargs):
        if self.trainer.average:
            self.trainer.average.update()

    def on_epoch_end(self, args: TRMTrainingArguments, state, control, **kwargs):
        epoch = round(state.epoch)
        if epoch % args.eval_every_epochs and state.global_step < state.max_steps:
            control.should_evaluate = control.should_save = False
        return control


class _BriefProgress(ProgressCallback):
    """The progress bar, with the means of a validation but not its dozens of figures by prompt: those are in the log."""

    def on_log(self, args, state, control, logs=None, **kwargs):
        brief = {name: value for name, value in (logs or {}).items() if not name.startswith("eval_prompt_")}
        super().on_log(args, state, control, logs=brief, **kwargs)
