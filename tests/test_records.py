"""`run.json` and `evaluation.json`: what is written is read, and what was not written by us is refused in one line."""

import json
from dataclasses import replace

import pytest

from trm_aes.errors import InputError
from trm_aes.records import (
    FORMAT_VERSION,
    DataRecord,
    EvaluationRecord,
    MachineRecord,
    PretrainedRecord,
    RidgeRecord,
    RunRecord,
)

TRAINING = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 3, "num_train_epochs": 2,
            "learning_rate": 1e-3, "ema_decay": 0.9, "bf16": False, "fp16": False}  # fmt: skip
RUN = RunRecord(
    command=["trm-aes", "train"],
    run={"recipe": "fast", "hardware": "cpu"},
    training=TRAINING,
    seed=3,
    num_parameters=10,
    num_trained_parameters=5,
    data=DataRecord(
        source="essays.csv",
        source_sha256="0" * 64,
        num_essays={"train": 3, "validation": 2, "test": 1},
        token_limits={"max_tokens": 64, "drop_longer_than": None},
    ),
    embeddings=PretrainedRecord(name="encoder", hub_id=None),
    packages={"trm-aes": "0.1", "torch": "2", "transformers": "5"},
    machine=MachineRecord(platform="x", device="cpu", processes=2),
    # A whole number, as a short run may have.
    seconds=1,
    validation_metrics={"eval_mean_qwk": 0.5, "eval_prompt_a_smd": None},
)
EVALUATION = EvaluationRecord(
    model="m",
    split="test",
    by_prompt={"a": {"n": 3, "qwk": 0.5, "adjacent_agreement": 1, "smd": None}},
    means={"mean_qwk": 0.5, "mean_smd": None},
    constant_mean_qwk=0,
    ridge=RidgeRecord(qwk={"a": 1}, mean_qwk=1, model_mean_qwk=0.5, difference=-0.5, low=-0.75, high=-0.25),
)
NAMES = {RunRecord: "run.json", EvaluationRecord: "evaluation.json"}
RECORDS = pytest.mark.parametrize("record", [RUN, EVALUATION], ids=["run", "evaluation"])


def change(record, folder, edit):
    """Writes the record with its parsed JSON edited."""
    path = folder / NAMES[type(record)]
    record.write(folder)
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(edit(content) or content), encoding="utf-8")
    return path


@RECORDS
def test_what_is_written_is_read(record, tmp_path):
    record.write(tmp_path)
    assert type(record).read(tmp_path) == record
    content = json.loads((tmp_path / NAMES[type(record)]).read_text(encoding="utf-8"))
    assert content["format_version"] == FORMAT_VERSION


def test_figures_of_a_run():
    assert RUN.batch_size == 8 * 3 * 2 and RUN.validation_qwk == 0.5


@RECORDS
def test_files_from_before_there_was_a_version_are_read(record, tmp_path):
    def age(content):
        for name in ("format_version", "history", "calibration", "rater_qwk"):
            content.pop(name, None)
        content["a_field_of_then"] = 1

    change(record, tmp_path, age)
    assert type(record).read(tmp_path) == record


def test_evaluations_from_before_there_was_a_ridge_have_none(tmp_path):
    change(EVALUATION, tmp_path, lambda content: content.pop("ridge") and None)
    assert EvaluationRecord.read(tmp_path) == replace(EVALUATION, ridge=None)


@RECORDS
@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda content: [content], "holds no JSON object"),
        (lambda content: {"a": 1}, "lacks '"),
        (lambda content: content.update(format_version=FORMAT_VERSION + 1), "format version 2, .* reads 1: upgrade"),
        (lambda content: content.update(packages=["torch"]), "'packages' must be an object, each value a text, not "),
    ],
    ids=["no object", "another object", "from a later version", "another type"],
)
def test_foreign_files_are_refused(record, tmp_path, edit, message):
    path = change(record, tmp_path, edit)
    with pytest.raises(InputError, match=message) as caught:
        type(record).read(tmp_path)
    assert str(path) in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("record", "edit", "message"),
    [
        (RUN, lambda content: content["data"].pop("source"), "run.json, data lacks 'source'"),
        (RUN, lambda content: content["training"].pop("learning_rate"), "run.json, training lacks 'learning_rate'"),
        (
            RUN,
            lambda content: content["machine"].update(processes="two"),
            "run.json, machine: 'processes' must be a whole number, not \"two\"",
        ),
        (RUN, lambda content: content.update(embeddings=3), "run.json, embeddings holds no JSON object"),
        (EVALUATION, lambda content: content["by_prompt"]["a"].pop("n"), "evaluation.json, by_prompt, a lacks 'n'"),
        (EVALUATION, lambda content: content.pop("means"), "evaluation.json lacks 'means'"),
        (EVALUATION, lambda content: content["ridge"].pop("low"), "evaluation.json, ridge lacks 'low'"),
    ],
)
def test_the_place_of_what_is_missing_or_wrong_is_named(record, edit, message, tmp_path):
    change(record, tmp_path, lambda content: edit(content) and None)
    with pytest.raises(InputError, match=f"{message}.*trm-aes (train|evaluate)` wrote"):
        type(record).read(tmp_path)


def test_a_file_cut_short_and_none_at_all(tmp_path):
    with pytest.raises(InputError, match="run.json does not exist"):
        RunRecord.read(tmp_path)
    RUN.write(tmp_path)
    path = tmp_path / "run.json"
    path.write_text(path.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    with pytest.raises(InputError, match="run.json is not valid JSON"):
        RunRecord.read(tmp_path)


def test_numbers_that_are_not_finite_become_null(tmp_path):
    diverged = EvaluationRecord(**{**vars(EVALUATION), "means": {"mean_qwk": 0.5, "mean_smd": float("nan")}})
    diverged.write(tmp_path)
    assert EvaluationRecord.read(tmp_path).means["mean_smd"] is None
