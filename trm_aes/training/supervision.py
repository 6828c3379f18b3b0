"""What a micro-batch hands from one supervision step to the next."""

from dataclasses import dataclass
from typing import Any

import torch


@dataclass
class MicroBatch:
    """
    The essays of one micro-batch that still recurse, and the states they have reached.

    Args:
        rows: their places in the micro-batch, `(running,)`, on the CPU; all of them at the first step.
        min_steps: supervision steps that each essay of the micro-batch must take, `(essays,)`, on the CPU.
        carry: detached states, a row for each of `rows`; None before the first step. Where no essay is left it keeps one
            row, for `running_inputs`.
        loss: of the last step that was computed, detached.
    """

    rows: torch.Tensor
    min_steps: torch.Tensor
    carry: torch.Tensor | None = None
    loss: torch.Tensor | None = None

    @classmethod
    def start(cls, size: int, max_steps: int, exploration: float, generator: torch.Generator) -> "MicroBatch":
        """
        A micro-batch before its first step. As published (arXiv 2510.04871), with a chance of
        `exploration` an essay must take a random number of steps, from 2 to `max_steps`, so that later steps train too.

        Args:
            size: essays in the micro-batch.
            max_steps: supervision steps on each batch.
            exploration: a probability.
            generator: of the draws.
        """
        explores = torch.rand(size, generator=generator) < exploration
        drawn = torch.randint(2, max(max_steps, 2) + 1, (size,), generator=generator)
        return cls(rows=torch.arange(size), min_steps=torch.where(explores, drawn, 1))

    @property
    def num_running(self) -> int:
        """How many essays of the micro-batch still recurse."""
        return len(self.rows)

    def running_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """
        The rows of the model's inputs that still recurse. Where there is none, the first: a process whose own essays have
        all halted still takes part, with a weight of 0, since DDP and FSDP wait for its gradients.

        Args:
            inputs: tensors of the micro-batch, `(essays, …)`.
        """
        rows = self.rows if self.num_running else torch.zeros(1, dtype=torch.long)
        if len(rows) == len(inputs["labels"]):
            return inputs
        on_device = rows.to(inputs["labels"].device)
        return {name: tensor[on_device] for name, tensor in inputs.items()}

    @torch.no_grad()
    def advance(self, carry: torch.Tensor, halts: torch.Tensor, num_steps_taken: int) -> None:
        """
        Hands the states on, and lets essays leave.

        Args:
            carry: states after the step, detached, `(running, …)`.
            halts: whether the halting head lets an essay go, `(running,)`, on the CPU.
            num_steps_taken: supervision steps taken on this batch so far.
        """
        may_leave = self.min_steps[self.rows] <= num_steps_taken
        stay = (~(halts & may_leave)).nonzero().squeeze(-1)
        if len(stay) == self.num_running:
            self.carry = carry
        elif len(stay):
            self.carry = carry[stay.to(carry.device)]
        else:
            self.carry = carry[:1]
        self.rows = self.rows[stay]
