"""Exponential moving average of the trained weights."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor


class WeightAverage:
    """
    Bias-corrected exponential moving average (Kingma and Ba, arXiv 1412.6980, section 3) of a model's trained weights.

    After `t` updates the average is `sum_i decay^(t-i) w_i / sum_i decay^(t-i)` over the weights `w_1 .. w_t`, so the
    initial weights have no part in it, however short the training. Weights that are not trained are left alone.

    Args:
        model: the model; its parameters with `requires_grad` are averaged.
        decay: between 0 and 1; 0.999 remembers about the last 1,000 updates.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.num_updates = 0
        self._trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._average = {name: weight.detach().clone() for name, weight in self._trained.items()}

    @torch.no_grad()
    def update(self):
        """Takes the present weights into the average; call it after each optimizer step."""
        self.num_updates += 1
        new_share = (1 - self.decay) / (1 - self.decay**self.num_updates)
        torch._foreach_lerp_(list(self._average.values()), list(self._trained.values()), new_share)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block the model has the averaged weights; afterwards its own again, to the bit."""
        own = {name: weight.detach().clone() for name, weight in self._trained.items()}
        self.copy_to_model()
        try:
            yield
        finally:
            self._copy(own)

    def copy_to_model(self):
        """Replaces the model's weights by the average."""
        self._copy(self._average)

    def own_weights(self) -> dict[str, torch.Tensor]:
        """A copy of the weights that the optimizer works on, whole where FSDP has sharded them (all processes must ask)."""
        return {
            name: (weight.full_tensor() if isinstance(weight, DTensor) else weight).detach().clone()
            for name, weight in self._trained.items()
        }

    def restore(self, own: dict[str, torch.Tensor], averaged: dict[str, torch.Tensor], num_updates: int):
        """Goes on from an earlier average and the weights that the optimizer worked on then, whole ones."""
        self.num_updates = num_updates
        self._average = {name: _as(weight, averaged[name]) for name, weight in self._trained.items()}
        self._copy({name: _as(weight, own[name]) for name, weight in self._trained.items()})

    @torch.no_grad()
    def _copy(self, source: dict[str, torch.Tensor]):
        for name, weight in self._trained.items():
            weight.copy_(source[name])


def _as(weight: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """A whole tensor, on the device of a weight and sharded where that is."""
    if isinstance(weight, DTensor):
        return distribute_tensor(whole.to(weight.device), weight.device_mesh, weight.placements)
    return whole.to(weight.device)
