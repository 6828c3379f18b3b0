"""Stopping when validations get no better, also where the run was interrupted meanwhile."""

from pathlib import Path
from typing import Any, cast

from transformers import EarlyStoppingCallback, TrainerState

from .folder import STATE_NAME


class EarlyStopping(EarlyStoppingCallback):
    """
    As Transformers', but a resumed run counts on from what its checkpoint had counted. (Transformers can bring back the whole
    callback, which then has the patience of the checkpoint's run in place of the one that is given.)
    """

    def on_train_begin(self, args, state, control, **kwargs):
        """Takes over what was counted; a run that was not interrupted has counted nothing."""
        super().on_train_begin(args, state, control, **kwargs)
        self.early_stopping_patience_counter = _counted(state)
        # The Trainer looks for it when it saves; the state of a run without patience, or of an earlier version, has none.
        state.stateful_callbacks = {**(state.stateful_callbacks or {}), type(self).__name__: self.state()}


def stopped_at(checkpoint: Path, patience: int) -> int | None:
    """
    The step of a checkpoint at the end of an epoch at which its run had run out of patience; None where it would have gone on.
    (In the midst of an epoch the Trainer takes a step before it looks whether there is one to take: such a run goes on until
    its next validation.)
    """
    state = TrainerState.load_from_json(str(checkpoint / STATE_NAME))
    is_between_epochs = state.epoch is not None and float(state.epoch).is_integer()
    return state.global_step if is_between_epochs and _counted(state) >= patience else None


def _counted(state: TrainerState) -> int:
    callbacks = cast(dict[str, dict[str, Any]], state.stateful_callbacks or {})
    kept = callbacks.get(EarlyStopping.__name__) or callbacks.get(EarlyStoppingCallback.__name__, {})
    return kept.get("attributes", {}).get("early_stopping_patience_counter", 0)
