"""A model that runs in another way on the same weights."""

import copy

from ..model.modeling_trm import TRMForEssayScoring


def copy_sharing_weights(model: TRMForEssayScoring) -> TRMForEssayScoring:
    """
    A copy of a model with a configuration and modules of its own, and weights in the same memory: its configuration can be
    changed while others use the model itself.
    """
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, shared)
