"""The Ray cluster that scores: joined or started, quiet, and with workers that fit into it."""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from ...checks import check_at_least_one
from ...errors import DependencyError, InputError, TRMError, brief

# Ray reads these when it is imported: nothing is reported to its makers, and its own log lines stay in its files.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
for _name, _value in QUIET.items():
    os.environ.setdefault(_name, _value)

try:
    import ray
    import ray.data
    import ray.exceptions
except ImportError as error:
    raise DependencyError(
        f"Scoring on a cluster needs Ray, which cannot be imported ({brief(error)}): pip install 'trm-aes[ray]'"
    ) from error

SECONDS_TO_ANSWER = 10


@dataclass(frozen=True)
class Workers:
    """
    Which workers score; each holds one scorer.

    Args:
        number: how many; as many as the cluster has room for if not given.
        cpus: cores that each computes on.
        device: `cpu`; `cuda`, one GPU each; or `auto`, GPUs where the cluster has any.

    Raises:
        InputError: for numbers below 1, or another device.
    """

    number: int | None = None
    cpus: int = 1
    device: str = "auto"

    def __post_init__(self):
        check_at_least_one(self.cpus, "ray_cpus")
        if self.number is not None:
            check_at_least_one(self.number, "ray_workers")
        if self.device not in ("auto", "cpu", "cuda"):
            raise InputError(f"`device` {self.device}: workers of Ray compute on cpu or cuda.")

    def fitted(self) -> "Workers":
        """
        The same with a number and a device, those of the cluster where they are left open. One core is kept free for tasks
        that read and write.

        Raises:
            InputError: if the cluster has no room for them.
        """
        resources = ray.cluster_resources()
        num_cpus, num_gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
        if self.device == "cuda" and not num_gpus:
            raise InputError("`device` cuda: the Ray cluster has no GPU.")
        device = "cuda" if num_gpus and self.device != "cpu" else "cpu"
        room = (num_cpus - 1) // self.cpus
        if device == "cuda":
            room = min(room, num_gpus)
        number = self.number or max(room, 1)
        if number > room:
            on = f"{num_cpus} cores" + (f" and {num_gpus} GPUs" if device == "cuda" else "")
            raise InputError(
                f"{number} workers with `ray_cpus` {self.cpus} do not fit the Ray cluster, which has {on}, one of which reads "
                "and writes. Choose fewer `ray_workers`, or start more nodes."
            )
        return Workers(number, self.cpus, device)

    def num_local_cpus(self) -> int:
        """Cores that a Ray of this machine alone is to count on: those of the workers, and one that reads and writes."""
        number = self.number or max(1, (os.cpu_count() or 1) // self.cpus)
        return number * self.cpus + 1


@contextlib.contextmanager
def joined(address: str | None, workers: Workers) -> Iterator[None]:
    """
    Within this block there is a Ray cluster: the one that this process is in already, the one at an address (or at
    `RAY_ADDRESS`), or else one of this machine alone, which is stopped afterwards.

    Args:
        address: `HOST:PORT` of the cluster's head.
        workers: how many cores are needed.

    Raises:
        InputError: if nothing answers at the address.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    for name in ("ray", "ray.data"):
        # What goes wrong is raised as well.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if ray.is_initialized():
        yield
        return
    with _kept_sigterm():
        if address is None or address == "local":
            ray.init(
                "local",
                num_cpus=workers.num_local_cpus(),
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
            )
        else:
            _check_answers(address)
            ray.init(address, log_to_driver=False, configure_logging=False)
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def task_errors() -> Iterator[None]:
    """Within this block, what we say in a task of Ray is raised as if it had been said here."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, TRMError):
            # Ray adds lines of its own.
            raise type(error.cause)(brief(error.cause)) from error
        raise


def _check_answers(address: str):
    """Checks that something listens: Ray itself waits for minutes and does not say for what."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdigit():
        raise InputError(f"`ray_address` {address}: give HOST:PORT of the cluster's head.")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_ANSWER):
            pass
    except (OSError, OverflowError) as error:
        raise InputError(f"`ray_address` {address}: no Ray cluster answers there ({brief(error)}).") from None


@contextlib.contextmanager
def _kept_sigterm() -> Iterator[None]:
    """What SIGTERM does stays as it is: Ray sets a handler of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
