"""Arithmetic of a forward pass."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

COUNTED_TOKENS = 350


def forward_gflop(model: nn.Module, num_tokens: int = COUNTED_TOKENS) -> float:
    """GFLOP (a multiply-add counts twice) to score one essay of `num_tokens` tokens; embedding look-ups are free."""
    input_ids = torch.ones(1, num_tokens, dtype=torch.long, device=next(model.parameters()).device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(input_ids=input_ids, attention_mask=torch.ones_like(input_ids))
    return counter.get_total_flops() / 1e9
