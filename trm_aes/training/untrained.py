"""The model that a training run starts from: configured, pretrained weights copied, and fitted in closed form."""

from dataclasses import dataclass
from typing import Any

import psutil
import torch
from transformers import PreTrainedTokenizerBase

from ..checkpoints import Checkpoint, embedding_size, find_checkpoint
from ..data.dataset import EssayDataset
from ..errors import InputError, one_line
from ..model.configuration_trm import TRMConfig
from ..model.modeling_trm import TRMForEssayScoring
from ..model.score_scale import ScoreRange
from ..model.text_features_trm import FEATURE_NAMES
from .fit.auxiliary import choose_auxiliary_targets, set_auxiliary_statistics
from .fit.embeddings import copy_word_embeddings
from .fit.encoder import copy_encoder, encoder_config
from .fit.prompts import set_prompt_statistics
from .fit.traits import choose_traits, set_trait_statistics
from .recipe import TrainingPlan

# From so many training essays on, of all prompts together, the recursive head has the share that the recipe gives it; of
# fewer it has learned less than the lexical head (docs/lab/experiments.md).
ENOUGH_FOR_RECURSION = 2000
# In training, in float32: the weight, its gradient, the two moments of AdamW, and the moving average.
BYTES_PER_PARAMETER = 20


@dataclass(frozen=True)
class Pretrained:
    """
    What a model starts from, found on this machine: the encoder whose states it reads, or the one whose word embeddings it
    copies; at most one of them.
    """

    encoder: Checkpoint | None
    embeddings: Checkpoint | None

    @classmethod
    def find(cls, plan: TrainingPlan) -> "Pretrained":
        """
        Looks for what a plan names.

        Raises:
            InputError: if it cannot be had.
        """
        wanted = (plan.encoder, plan.embeddings)
        return cls(*(None if name is None else find_checkpoint(name, plan.revision) for name in wanted))


def build_model(
    plan: TrainingPlan, data: EssayDataset, tokenizer: PreTrainedTokenizerBase, pretrained: Pretrained
) -> TRMForEssayScoring:
    """
    The untrained model of a plan, but for its lexical head: pretrained weights copied (word embeddings are random where
    there are none), and told what is known of its prompts where it keeps them apart.

    Args:
        plan: shape of the model, and what is done with what is copied.
        data: the prompts and their training essays.
        tokenizer: of the data set.
        pretrained: what the model starts from.

    Raises:
        InputError: if the configuration contradicts itself, the data set or what it starts from.
    """
    if plan.text_features:
        data.check_features(FEATURE_NAMES)
    config = _configure(plan, data, tokenizer, pretrained)
    _check_size(config)
    model = TRMForEssayScoring(config)
    if pretrained.encoder is not None:
        copy_encoder(model, pretrained.encoder, tokenizer, plan.freeze_encoder)
    if pretrained.embeddings is not None:
        copy_word_embeddings(model, pretrained.embeddings, tokenizer, plan.rescale_embeddings, plan.freeze_embeddings)
    if model.model.prompt_bank is not None:
        set_prompt_statistics(model, data, tokenizer)
    if model.auxiliary_head is not None:
        set_auxiliary_statistics(model, data)
    if model.trait_head is not None:
        set_trait_statistics(model, data)
    return model


def _check_size(config: TRMConfig):
    """Refuses a model whose weights, gradients, moments and moving average this machine's memory cannot hold."""
    with torch.device("meta"):
        size = TRMForEssayScoring(config).num_parameters()
    most = psutil.virtual_memory().total // BYTES_PER_PARAMETER
    if size > most:
        raise InputError(
            f"The model would have {size:,} parameters, and this machine has memory for {most:,}: lower `hidden_size`, "
            "`intermediate_size` or `num_hidden_layers`."
        )


def _configure(
    plan: TrainingPlan, data: EssayDataset, tokenizer: PreTrainedTokenizerBase, pretrained: Pretrained
) -> TRMConfig:
    inputs: dict[str, Any] = {}
    if pretrained.embeddings is not None:
        # Factorized where the encoder's width is not the model's.
        inputs["embedding_size"] = embedding_size(pretrained.embeddings)
    if pretrained.encoder is not None:
        inputs["encoder"] = encoder_config(pretrained.encoder, plan.encoder_layers)
        inputs |= {"cls_token_id": tokenizer.cls_token_id, "sep_token_id": tokenizer.sep_token_id}
        inputs["num_convolutions"] = 0
    if plan.text_features:
        inputs["text_features"] = list(FEATURE_NAMES)
    traits = _traits(plan, data)
    if traits:
        inputs["traits"] = {
            trait: {prompt_id: scale.to_list() for prompt_id, scale in ranges.items()}
            for trait, ranges in traits.items()
        }
    if plan.model.get("auxiliary_loss_weight"):
        columns = choose_auxiliary_targets(data, plan.auxiliary_columns)
        inputs["auxiliary_targets"] = list(dict.fromkeys([*columns, *traits])) or None
    elif plan.auxiliary_columns:
        raise InputError("`auxiliary_columns` are learned only where `auxiliary_loss_weight` is above 0.")
    try:
        config = TRMConfig(
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            score_ranges={key: score_range.to_list() for key, score_range in data.score_ranges.items()},
            prompt_texts=data.prompt_texts,
            max_prompt_tokens=data.card["token_limits"]["max_prompt_tokens"],
            # As the essays were tokenized that it learns from; before there was this choice, nothing was skipped.
            skip_repetition=data.card.get("skip_repetition", False),
            **{**inputs, **plan.model},
        )
    except (ValueError, TypeError) as error:
        raise InputError(f"The model cannot be configured like this: {one_line(error)}") from None
    # By words and lengths alone the lexical head is no better than the recursive one, however few the essays.
    if config.lexical_head and config.text_features and plan.shrink_recursion:
        config.lexical_share = share_of_lexical_head(config.lexical_share, len(data.splits["train"]))
    longest = data.card["token_limits"]["max_tokens"]
    if longest > config.max_position_embeddings:
        raise InputError(
            f"{plan.data} has sequences of up to {longest} tokens, the model takes {config.max_position_embeddings}: "
            f"give `max_position_embeddings` {longest}, or build the data set with a lower `max_tokens`."
        )
    return config


def _traits(plan: TrainingPlan, data: EssayDataset) -> dict[str, dict[str, ScoreRange]]:
    """The traits that are learned: those that the user names, else all of the data set's where the recipe has a head for them."""
    learns = plan.model.get("lexical_head") or plan.model.get("auxiliary_loss_weight")
    if plan.model.get("prompt_registers") and learns:
        return choose_traits(data, plan.traits)
    if plan.traits:
        raise InputError(
            f"`traits` are learned by prompt, and `recipe` {plan.recipe} keeps no prompts apart or has no head for them: take a "
            "recipe with `prompt_registers` and `lexical_head` (default, fast or tiny)."
        )
    return {}


def share_of_lexical_head(share: float, num_essays: int) -> float:
    """
    The lexical head's share in the score, 0 to 1: nearly all of it with few training essays, as the recursive head's grows
    in proportion to their number.

    Args:
        share: with 2,000 training essays and more.
        num_essays: of all prompts together, since the recursive head learns from all of them.
    """
    return 1 - (1 - share) * min(1.0, num_essays / ENOUGH_FOR_RECURSION)
