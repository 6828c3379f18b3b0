"""Callbacks of a training run that need nothing of the trainer but what every callback is given."""

from transformers import ProgressCallback, TrainerCallback


class EvaluateEveryFewEpochs(TrainerCallback):
    """Validates and saves every `eval_every_epochs` epochs instead of every epoch; always at the end of training."""

    def on_epoch_end(self, args, state, control, **kwargs):
        """Takes back the validation and the checkpoint of an epoch between two that are due."""
        if round(state.epoch) % args.eval_every_epochs and state.global_step < state.max_steps:
            control.should_evaluate = control.should_save = False
        return control


class SetSamplersEpoch(TrainerCallback):
    """
    Tells the sampler which epoch begins, since its order depends on it. Transformers before 5.17 tells it nothing in the
    epoch in which a run is resumed, if some of its batches are skipped.
    """

    def on_epoch_begin(self, args, state, control, train_dataloader=None, **kwargs):
        """Tells the sampler the epoch, counted from 0."""
        train_dataloader.batch_sampler.set_epoch(int(state.epoch))


class BriefProgress(ProgressCallback):
    """The progress bar, with the means of a validation but not its dozens of figures by prompt: those are in the log."""

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Shows a log without its figures by prompt."""
        brief = {name: value for name, value in (logs or {}).items() if not name.startswith("eval_prompt_")}
        super().on_log(args, state, control, logs=brief, **kwargs)
