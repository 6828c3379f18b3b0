"""The word embeddings that a model starts from: those of a pretrained encoder."""

import torch
from transformers import PreTrainedTokenizerBase

from ...checkpoints import Checkpoint, check_vocabulary, read_word_embeddings
from ...errors import InputError
from ...model.modeling_trm import TRMForEssayScoring


def copy_word_embeddings(
    model: TRMForEssayScoring,
    checkpoint: Checkpoint,
    tokenizer: PreTrainedTokenizerBase,
    rescale: bool = True,
    freeze: bool = False,
):
    """
    Starts the model's word embeddings from a pretrained encoder's.

    Args:
        model: its `vocab_size` and `embedding_size` must be those of the encoder's embeddings.
        checkpoint: the encoder, from [`find_checkpoint`].
        tokenizer: the tokenizer that the model will be used with.
        rescale: whether to scale the embeddings to a root mean square of 1, that of the states they are added to.
            BERT's own is about 0.04, which normalization in the recursion all but drowns.
        freeze: whether to keep them out of training.

    Raises:
        InputError: if the encoder's vocabulary is not the tokenizer's, or the shapes differ.
    """
    check_vocabulary(
        checkpoint,
        tokenizer,
        "its embeddings would belong to other words. Use the tokenizer and the embeddings of one checkpoint.",
    )
    source = read_word_embeddings(checkpoint)
    target: torch.Tensor = model.get_input_embeddings().weight  # type: ignore[assignment]
    if source.shape != target.shape:
        # An encoder may keep rows for more words than its tokenizer has: no option adds such words to the model.
        has_width = source.shape[1] == target.shape[1]
        how = "choose other `embeddings`" if has_width else f"leave `embedding_size` out, or give {source.shape[1]}"
        raise InputError(
            f"{checkpoint.name} has word embeddings of shape {tuple(source.shape)}, the model {tuple(target.shape)}: "
            f"{how}."
        )
    with torch.no_grad():
        target.copy_(source / source.square().mean().sqrt() if rescale else source)
    target.requires_grad_(not freeze)
