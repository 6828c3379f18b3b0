"""Errors meant for people: one or two lines that say what was wrong, where, and what to do.

A message names a parameter in backticks (`max_tokens`). The command line shows the option of that name in its place.
"""


class TRMError(Exception):
    """Base of the errors that the command line prints without a traceback, with exit code 2."""


class InputError(TRMError, ValueError):
    """Something the user gave (a file, a row, a column, an option) cannot be used."""


class OutputError(TRMError, RuntimeError):
    """An output cannot be written: a full disk, say."""


class TrainingDivergedError(TRMError, RuntimeError):
    """The training loss is no longer a finite number."""


class DependencyError(TRMError, ImportError):
    """A package that is needed is missing or too old."""


class InterruptedRun(KeyboardInterrupt):
    """Ctrl-C during long work, with a message that says how to go on."""


def brief(error: Exception) -> str:
    """The first line of another library's error that says something, or its kind where none does."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def one_line(error: Exception) -> str:
    """All of another library's error in one line, or its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
