"""One essay as the model takes it, read by the encoder once for whoever runs the model on it several times."""

from typing import TYPE_CHECKING

import torch

from ..model.essay_tokens import EncodedEssay
from ..model.essays_trm import EssayBatch

if TYPE_CHECKING:
    from .scorer import EssayScorer


@torch.no_grad()
def model_inputs(scorer: "EssayScorer", encoded: EncodedEssay, prompt_id: str) -> dict[str, torch.Tensor]:
    """
    The model's inputs for an essay, a batch of one, on the scorer's device; with the states of a pretrained encoder where the
    model has one.
    """
    row = {**vars(encoded), "prompt_id": prompt_id}
    [(_, batch)] = scorer.batches([row])
    inputs = {name: tensor.to(scorer.device) for name, tensor in batch.items()}
    encoder = scorer.model.model.encoder
    if encoder is not None:
        tokens = {name: inputs[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
        essays = EssayBatch.from_tensors(**tokens)
        # Where it would be to wait for the device, there is a row for each token.
        inputs["encoder_states"] = encoder.read(essays)[:, : int(encoder.pieces(essays).sum())]
    return inputs
