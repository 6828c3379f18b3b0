"""The folder of a run, as far as it is known without Transformers."""

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from trm_aes.training.folder import CHECKPOINT_PREFIX


def test_checkpoints_are_called_as_by_transformers():
    assert CHECKPOINT_PREFIX == PREFIX_CHECKPOINT_DIR
