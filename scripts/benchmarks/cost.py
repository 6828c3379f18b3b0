"""Arithmetic of a forward pass."""

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from .words import draw_words

COUNTED_TOKENS = 350


def first_prompt(model: PreTrainedModel, batch_size: int) -> dict[str, torch.Tensor]:
    """
    For a model that keeps prompts apart: `prompt_indices` that say that all essays answer the first one, and, where it takes
    them, ordinary `text_features`.
    """
    if not getattr(model.config, "prompt_registers", False):
        return {}
    inputs = {"prompt_indices": torch.zeros(batch_size, dtype=torch.long, device=model.device)}
    if model.config.text_features:
        inputs["text_features"] = torch.zeros(batch_size, len(model.config.text_features), device=model.device)
    return inputs


def forward_gflop(model: PreTrainedModel, num_tokens: int = COUNTED_TOKENS) -> float:
    """
    GFLOP (a multiply-add counts twice) to score one essay of `num_tokens` tokens; embedding look-ups are free, and what is
    worked out once for all places of a word counts once.
    """
    # A small model of a test knows fewer words than are drawn from.
    input_ids = draw_words(1, num_tokens).to(model.device) % model.config.vocab_size
    implementation = model.config._attn_implementation
    # The counter knows matrix products; it passes over the fused attention of CPUs.
    model.set_attn_implementation("eager")
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model.eval()(input_ids=input_ids, attention_mask=torch.ones_like(input_ids), **first_prompt(model, 1))
    finally:
        model.set_attn_implementation(implementation)
    return counter.get_total_flops() / 1e9
