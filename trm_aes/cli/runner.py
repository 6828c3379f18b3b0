"""How every program ends: with 0, or with one clear message."""

import contextlib
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, TextIO, cast

from ..errors import TRMError, explain, one_line
from .parser import DEBUG_FLAG
from .progress import hide_progress_in_logs

OUR_FAULT = 1
BAD_INPUT = 2
INTERRUPTED = 130
TERMINATED = 143
PACKAGE = Path(__file__).parent.parent


def run(program: Callable[[Sequence[str] | None], None], argv: Sequence[str] | None = None) -> int:
    """
    Runs a program and returns its exit code: 0; 2 after what the user or the machine has to mend (bad input, a full disk,
    a missing permission); 130 after Ctrl-C and 143 after SIGTERM; 1 after a fault of ours. Whatever it is, one message says
    so, and `--debug` shows the traceback before it.

    Args:
        program: takes the words of a command line.
        argv: these words; None for the program's own.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    hide_progress_in_logs()
    words, is_debugged = _without_debug_flag(sys.argv[1:] if argv is None else argv)
    _open_closed_streams()
    termination = _Termination()
    try:
        with termination:
            # Python itself flushes later, when nobody can explain any more what went wrong.
            try:
                with contextlib.redirect_stdout(cast(TextIO, _HeedlessOutput(sys.stdout))):
                    program(words)
            except SystemExit:  # After --help.
                sys.stdout.flush()
                raise
            sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        _say(str(interrupt) or "interrupted; nothing that was there before has changed.", interrupt, is_debugged)
        return TERMINATED if termination.came else INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output (head, say) has had enough.
        _drop_output()
        return 0
    except Exception as error:
        code = _explain(error, is_debugged)
        try:
            sys.stdout.flush()
        except OSError:
            _drop_output()
        return code
    return 0


class _HeedlessOutput:
    """
    Standard output of which whoever reads it may have had enough: what is printed then goes nowhere, and the program goes on to
    its end. Where what is printed is all that a program is for, see [`as_output`].
    """

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, text: str) -> int:
        try:
            return self.stream.write(text)
        except BrokenPipeError:
            _drop_output()
            return len(text)

    def flush(self) -> None:
        try:
            self.stream.flush()
        except BrokenPipeError:
            _drop_output()

    def writelines(self, lines: Iterable[str]) -> None:
        self.write("".join(lines))

    def __getattr__(self, name: str) -> Any:
        if name == "stream":  # Not yet set, in a copy.
            raise AttributeError(name)
        return getattr(self.stream, name)


@contextlib.contextmanager
def as_output() -> Iterator[None]:
    """Within the block standard output is a program's output: it ends, with 0, when whoever reads that has had enough."""
    stream = sys.stdout
    with contextlib.redirect_stdout(stream.stream if isinstance(stream, _HeedlessOutput) else stream):
        yield


def _drop_output() -> None:
    """What is left of the output goes nowhere: Python would try once more to write it, and end with a code of its own."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _without_debug_flag(words: Sequence[str]) -> tuple[list[str], bool]:
    """The words without ours, and whether it was among them. With a value it is Transformers' option of `trm-aes train`."""
    ours = [
        place
        for place, word in enumerate(words)
        if word == DEBUG_FLAG and (place == 0 or all(after.startswith("-") for after in words[place + 1 : place + 2]))
    ]
    return [word for place, word in enumerate(words) if place not in ours], bool(ours)


class _Termination:
    """Within its `with` block SIGTERM does what Ctrl-C does at that moment, and is noted."""

    def __init__(self) -> None:
        self.came = False

    def __enter__(self) -> None:
        # Only the main thread may say what a signal does.
        self._is_set = threading.current_thread() is threading.main_thread()
        if self._is_set:
            self._previous = signal.signal(signal.SIGTERM, self._end)

    def __exit__(self, *exception: object) -> None:
        if self._is_set:
            signal.signal(signal.SIGTERM, self._previous)

    def _end(self, signum: int, frame: FrameType | None) -> None:
        self.came = True
        # A program in the background may be told to ignore Ctrl-C.
        of_ctrl_c = signal.getsignal(signal.SIGINT)
        (of_ctrl_c if callable(of_ctrl_c) else signal.default_int_handler)(signum, frame)


def _open_closed_streams() -> None:
    """
    A program started with a standard stream closed (`<&-`) finds None in its place, and the next file that it opens would
    get that stream's number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 (it stays open)


def _explain(error: Exception, is_debugged: bool) -> int:
    message = str(error) if isinstance(error, TRMError) else explain(error)
    if message is not None:
        _say(message, error, is_debugged)
        return BAD_INPUT
    _say(
        f"{type(error).__name__} {_place(error)}: {one_line(error)}. This is a fault of trm-aes: please report it, with what "
        f"{DEBUG_FLAG} shows.",
        error,
        is_debugged,
    )
    return OUR_FAULT


def _place(error: Exception) -> str:
    """Where an error left our code: `(scoring/stream.py, line 12)`."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if PACKAGE in Path(frame.filename).parents] or frames
    return f"({Path(ours[-1].filename).name}, line {ours[-1].lineno})" if ours else ""


def _say(message: str, error: BaseException, is_debugged: bool) -> None:
    if is_debugged:
        traceback.print_exception(error)
    print(f"trm-aes: error: {message}", file=sys.stderr)
