"""What a program costs that runs in a process of its own: time, memory, and the modules that it imports."""

import contextlib
import re
import resource
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from .speed import peak_resident

IMPORT_LINE = re.compile(r"import time: +\d+ \| +(\d+) \| +(\S+)")
# Seconds between two looks at a process.
PAUSE = 0.05


@dataclass(frozen=True)
class Sample:
    """A look at a running process: seconds since it began, MiB that it held then, and how far it had got."""

    seconds: float
    resident_mib: float
    progress: Any = None


@dataclass(frozen=True)
class ProcessCost:
    """
    What a process took.

    Args:
        seconds: by the clock.
        cpu_seconds: of all cores, which other programs on the machine hardly change.
        peak_mib: the most memory that it held.
        samples: looks at it, in order.
        log: what it wrote to standard error.
    """

    seconds: float
    cpu_seconds: float
    peak_mib: float
    samples: list[Sample] = field(default_factory=list)
    log: str = ""


def run_measured(
    command: Sequence[str],
    log: Path,
    every: float = 5.0,
    progress: Callable[[], Any] = lambda: None,
    environment: Mapping[str, str] | None = None,
) -> ProcessCost:
    """
    Runs a program to its end, and looks at it now and then.

    Args:
        command: its words.
        log: file that takes its standard error; its standard output is thrown away.
        every: seconds between two samples.
        progress: tells how far it has got.
        environment: its environment; this process's if not given.

    Raises:
        subprocess.CalledProcessError: if it fails, with what it said.
    """
    peak, samples = 0.0, []
    before, started = _cpu_seconds_of_children(), time.perf_counter()
    with open(log, "wb") as errors:
        process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=environment)
        try:
            while not _has_ended(process):
                seconds = time.perf_counter() - started
                # It may end between two lines.
                with contextlib.suppress(psutil.Error):
                    peak = max(peak, peak_resident(process.pid))
                    if seconds >= every * len(samples):
                        samples.append(Sample(seconds, process.memory_info().rss / 2**20, progress()))
        except KeyboardInterrupt:
            # What is to be measured stops with what measures it, and may take its time to say so.
            process.terminate()
            process.wait()
            raise
    seconds, cpu_seconds = time.perf_counter() - started, _cpu_seconds_of_children() - before
    said = log.read_text(encoding="utf-8", errors="replace")
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=said)
    return ProcessCost(seconds, cpu_seconds, peak or peak_resident(process.pid), samples, said)


def _has_ended(process: psutil.Popen) -> bool:
    """Waits a little for the end of a process."""
    try:
        process.wait(PAUSE)
    except psutil.TimeoutExpired:
        return False
    return True


def _cpu_seconds_of_children() -> float:
    """Of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def import_seconds(log: str) -> dict[str, tuple[float, str]]:
    """
    What the imports of a program cost, from what `python -X importtime` said of it.

    Returns:
        `package -> (seconds, module)`: of its modules the one that took longest to import, with all that it imported first; the
        slowest package first.
    """
    found: dict[str, tuple[float, str]] = {}
    for microseconds, module in IMPORT_LINE.findall(log):
        package = module.partition(".")[0]
        found[package] = max(found.get(package, (0.0, "")), (int(microseconds) / 1e6, module))
    return dict(sorted(found.items(), key=lambda item: item[1], reverse=True))
