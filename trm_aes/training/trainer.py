"""Deep supervision on top of the Transformers `Trainer`."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import prepare_data_loader
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.tensor import DTensor
from torch.utils.data import DataLoader
from transformers import ProgressCallback, TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, TrainOutput
from transformers.utils import SAFE_WEIGHTS_NAME

from ..errors import InputError, OutputError, TrainingDivergedError, brief, explained
from ..files import read_json, write_json
from ..model.modeling_trm import TRMForEssayScoring
from ..publishing.trainer import PublishingTrainer
from .arguments import TRMTrainingArguments
from .averaging import WeightAverage
from .callbacks import BriefProgress, EvaluateEveryFewEpochs, SetSamplersEpoch
from .folder import AVERAGE_STATE_NAME, SETTINGS_NAME
from .resuming import OWN_WEIGHTS_NAME, last_checkpoint, last_good_checkpoint
from .sampler import DeepSupervisionBatchSampler
from .supervision import MicroBatch


class TRMTrainer(PublishingTrainer):
    """
    A `Trainer` that takes up to `config.num_supervision_steps` optimizer steps on each batch.

    Every supervision step goes on from the detached carry of the one before, on the same essays, with a loss, a gradient
    and an optimizer step of its own (deep supervision, arXiv 2510.04871). Essays whose halting head says so leave the
    batch. The Trainer knows nothing of this: to it each supervision step is an ordinary optimizer step, so `global_step`,
    logging, and the learning-rate schedule count supervision steps.

    **One optimizer step**, with N = `num_supervision_steps`, in the order of the Trainer's calls:

    1. `get_batch_samples`. The sampler (see [`DeepSupervisionBatchSampler`]) repeats the micro-batches of an optimizer
       step N times, so the Trainer draws the same essays N times in a row. `global_step % N` says which time this is. At
       the first, a [`MicroBatch`] is made for each micro-batch: all its essays run, and none has a carry. They are kept in
       `_micro_batches` until the next first time. The second value returned, which the Trainer hands on as
       `num_items_in_batch`, is what it is in every Trainer, the number that the loss is a mean over: here the essays
       that still recurse, over all micro-batches and processes.
    2. `training_step`, once for each micro-batch, in order. It takes the next `MicroBatch` and calls `Trainer`'s, which
       calls
    3. `compute_loss`: the model takes one supervision step, from the `MicroBatch`'s carry, on the rows that still run.
       The loss is their mean, weighted by their share of `num_items_in_batch`. Then `_hand_on` (not after the N-th step)
       gives the `MicroBatch` the new carry, and removes the rows that halt. Back in `Trainer.training_step` the loss is
       propagated backward.
    4. The Trainer clips the gradient and steps the optimizer; `_AverageWeights` takes the new weights into their moving
       average; `global_step` rises by one.

    `get_batch_samples` and `compute_loss` write a `MicroBatch`, and `training_step` its `loss`; nobody else reads or
    writes one. Outside `training_step`, in validation for instance, `_running` is None, and `compute_loss` is the
    Trainer's: the model takes all its steps at once.

    **When a batch has halted altogether**, on every process, `num_items_in_batch` is 0. For what is left of the N steps
    the model is not called. There is no gradient, so the optimizer leaves the weights as they are, and the last loss is
    reported again.

    **Gradient accumulation and several processes.** The weights of the losses in step 3 make their mean over micro-batches
    (which is what the Trainer forms) and processes (DDP and FSDP) the mean over all essays that still run: the same as
    one process with the whole batch, but for auxiliary scores where some are missing: theirs is the mean over those that a
    micro-batch has. Processes agree on `num_items_in_batch`, so all call the model or none does; one
    whose own essays have all halted calls it on one of them with weight 0, since the others wait for its gradients.

    **Evaluation and saving** see the moving average of the weights where `ema_decay` is set (`evaluation_loop`,
    `save_model`); the optimizer goes on from its own. A checkpoint holds the average as `model.safetensors`, and the
    optimizer's weights beside it. No carry is saved, so `save_steps` must be a multiple of N. When training ends, `model`
    holds the average, or the best checkpoint where `load_best_model_at_end` is set.

    **Resuming.** The Trainer loads `model.safetensors` and skips the batches that are done; when training begins,
    `start_average` puts the optimizer's own weights back in place and goes on with the average. A `MicroBatch`'s random
    draws depend on seed, step and process alone. On a CPU the run ends with the weights of one that was not interrupted.

    **FSDP** (version 2) shards the weights, so the average is sharded, too. What is saved is whole. When training ends
    `model` is a new object, whole on every process.

    Args:
        model, args: the model, and how it is trained.
        settings: written into each checkpoint, for the run that goes on from it to be compared with (see [`settings_of`]); none
            where a program of one's own gives none.
        kwargs: of `Trainer`.

    Raises:
        InputError: for arguments that deep supervision cannot honor.
        TrainingDivergedError: where the loss is no longer finite.
    """

    args: TRMTrainingArguments
    model: Any
    train_dataset: Any

    def __init__(
        self,
        model: TRMForEssayScoring,
        args: TRMTrainingArguments,
        settings: dict[str, Any] | None = None,
        **kwargs,
    ):
        super().__init__(model=model, args=args, **kwargs)
        self.settings = settings
        self.num_supervision_steps = self.model.config.num_supervision_steps
        self._check_saving(args)
        if getattr(args, "train_sampling_strategy", "random") != "random":
            raise InputError(
                f"`train_sampling_strategy` {args.train_sampling_strategy}: batches of a scorer are drawn at random. Leave it "
                "out."
            )
        if args.n_gpu > 1:
            raise InputError("Several GPUs in one process (DataParallel) are not supported: start with torchrun.")
        self.average: WeightAverage | None = None
        # To look at a loss is to wait for an accelerator: there it is looked at when logging and before saving.
        self._checks_every_step = args.device.type == "cpu"
        self._loss_since_check: torch.Tensor | None = None
        self._micro_batches: list[MicroBatch] = []
        # Those of this optimizer step that training_step has not come to, and the one it is at.
        self._waiting: Iterator[MicroBatch] = iter(())
        self._running: MicroBatch | None = None
        self._resumed_from: Path | None = None
        self.add_callback(_AverageWeights(self))
        self.add_callback(EvaluateEveryFewEpochs)
        self.add_callback(SetSamplersEpoch)
        if self.pop_callback(ProgressCallback) is not None:
            self.add_callback(BriefProgress)

    def _check_saving(self, args: TRMTrainingArguments) -> None:
        """Refuses a rhythm that would save in the midst of a batch, whose carry is not saved."""
        num_steps = self.num_supervision_steps
        # The best is saved where it is found: when validating.
        rhythm = {"steps": "save_steps", "best": "eval_steps" if args.eval_strategy == "steps" else None}
        name = rhythm.get(args.save_strategy)
        if name is None or num_steps == 1:
            return
        steps = getattr(args, name)
        if steps < 1 or steps % num_steps:
            raise InputError(
                f"`{name}` {steps:g} would save in the midst of a batch, whose carry is not saved: use a multiple of the "
                f"{num_steps} supervision steps, or `{name.removesuffix('steps')}strategy` epoch."
            )

    # ---- Batches

    def get_train_dataloader(self) -> DataLoader:
        """
        Each batch N times in a row, where `Trainer`'s loader gives each once. The sampler deals essays to processes
        itself, so accelerate only moves batches to the device.
        """
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
            prefetch_factor=self.args.dataloader_prefetch_factor,
            persistent_workers=self.args.dataloader_persistent_workers,
        )
        return prepare_data_loader(
            loader, device=self.args.device, num_processes=1, process_index=0, put_on_device=True
        )

    @property
    def _num_steps_taken(self) -> int:
        """Supervision steps that were taken on the present batch before this one, from 0."""
        return self.state.global_step % self.num_supervision_steps

    def get_batch_samples(self, epoch_iterator, num_batches: int, device: torch.device) -> tuple[list, int]:
        """
        As `Trainer`'s, but `num_items_in_batch` is the number of essays that still recurse, and at a batch's first
        supervision step its state is made.
        """
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self._num_steps_taken == 0 or not self._micro_batches:
            self._micro_batches = [self._start(batch, index) for index, batch in enumerate(batches)]
        self._waiting = iter(self._micro_batches)
        num_running = sum(micro_batch.num_running for micro_batch in self._micro_batches)
        if self.args.world_size > 1:
            counts = self.accelerator.gather(torch.tensor([num_running], device=self.args.device))
            num_running = int(counts.sum())
        return batches, num_running

    def _start(self, batch: dict[str, torch.Tensor], index: int) -> MicroBatch:
        # Drawn from place and seed alone: a resumed run draws the same.
        place = (self.state.global_step * self.args.gradient_accumulation_steps + index) * self.args.world_size
        generator = torch.Generator().manual_seed(self.args.seed * 1_000_003 + place + self.args.process_index)
        return MicroBatch.start(
            len(batch["labels"]), self.num_supervision_steps, self.args.halt_exploration_prob, generator
        )

    # ---- One supervision step

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """
        As `Trainer`'s, on the next micro-batch and its state; without a gradient where every essay of the batch has
        halted. The loss is checked here where that costs nothing.
        """
        micro_batch = next(self._waiting)
        if num_items_in_batch == 0 and micro_batch.loss is not None:
            return micro_batch.loss
        self._running = micro_batch
        try:
            loss = super().training_step(model, inputs, num_items_in_batch)
        finally:
            self._running = None
        self._loss_since_check = loss if self._loss_since_check is None else self._loss_since_check + loss
        if self._checks_every_step:
            self._check_loss(self.state.global_step + 1)
        micro_batch.loss = loss
        return loss

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, Any]:
        """
        In a training step: the loss of one supervision step on the essays that still recurse, a scalar, times their share
        of `num_items_in_batch`. Elsewhere as `Trainer`'s.
        """
        micro_batch = self._running
        if micro_batch is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        outputs = model(**micro_batch.running_inputs(inputs), carry=micro_batch.carry, num_supervision_steps=1)
        # The Trainer goes on to take the mean over micro-batches and processes, and theirs is a sum.
        num_parts = len(self._micro_batches) * self.args.world_size
        share = num_parts * micro_batch.num_running / num_items_in_batch
        if micro_batch.num_running:
            self._hand_on(micro_batch, outputs)
        loss = outputs.loss * share
        return (loss, outputs) if return_outputs else loss

    def _hand_on(self, micro_batch: MicroBatch, outputs: Any) -> None:
        num_steps_taken = self._num_steps_taken + 1
        if num_steps_taken == self.num_supervision_steps:
            return
        halts = outputs.halt_logits.detach().sigmoid().cpu() > self.model.config.halting_threshold
        if self.args.fp16:
            # A step without any gradient would break the loss scaler, so all essays stay.
            halts = torch.zeros_like(halts)
        micro_batch.advance(outputs.carry, halts, num_steps_taken)

    def _check_loss(self, step: int) -> None:
        loss, self._loss_since_check = self._loss_since_check, None
        if loss is not None and not torch.isfinite(loss):
            good = last_good_checkpoint(self.args.run_folder)
            raise TrainingDivergedError(
                f"The training loss is {loss.item()} at step {step}. "
                f"{'There is no good checkpoint' if good is None else f'The checkpoint {good} is good'}; start anew with a "
                "lower `learning_rate` or a lower `max_grad_norm`."
            )

    def log(self, *args, **kwargs) -> None:
        """As `Trainer`'s, after a check of the losses since the last one: a loss that is not finite ends the run."""
        self._check_loss(self.state.global_step)
        super().log(*args, **kwargs)

    # ---- Optimizer

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """As `Trainer`'s, with a learning rate of its own for the word embeddings where one is given."""
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
            optimizer_class, options = self.get_optimizer_cls_and_kwargs(self.args, model)  # type: ignore[arg-type]
            self.optimizer = optimizer_class(
                [{"params": weights, "lr": rate, "weight_decay": decay} for (rate, decay), weights in groups.items()],
                **options,
            )
        return super().create_optimizer(model)

    # ---- Training, resumed or not

    def train(self, *args, **kwargs) -> TrainOutput:
        """
        As `Trainer`'s; afterwards `model` holds the averaged weights, or the best ones where asked for. Where FSDP
        sharded it, it is another object, whole on every process.
        """
        self._micro_batches = []
        result = super().train(*args, **kwargs)
        if self.average is not None:
            self.average.copy_to_model()
            self.average = None
        self._unshard()
        return result

    def _inner_training_loop(self, *args, resume_from_checkpoint: str | None = None, **kwargs) -> TrainOutput:
        """As `Trainer`'s; it alone is told which checkpoint was found, and `start_average` must know."""
        self._resumed_from = Path(resume_from_checkpoint) if resume_from_checkpoint else None
        kwargs["resume_from_checkpoint"] = resume_from_checkpoint
        return super()._inner_training_loop(*args, **kwargs)

    def start_average(self) -> None:
        """
        Begins the moving average, or takes it up where the checkpoint left it. It is called when training begins: by then
        the model is sharded, if it is to be, and holds the checkpoint's averaged weights.
        """
        checkpoint = self._resumed_from
        if checkpoint is not None and not (checkpoint / OWN_WEIGHTS_NAME).is_file():
            checkpoint = None
        if not self.args.ema_decay:
            if checkpoint is not None:
                raise InputError(
                    f"`ema_decay` {self.args.ema_decay:g}: {checkpoint} was trained with a moving average of the weights. "
                    "Go on with it, or start anew."
                )
            return
        self.average = WeightAverage(self.model, self.args.ema_decay)
        if checkpoint is not None:
            with self._explained(str(checkpoint)):
                num_updates = read_json(checkpoint / AVERAGE_STATE_NAME)["num_updates"]
                own, averaged = (load_file(checkpoint / name) for name in (OWN_WEIGHTS_NAME, SAFE_WEIGHTS_NAME))
                self.average.restore(own, averaged, num_updates)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, *args, **kwargs) -> None:
        """As `Trainer`'s, with one clear message where the checkpoint does not fit."""
        with self._explained(resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, *args, **kwargs)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """As `Trainer`'s, with one clear message where the checkpoint does not fit."""
        with self._explained(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """As `Trainer`'s, with one clear message where the checkpoint does not fit."""
        with self._explained(checkpoint):
            super()._load_rng_state(checkpoint)

    @staticmethod
    def _explained(checkpoint: str | None) -> contextlib.AbstractContextManager[None]:
        return explained(
            f"{checkpoint} cannot be gone on from",
            "Is it of a run with other options, or damaged? Give the options of that run, or start anew.",
        )

    def _unshard(self) -> None:
        if not self.is_fsdp_enabled:
            return
        weights = {
            name: weight.full_tensor() if isinstance(weight, DTensor) else weight
            for name, weight in self.model.state_dict().items()
        }
        whole = TRMForEssayScoring(self.model.config)
        self.model = self.model_wrapped = whole.to(self.args.device)  # type: ignore[arg-type]
        self.model.load_state_dict(weights)
        self.is_fsdp_enabled = False

    def _load_best_model(self) -> None:
        """
        As `Trainer`'s, into a model that is whole: under FSDP it looks for files of FSDP's own kind, which it has not
        written. What it loads is an average already.
        """
        self._unshard()
        super()._load_best_model()
        self.average = None

    # ---- Evaluation and saving, with averaged weights

    def _averaged(self) -> contextlib.AbstractContextManager[None]:
        return self.average.applied() if self.average else contextlib.nullcontext()

    def evaluation_loop(self, *args, **kwargs):
        """As `Trainer`'s, with the averaged weights."""
        with self._averaged():
            return super().evaluation_loop(*args, **kwargs)

    def save_model(self, *args, **kwargs) -> None:
        """As `Trainer`'s, with the averaged weights."""
        with self._averaged():
            super().save_model(*args, **kwargs)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """
        As `Trainer`'s, with the optimizer's own weights beside the averaged ones. Nothing is left of a checkpoint that
        cannot be written whole, and none is written after a loss that is not finite.
        """
        self._check_loss(self.state.global_step)
        folder = self.args.run_folder / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        try:
            # Written first: rotation of checkpoints and the trainer state come last, when the rest is whole.
            self._save_settings(folder)
            self._save_average(folder)
            super()._save_checkpoint(model, trial)
        except (OSError, RuntimeError, SafetensorError) as error:
            # A checkpoint cut short must not be taken for a whole one.
            shutil.rmtree(folder, ignore_errors=True)
            earlier = last_checkpoint(self.args.run_folder)
            raise OutputError(
                f"{folder} could not be saved ({brief(error)}). Is the disk full? Free some space and "
                f"{'start anew' if earlier is None else f'go on from {earlier} with `resume_from_checkpoint` last'}."
            ) from error

    def _save_settings(self, folder: Path) -> None:
        if self.settings is not None and self.args.should_save:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / SETTINGS_NAME, self.settings)

    def _save_average(self, folder: Path) -> None:
        if self.average is None:
            return
        # Every process must ask for them: under FSDP each has a part.
        own = self.average.own_weights()
        if self.args.should_save:
            folder.mkdir(parents=True, exist_ok=True)
            save_file(own, folder / OWN_WEIGHTS_NAME, metadata={"format": "pt"})
            write_json(folder / AVERAGE_STATE_NAME, {"num_updates": self.average.num_updates})


class _AverageWeights(TrainerCallback):
    """Keeps the trainer's moving average: begun with the training, updated after each step of the optimizer."""

    def __init__(self, trainer: TRMTrainer):
        self.trainer = trainer

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self.trainer.start_average()

    def on_optimizer_step(self, args, state, control, **kwargs) -> None:
        if self.trainer.average:
            self.trainer.average.update()
