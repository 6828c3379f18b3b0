"""`trm-aes train` under FSDP on CPUs: started by torchrun in test_fsdp.py. Prints how many weights were sharded."""

from accelerate.state import DistributedType, PartialState
from torch.distributed.tensor import DTensor

from trm_aes.cli import train
from trm_aes.training.trainer import TRMTrainer

start, start_average = PartialState.__init__, TRMTrainer.start_average


def start_as_accelerator(self, *args, **kwargs):
    """accelerate shards on accelerators alone, and silently runs DDP on CPUs, where sharding works as well."""
    start(self, *args, **kwargs)
    if self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.MULTI_GPU


def report_and_start(self):
    assert self.accelerator.is_fsdp2
    sharded = [isinstance(weight.data, DTensor) for weight in self.model.parameters()]
    print(f"sharded {sum(sharded)} of {len(sharded)}", flush=True)
    start_average(self)


PartialState.__init__ = start_as_accelerator
TRMTrainer.start_average = report_and_start
train.main()
