"""The encoder whose states a model reads: the first layers of a pretrained one."""

import torch
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedTokenizerBase

from ...checkpoints import Checkpoint, check_vocabulary, quietly
from ...errors import InputError, explained
from ...model.modeling_trm import TRMForEssayScoring


def encoder_config(checkpoint: Checkpoint, num_layers: int) -> PreTrainedConfig:
    """
    The configuration of the first `num_layers` layers of a pretrained encoder.

    Raises:
        InputError: if it cannot be read, or has fewer layers.
    """
    with explained(f"No encoder can be read from {checkpoint.name}"):
        config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True, trust_remote_code=False)
    if not 1 <= num_layers <= config.num_hidden_layers:
        raise InputError(f"`encoder_layers` {num_layers}: {checkpoint.name} has {config.num_hidden_layers} layers.")
    config.num_hidden_layers = num_layers
    # A folder of this machine, which would be published with the configuration.
    config.name_or_path = ""
    return config


def copy_encoder(
    model: TRMForEssayScoring, checkpoint: Checkpoint, tokenizer: PreTrainedTokenizerBase, freeze: bool = True
):
    """
    Gives the model's encoder the weights of a pretrained one.

    Args:
        model: configured with [`encoder_config`].
        checkpoint: the pretrained encoder.
        tokenizer: the tokenizer that the model will be used with.
        freeze: whether to keep the encoder out of training.

    Raises:
        InputError: if the encoder's vocabulary is not the tokenizer's, or weights are missing.
    """
    check_vocabulary(
        checkpoint,
        tokenizer,
        "its states would be of other words. Build the data set with the encoder's `tokenizer`.",
    )
    target = model.model.encoder.transformer
    with explained(f"{checkpoint.name} cannot be loaded as an encoder"), quietly():
        source, loading = AutoModel.from_pretrained(
            checkpoint.folder, config=target.config, dtype=torch.float32, local_files_only=True, use_safetensors=True,
            trust_remote_code=False, output_loading_info=True,
        )  # fmt: skip
    missing = sorted(name for name in loading["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise InputError(f"{checkpoint.name} lacks weights of its encoder, {missing[0]} first.")
    # What it has more (a pooler) is not read.
    target.load_state_dict(source.state_dict(), strict=False)
    model.model.encoder.requires_grad_(not freeze)
