"""Ctrl-C during training."""

import signal
import threading

from transformers import TrainerCallback


class StopOnInterrupt(TrainerCallback):
    """
    Within its `with` block Ctrl-C ends the training after the step it falls into, by a `KeyboardInterrupt`; a second
    Ctrl-C ends it at once.

    Python raises `KeyboardInterrupt` wherever it happens to be, and loses it where nothing can be raised (in a
    finalizer, say): training would go on. At the end of a step it also falls into no half-written checkpoint.
    """

    def __init__(self):
        self.requested = False
        self._previous = None

    def __enter__(self) -> "StopOnInterrupt":
        # Only the main thread may say what a signal does; elsewhere (a notebook's worker) Ctrl-C is left as it is.
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._request)
        return self

    def __exit__(self, exception_type, *exception):
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
        if self.requested and exception_type is None:
            raise KeyboardInterrupt

    def _request(self, signum, frame):
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def _stop_if_requested(self, args, state, control, **kwargs):
        if self.requested:
            raise KeyboardInterrupt

    on_step_end = on_substep_end = on_prediction_step = _stop_if_requested
