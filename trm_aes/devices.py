"""Which device a machine has, and which the user asked for."""

import torch

from .errors import InputError


def available_device() -> str:
    """`cuda`, `mps` or `cpu`: the first that this machine has."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def choose_device(wanted: str | torch.device | None) -> str | torch.device:
    """
    What is wanted, a device that a launcher has chosen as it is; the best there is where nothing is.

    Raises:
        InputError: if a device is asked for that this machine lacks.
    """
    if isinstance(wanted, torch.device):
        return wanted
    there = available_device()
    if wanted is None or wanted == "auto":
        return there
    if wanted not in ("cpu", there):
        raise InputError(f"--device {wanted} is absent here (PyTorch finds {there}). Use --device {there}.")
    return wanted
