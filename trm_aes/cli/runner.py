"""How every program ends: with 0, or with one clear message."""

import errno
import logging
import os
import sys
from collections.abc import Callable, Sequence

from safetensors import SafetensorError

from ..errors import TRMError
from .progress import hide_progress_in_logs

BAD_INPUT = 2
INTERRUPTED = 130
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run(program: Callable[[Sequence[str] | None], None], argv: Sequence[str] | None = None) -> int:
    """
    Runs a program and returns its exit code: 0, 2 after bad input or a full disk (one message, no traceback), or 130
    after Ctrl-C. Errors that are ours to mend keep their traceback.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    hide_progress_in_logs()
    try:
        program(argv)
    except TRMError as error:
        return _say(str(error))
    except KeyboardInterrupt as interrupt:
        _say(str(interrupt) or "interrupted; nothing that was there before has changed.")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output (head, say) has had enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, SafetensorError) as error:
        if not is_full_disk(error):
            raise
        return _say(
            f"the disk is full ({error}). Free some space, and run it again; what was there before is unchanged."
        )
    return 0


def is_full_disk(error: BaseException) -> bool:
    """Whether an error, whichever library raised it, comes of a full disk, quota or file-size limit."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in FULL_DISK
    return any(os.strerror(code) in str(error) for code in FULL_DISK)


def _say(message: str) -> int:
    print(f"trm-aes: error: {message}", file=sys.stderr)
    return BAD_INPUT
