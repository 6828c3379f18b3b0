"""The folder of a run, as far as it is known without Transformers."""

import pytest
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from trm_aes import TRMConfig
from trm_aes.errors import InputError
from trm_aes.files import read_json, write_json
from trm_aes.training.folder import (
    CHECKPOINT_PREFIX,
    MODEL_TYPE,
    STATE_NAME,
    check_may_write,
    folder_to_train_in,
    unfinished_folder,
)
from trm_aes.training.resuming import last_checkpoint


def test_checkpoints_are_called_as_by_transformers():
    assert CHECKPOINT_PREFIX == PREFIX_CHECKPOINT_DIR


def test_the_models_type_is_the_configurations():
    assert TRMConfig.model_type == MODEL_TYPE


def fill(folder, steps=()):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text('{"model_type": "trm"}', encoding="utf-8")
    for step in steps:
        checkpoint = folder / f"checkpoint-{step}"
        checkpoint.mkdir()
        write_json(checkpoint / STATE_NAME, {"best_model_checkpoint": str(checkpoint)})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_run_that_starts_anew_writes_where_it_is_told(tmp_path):
    with folder_to_train_in(tmp_path / "m", False, None) as folder:
        assert folder == tmp_path / "m"
        fill(folder, [1])
    assert names(tmp_path) == ["m"]


def test_the_old_scorer_goes_when_the_new_one_is_whole(tmp_path):
    output = tmp_path / "m"
    fill(output, [7])
    with pytest.raises(InputError, match="exists"), folder_to_train_in(output, False, None):
        pass
    with pytest.raises(RuntimeError), folder_to_train_in(output, True, None) as folder:
        assert folder == unfinished_folder(output)
        fill(folder)
        raise RuntimeError
    # Without a checkpoint nothing is left of it.
    assert names(tmp_path) == ["m"] and names(output) == ["checkpoint-7", "config.json"]
    with folder_to_train_in(output, True, None) as folder:
        fill(folder, [1, 2])
        assert names(output) == ["checkpoint-7", "config.json"]
    assert names(tmp_path) == ["m"] and names(output) == ["checkpoint-1", "checkpoint-2", "config.json"]
    # The best checkpoint is found where it is now.
    assert read_json(output / "checkpoint-2" / STATE_NAME)["best_model_checkpoint"] == str(output / "checkpoint-2")


def test_an_interrupted_run_goes_on_beside_the_old_scorer(tmp_path, caplog):
    output = tmp_path / "m"
    fill(output, [7])
    with pytest.raises(KeyboardInterrupt), folder_to_train_in(output, True, None) as folder:
        fill(folder, [3])
        raise KeyboardInterrupt
    assert last_checkpoint(unfinished_folder(output)).name == "checkpoint-3"
    with folder_to_train_in(output, True, unfinished_folder(output) / "checkpoint-3") as folder:
        assert names(folder) == ["checkpoint-3", "config.json"]
    assert names(output) == ["checkpoint-3", "config.json"] and names(tmp_path) == ["m"]
    # One that starts anew clears it, and says so.
    with pytest.raises(KeyboardInterrupt), folder_to_train_in(output, True, None) as folder:
        fill(folder, [4])
        raise KeyboardInterrupt
    with folder_to_train_in(output, True, None) as folder:
        fill(folder, [5])
    assert names(output) == ["checkpoint-5", "config.json"] and "Removed" in caplog.text


def test_two_runs_do_not_train_into_one_folder(tmp_path):
    again = folder_to_train_in(tmp_path / "m", True, None)
    with (
        folder_to_train_in(tmp_path / "m", False, None),
        pytest.raises(InputError, match="is being written by process"),
        again,
    ):
        pass


def test_only_a_run_is_replaced(tmp_path):
    other = tmp_path / "bert"
    fill(other, [500])
    (other / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises(InputError, match="is not what a training run wrote"):
        check_may_write(other, True)
    (other / "checkpoint-500" / "weight_average.json").write_text("{}", encoding="utf-8")
    check_may_write(other, True)
