"""The model that a training run starts from: configured, its embeddings copied, and fitted in closed form."""

from transformers import PreTrainedTokenizerBase

from ..checkpoints import Checkpoint, embedding_size
from ..data.dataset import EssayDataset
from ..errors import InputError, one_line
from ..model.configuration_trm import TRMConfig
from ..model.modeling_trm import TRMForEssayScoring
from .fit.embeddings import copy_word_embeddings
from .fit.lexical import fit_lexical_head
from .fit.prompts import set_prompt_statistics
from .recipe import TrainingPlan


def build_model(
    plan: TrainingPlan, data: EssayDataset, tokenizer: PreTrainedTokenizerBase, checkpoint: Checkpoint | None
) -> TRMForEssayScoring:
    """
    The untrained model of a plan: its word embeddings copied from an encoder (random without one), its prompt bank filled
    and its lexical head fitted where it has them.

    Args:
        plan: shape of the model, and what is done with the copied embeddings.
        data: the prompts and their training essays.
        tokenizer: of the data set.
        checkpoint: the encoder that `plan.embeddings` names, found; None if it names none.

    Raises:
        InputError: if the configuration contradicts itself, the data set or the encoder.
    """
    model = TRMForEssayScoring(_configure(plan, data, tokenizer, checkpoint))
    if checkpoint is not None:
        copy_word_embeddings(model, checkpoint, tokenizer, plan.rescale_embeddings, plan.freeze_embeddings)
    if model.model.prompt_bank is not None:
        set_prompt_statistics(model, data, tokenizer)
    if model.lexical_head is not None:
        fit_lexical_head(model, data)
    return model


def _configure(
    plan: TrainingPlan, data: EssayDataset, tokenizer: PreTrainedTokenizerBase, checkpoint: Checkpoint | None
) -> TRMConfig:
    # Factorized where the encoder's width is not the model's.
    width = {"embedding_size": embedding_size(checkpoint)} if checkpoint is not None else {}
    try:
        config = TRMConfig(
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            score_ranges={key: [r.min_score, r.max_score] for key, r in data.score_ranges.items()},
            prompt_texts=data.prompt_texts,
            max_prompt_tokens=data.card["token_limits"]["max_prompt_tokens"],
            **{**width, **plan.model},
        )
    except (ValueError, TypeError) as error:
        raise InputError(f"The model cannot be configured like this: {one_line(error)}") from None
    longest = data.card["token_limits"]["max_tokens"]
    if longest > config.max_position_embeddings:
        raise InputError(
            f"{plan.data} has sequences of up to {longest} tokens, the model takes {config.max_position_embeddings}: "
            f"give `max_position_embeddings` {longest}, or build the data set with a lower `max_tokens`."
        )
    return config
