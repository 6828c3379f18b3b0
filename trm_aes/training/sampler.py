"""Order of batches under deep supervision: the same essays several times in a row."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class DeepSupervisionBatchSampler(Sampler[list[int]]):
    """
    Random batches, each repeated once for every supervision step.

    The essays of one optimizer step (a group) are dealt evenly to the processes and, within a process, to the
    micro-batches of gradient accumulation. A group of micro-batches `a b` is repeated as a whole: `a b a b a b`. The
    order depends on `seed` and epoch alone, so that any number of processes sees the same groups. Batches are not
    grouped by length: essays of one length have nearly one score.

    Args:
        num_essays: size of the data set.
        batch_size: most essays in a micro-batch of one process.
        num_repeats: supervision steps.
        num_micro_batches: gradient accumulation steps.
        num_processes, process_index: of the distributed run.
        seed: of the shuffling.
    """

    def __init__(
        self,
        num_essays: int,
        batch_size: int,
        num_repeats: int,
        num_micro_batches: int = 1,
        num_processes: int = 1,
        process_index: int = 0,
        seed: int = 0,
    ):
        self.num_essays = num_essays
        self.num_repeats = num_repeats
        self.num_micro_batches = num_micro_batches
        self.num_processes = num_processes
        self.process_index = process_index
        self.group_size = batch_size * num_micro_batches * num_processes
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int):
        """Chooses the order of the next pass: each epoch (from 0) has one of its own."""
        self.epoch = epoch

    def __len__(self) -> int:
        num_groups = -(-self.num_essays // self.group_size)
        return num_groups * self.num_repeats * self.num_micro_batches

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(self.num_essays, generator=generator).tolist()
        parts = self.num_micro_batches * self.num_processes
        for start in range(0, self.num_essays, self.group_size):
            group = order[start : start + self.group_size]
            # A last group smaller than the number of parts borrows essays, so that no process stands idle.
            for borrowed in range(max(0, parts - len(group))):
                group.append(order[borrowed % self.num_essays])
            micro_batches = [group[part::parts] for part in range(self.process_index, parts, self.num_processes)]
            for _ in range(self.num_repeats):
                yield from micro_batches
