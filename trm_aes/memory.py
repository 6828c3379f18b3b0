"""What this process does with the memory of tensors that are gone."""

import ctypes
import os
import sys

# Of glibc's malloc.h (see `man 3 mallopt`).
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
NEVER = -1
# By these the user has settled it.
SETTINGS = ("GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "LD_PRELOAD")


def keep_freed_memory() -> bool:
    """
    Lets the process keep the memory that tensors have left for those that come after them. glibc gives a large tensor's back
    to the system at once, and to take it again page by page is a tenth of the time of scoring on a CPU
    (docs/lab/performance.md). The price: the process never gets smaller, and grows beyond what it needs where blocks of
    other sizes fit into no gap. Threads but the first still take blocks above 64 MiB anew.

    Returns:
        Whether that is so now: not with another C library than glibc, nor where the environment has settings of its own.
    """
    if not sys.platform.startswith("linux") or any(os.environ.get(name) for name in SETTINGS):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl has none
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, NEVER))
