# Copyright 2026 The trm-aes authors. Licensed under the Apache License, Version 2.0.
"""How the weights of each part of the model start, before they are trained or loaded."""

import math

import torch
from torch import nn
from transformers import PreTrainedConfig
from transformers import initialization as init

from .confidence_trm import TRMErrorModel
from .heads_trm import TRMAuxiliaryHead, TRMLexicalHead
from .latents_trm import TRMLatentReader
from .layers_trm import (
    TRMHead,
    TRMResidualLinear,
    TRMRotaryEmbedding,
    TRMZeroEmbedding,
    TRMZeroLinear,
)
from .passages_trm import NO_LIMIT, TRMPassageCheck
from .prompts_trm import TRMPromptBank, TRMPromptEmbedding
from .traits_trm import TRMTraitHead


@torch.no_grad()
def start_weights(module: nn.Module, config: PreTrainedConfig):
    """Sets the weights and buffers that a module itself holds; those of the modules in it are for other calls."""
    if isinstance(module, TRMRotaryEmbedding):
        init.copy_(module.inv_freq, module.inverse_frequencies())
    elif isinstance(module, TRMLatentReader):
        init.trunc_normal_(module.latents, std=1.0, a=-2.0, b=2.0)
        init.normal_(module.length, std=0.5)
    elif isinstance(module, TRMPromptBank):
        init.zeros_(module.signatures)
        init.constant_(module.score_means, 0.5)
        init.ones_(module.score_stds)
        init.zeros_(module.length_means)
        init.ones_(module.length_stds)
        if config.text_features:
            init.zeros_(module.feature_means)
            init.ones_(module.feature_stds)
    elif isinstance(module, TRMLexicalHead):
        if module.states is not None:
            init.zeros_(module.state_means)
            init.ones_(module.state_stds)
    elif isinstance(module, TRMAuxiliaryHead):
        init.zeros_(module.target_means)
        init.ones_(module.target_stds)
    elif isinstance(module, TRMTraitHead):
        init.copy_(module.places, module.places_of_pairs())
        init.constant_(module.means, 0.5)
        init.ones_(module.stds)
    elif isinstance(module, TRMPassageCheck):
        init.constant_(module.limits, NO_LIMIT)
        init.ones_(module.spreads)
        init.zeros_(module.penalties)
    elif isinstance(module, TRMErrorModel):
        unknown = (module.feature_means, module.shifts, module.slopes, module.weights, module.released_agreement)
        for zeros in unknown:
            init.zeros_(zeros)
        init.ones_(module.feature_stds)
        init.ones_(module.deviations)
        # Until it is fitted: the whole scale, and no essay that need not be read.
        init.constant_(module.quantiles, math.inf)
        init.constant_(module.thresholds, -math.inf)
    elif isinstance(module, TRMPromptEmbedding):
        init.normal_(module.weight, std=0.5)
    elif isinstance(module, TRMHead):
        init.normal_(module.weight, std=config.initializer_range)
        init.constant_(module.bias, module.initial_bias)
    elif (
        isinstance(module, TRMZeroLinear)
        or isinstance(module, TRMResidualLinear)
        and config.residual_initialization == "zeros"
    ):
        init.zeros_(module.weight)
    elif isinstance(module, (nn.Linear, nn.Conv1d)):
        # LeCun's: keeps the variance of what goes through.
        std = 1.0 / math.sqrt(module.weight[0].numel())
        init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
    elif isinstance(module, TRMZeroEmbedding):
        init.zeros_(module.weight)
    elif isinstance(module, nn.Embedding):
        init.normal_(module.weight, std=config.embedding_initializer_range)
