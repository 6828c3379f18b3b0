"""Which device a machine has, and which the user asked for."""

import torch

from .errors import InputError


def available_device() -> str:
    """`cuda`, `mps` or `cpu`: the first that this machine has."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def choose_device(device: str | torch.device | None) -> str | torch.device:
    """
    Chooses the device to compute on.

    Args:
        device: `cpu`, `cuda` or `mps`; a `torch.device` is returned as it is; `auto` or None
            means the best that this machine has.

    Raises:
        InputError: if this machine lacks the device.
    """
    if isinstance(device, torch.device):
        return device
    found = available_device()
    if device is None or device == "auto":
        return found
    if device not in ("cpu", found):
        raise InputError(f"`device` {device} is absent here (PyTorch finds {found}). Use `device` {found}.")
    return device
