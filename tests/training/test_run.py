"""Whole runs through the command line, and the same run over two processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from helpers import NO_DROPOUT, ROOT, free_port, options, seal
from safetensors.torch import load_file, save_file

from trm_aes import TRMForEssayScoring
from trm_aes.cli import build, train
from trm_aes.data.dataset import load_essay_dataset
from trm_aes.errors import InputError, InterruptedRun
from trm_aes.evaluation.evaluate import evaluate_scorer
from trm_aes.files import read_json, write_json
from trm_aes.model.score_scale import ScoreRange, by_prompt
from trm_aes.scoring.scorer import EssayScorer
from trm_aes.training import run
from trm_aes.training.resuming import last_checkpoint
from trm_aes.training.trainer import TRMTrainer


def test_a_run_leaves_a_full_record(model_dir, data_dir):
    record = json.loads((model_dir / "run.json").read_text(encoding="utf-8"))
    assert record["validation_metrics"]["eval_mean_qwk"] > 0.5
    assert record["seed"] == 42 and torch.__version__.startswith(record["packages"]["torch"])
    assert record["run"]["recipe"] == "tiny" and record["run"]["hardware"] == "cpu"
    assert record["training"]["learning_rate"] == 3e-3
    assert record["data"]["num_essays"] == {"train": 36, "validation": 12, "test": 12}
    model = TRMForEssayScoring.from_pretrained(model_dir)
    assert record["num_parameters"] == model.num_parameters()
    assert model.config.score_ranges == {"a": [0, 3], "b": [1, 4]}
    assert model.config.prompt_texts == {"a": "Write about a.", "b": "Write about b."}
    assert (model.config.hidden_size, model.config.embedding_size) == (32, 384)
    assert (model_dir / "tokenizer.json").is_file() and not list(model_dir.glob("*.bin"))
    # The best checkpoint by validation mean QWK is the model that was kept.
    best = max(entry["eval_mean_qwk"] for entry in record["history"] if "eval_mean_qwk" in entry)
    assert record["validation_metrics"]["eval_mean_qwk"] == best


def test_the_test_split_is_never_read(data_dir, tmp_path):
    hidden = tmp_path / "data"
    shutil.copytree(data_dir, hidden)
    data = load_essay_dataset(hidden)
    poisoned = data.splits["test"].map(lambda row: {"score": float("nan"), "input_ids": [99999]})
    data.splits["test"] = poisoned
    data.splits.save_to_disk(str(tmp_path / "again"))
    for path in (tmp_path / "again" / "test").iterdir():
        shutil.copy(path, hidden / "test" / path.name)
    seal(hidden)
    weights = []
    for number, folder in enumerate((data_dir, hidden)):
        train.main(options(folder, tmp_path / f"m{number}", "--num-train-epochs", "1"))
        weights.append(load_file(tmp_path / f"m{number}" / "model.safetensors"))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_interrupted_and_resumed_through_the_command_line(data_dir, tmp_path, monkeypatch):
    arguments = ["--num-train-epochs", "4", "--num-supervision-steps", "2", "--save-total-limit", "10"]
    train.main(options(data_dir, tmp_path / "whole", *arguments))

    save = TRMTrainer._save_checkpoint

    def interrupt_after_second(self, *args):
        save(self, *args)
        if self.state.epoch >= 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TRMTrainer, "_save_checkpoint", interrupt_after_second)
        with pytest.raises(InterruptedRun, match="interrupted at step 12, .*--resume-from-checkpoint last"):
            train.main(options(data_dir, tmp_path / "cut", *arguments))
    assert last_checkpoint(tmp_path / "cut").name == "checkpoint-12"
    with pytest.raises(InputError, match="interrupted. Go on with --resume-from-checkpoint last, or pass --overwrite"):
        train.main(options(data_dir, tmp_path / "cut", *arguments))
    train.main(options(data_dir, tmp_path / "cut", *arguments, "--resume-from-checkpoint", "last"))
    expected, resumed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert expected.keys() == resumed.keys()
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


# How the scorer of the fixture was trained, beside what `options` gives.
AS_BEGUN = ["--per-device-train-batch-size", "4"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            ["--learning-rate", "1e-5"],
            r"is of a run with --learning-rate 0.003, and this one has 1e-05. Resume with the same",
        ),
        (["--seed", "7"], "with --seed 42, and this one has 7"),
        (["--H-cycles", "1"], "with --H-cycles .*, and this one has 1"),
        (["--traits", "none"], r"with --traits None, and this one has \[\]"),
    ],
)
def test_a_run_goes_on_as_the_one_that_was_begun_or_not_at_all(model_dir, data_dir, tmp_path, changed, message):
    shutil.copytree(model_dir, tmp_path / "m")
    before = sorted(path.name for path in (tmp_path / "m").rglob("*"))
    with pytest.raises(InputError, match=message):
        train.main(options(data_dir, tmp_path / "m", *AS_BEGUN, *changed, "--resume-from-checkpoint", "last"))
    assert sorted(path.name for path in (tmp_path / "m").rglob("*")) == before


def test_a_run_does_not_go_on_with_other_essays(model_dir, data_dir, tmp_path):
    shutil.copytree(model_dir, tmp_path / "m")
    # The same essays, built again, are the same data set.
    shutil.copytree(data_dir, tmp_path / "again")
    card = read_json(tmp_path / "again" / "dataset_card.json")
    write_json(tmp_path / "again" / "dataset_card.json", {**card, "created": "later", "options": {}})
    longer = [*AS_BEGUN, "--num-train-epochs", "13", "--resume-from-checkpoint", "last"]
    train.main(options(tmp_path / "again", tmp_path / "m", *longer))
    # It may be trained longer.
    record = json.loads((tmp_path / "m" / "run.json").read_text(encoding="utf-8"))
    assert max(entry["epoch"] for entry in record["history"]) == 13
    shutil.copytree(data_dir, tmp_path / "other")
    fewer = load_essay_dataset(data_dir).splits["train"].select(range(30))
    shutil.rmtree(tmp_path / "other" / "train")
    fewer.save_to_disk(str(tmp_path / "other" / "train"))
    seal(tmp_path / "other")
    with pytest.raises(InputError, match="is of a run on another data set, or another draw of the same essays"):
        train.main(options(tmp_path / "other", tmp_path / "m", *AS_BEGUN, "--resume-from-checkpoint", "last"))


@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimizer_weights.safetensors", "optimizer.pt", "rng_state.pth"]
)
def test_a_checkpoint_cut_short_is_not_resumed(model_dir, data_dir, tmp_path, name):
    shutil.copytree(last_checkpoint(model_dir), tmp_path / "m" / "checkpoint-9")
    path = tmp_path / "m" / "checkpoint-9" / name
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=f"{name} is damaged or cut short"):
        train.main(options(data_dir, tmp_path / "m", "--resume-from-checkpoint", "last"))


def test_only_a_run_is_overwritten(model_dir, data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path / "m")
    with pytest.raises(InputError, match="not what a training run wrote"):
        train.main(options(data_dir, tmp_path / "m", "--overwrite", "true"))
    assert (tmp_path / "m" / "dataset_card.json").is_file()
    shutil.copytree(model_dir, tmp_path / "r")
    train.main(options(data_dir, tmp_path / "r", "--num-train-epochs", "1", "--overwrite", "true"))
    assert [path.name for path in (tmp_path / "r").glob("checkpoint-*")] == ["checkpoint-3"]


def test_early_stopping(data_dir, tmp_path):
    more = ["--num-train-epochs", "30", "--learning-rate", "0", "--early-stopping-patience", "2"]
    train.main(options(data_dir, tmp_path / "m", *more))
    history = json.loads((tmp_path / "m" / "run.json").read_text(encoding="utf-8"))["history"]
    # Two validations no better than the first, and the one of the finished scorer.
    assert [entry["epoch"] for entry in history if "eval_mean_qwk" in entry] == [1, 2, 3, 3]


@pytest.mark.parametrize("moment", ["between validations", "after the last step"])
def test_a_run_that_is_resumed_stops_as_early_as_one_that_was_not_interrupted(data_dir, tmp_path, monkeypatch, moment):
    more = ["--num-train-epochs", "30", "--learning-rate", "0", "--early-stopping-patience", "2"]
    save = TRMTrainer._save_checkpoint

    def interrupt_after_second(self, *args):
        save(self, *args)
        if self.state.epoch >= 2:
            raise KeyboardInterrupt

    def interrupted(*_):
        raise InterruptedRun("interrupted")

    with monkeypatch.context() as patch:
        if moment == "between validations":
            patch.setattr(TRMTrainer, "_save_checkpoint", interrupt_after_second)
        else:
            patch.setattr("trm_aes.training.run._fit_to_unseen", interrupted)
        with pytest.raises(InterruptedRun):
            train.main(options(data_dir, tmp_path / "m", *more))
    train.main(options(data_dir, tmp_path / "m", *more, "--resume-from-checkpoint", "last"))
    history = json.loads((tmp_path / "m" / "run.json").read_text(encoding="utf-8"))["history"]
    assert [entry["epoch"] for entry in history if "eval_mean_qwk" in entry] == [1, 2, 3, 3]
    # The patience is that of the run that goes on, not of the one that was interrupted.
    patient = [*more[:-1], "3", "--resume-from-checkpoint", "last"]
    train.main(options(data_dir, tmp_path / "m", *patient))
    history = json.loads((tmp_path / "m" / "run.json").read_text(encoding="utf-8"))["history"]
    assert [entry["epoch"] for entry in history if "eval_mean_qwk" in entry] == [1, 2, 3, 4, 4]


def test_a_run_begun_without_patience_may_be_resumed_with_it(model_dir, data_dir, tmp_path):
    shutil.copytree(model_dir, tmp_path / "m")
    more = ["--num-train-epochs", "20", "--early-stopping-patience", "1", "--resume-from-checkpoint", "last"]
    train.main(options(data_dir, tmp_path / "m", *AS_BEGUN, *more))
    epochs = [entry["epoch"] for entry in read_json(tmp_path / "m" / "run.json")["history"] if "eval_mean_qwk" in entry]
    assert max(epochs) > 12


def test_machines_that_share_no_disk_end_before_they_begin(data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr("trm_aes.training.run.gather_object", lambda there: [*there, False])
    with pytest.raises(InputError, match="^--output-dir .*m is not the same folder for all processes"):
        train.main(options(data_dir, tmp_path / "m"))
    assert not list(tmp_path.iterdir())


def test_tensorboard_gets_the_log(data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "board"))
    more = ["--num-train-epochs", "1", "--report-to", "tensorboard", "--run-name", "first", "--project-name", "essays"]
    train.main(options(data_dir, tmp_path / "m", *more))
    assert list((tmp_path / "board").rglob("events.out.tfevents*"))


LAUNCHERS = {
    "torchrun": ["-m", "torch.distributed.run", "--nproc-per-node", "2"],
    "accelerate": ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
                   "--mixed_precision", "no", "--dynamo_backend", "no"],
}  # fmt: skip


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_processes_give_what_one_gives(data_dir, tmp_path, launcher):
    common = [*NO_DROPOUT, "--num-train-epochs", "2", "--num-supervision-steps", "2"]
    train.main(options(data_dir, tmp_path / "one", *common, "--per-device-train-batch-size", "8"))
    port = str(free_port())
    ports = ["--master-port", port] if launcher == "torchrun" else ["--main_process_port", port]
    script = [str(ROOT / "scripts" / "train.py")]
    arguments = options(data_dir, tmp_path / "two", *common, "--per-device-train-batch-size", "4")
    run = subprocess.run(
        [sys.executable, *LAUNCHERS[launcher], *ports, *script, *arguments], capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr[-3000:]
    records = [json.loads((tmp_path / name / "run.json").read_text(encoding="utf-8")) for name in ("one", "two")]
    assert [record["machine"]["processes"] for record in records] == [1, 2]
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("one", "two")]
    for name in weights[0]:
        torch.testing.assert_close(weights[1][name], weights[0][name], atol=1e-4, rtol=1e-4)
    qwk = [record["validation_metrics"]["eval_mean_qwk"] for record in records]
    assert qwk[0] == pytest.approx(qwk[1], abs=1e-4)


def test_ctrl_c_ends_with_one_line(data_dir, tmp_path):
    arguments = options(data_dir, tmp_path / "m", "--num-train-epochs", "2000")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "train.py"), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while last_checkpoint(tmp_path / "m") is None and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert (
        "interrupted at step" in errors.splitlines()[-1] and "--resume-from-checkpoint last" in errors.splitlines()[-1]
    )
    assert last_checkpoint(tmp_path / "m") is not None


def test_ctrl_c_is_not_lost_in_a_finalizer(data_dir, tmp_path, monkeypatch):
    """Where Python would swallow the exception, the run still stops, after that very step."""
    compute_loss = TRMTrainer.compute_loss

    class PressesCtrlC:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    def compute_and_press(self, *args, **kwargs):
        if self.state.global_step == 4:
            PressesCtrlC()
        return compute_loss(self, *args, **kwargs)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(TRMTrainer, "compute_loss", compute_and_press)
    with pytest.raises(InterruptedRun, match="interrupted at step 5, and can be resumed"):
        train.main(options(data_dir, tmp_path / "m", "--num-train-epochs", "4"))
    assert signal.getsignal(signal.SIGINT) is before


def test_a_full_disk_while_saving_is_one_clear_error(data_dir, tmp_path):
    """A limit on the size of a file stands in for a full disk: what is written beyond it fails in the same places."""
    arguments = options(data_dir, tmp_path / "m", "--num-train-epochs", "2")
    command = f'ulimit -f 2000; exec {sys.executable} {ROOT / "scripts" / "train.py"} "$@"'
    run = subprocess.run(["bash", "-c", command, "bash", *arguments], capture_output=True, text=True, timeout=300)
    assert run.returncode == 2, run.stderr[-3000:]
    assert "could not be saved" in run.stderr.splitlines()[-1] and "Is the disk full?" in run.stderr.splitlines()[-1]
    assert not list((tmp_path / "m").glob("checkpoint-*"))


def test_accelerate_configurations_say_what_their_names_say():
    found = {}
    for path in (ROOT / "scripts" / "accelerate").glob("*.yaml"):
        config = load_config_from_file(str(path))
        kind = getattr(config.distributed_type, "value", config.distributed_type)
        found[path.stem] = (str(kind), config.num_machines, config.num_processes, config.use_cpu)
    assert found == {
        "cpu": ("NO", 1, 1, True),
        "mps": ("NO", 1, 1, False),
        "one_gpu": ("NO", 1, 1, False),
        "multi_gpu": ("MULTI_GPU", 1, 8, False),
        "multi_node": ("MULTI_GPU", 2, 16, False),
    }


def test_the_cpu_configuration_trains(data_dir, tmp_path):
    config = ["--config_file", str(ROOT / "scripts" / "accelerate" / "cpu.yaml")]
    arguments = options(data_dir, tmp_path / "m", "--num-train-epochs", "1")
    run = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *config, str(ROOT / "scripts" / "train.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert (tmp_path / "m" / "model.safetensors").is_file()


def test_a_run_tells_the_model_its_prompts_and_calibrates_it(data_dir, tmp_path):
    train.main(options(data_dir, tmp_path / "m", "--num-train-epochs", "3"))
    record = json.loads((tmp_path / "m" / "run.json").read_text(encoding="utf-8"))
    model = TRMForEssayScoring.from_pretrained(tmp_path / "m")
    prompts, data = model.model.prompt_bank, load_essay_dataset(data_dir)
    train_split = data.splits["train"].to_pandas()
    for place, (prompt_id, score_range) in enumerate(data.score_ranges.items()):
        essays = train_split[train_split["prompt_id"] == prompt_id]
        scores = score_range.normalize(essays["score"].to_numpy())
        line = record["calibration"]["scores"].get(prompt_id, {"slope": 1.0, "intercept": 0.0})
        assert prompts.score_means[place].item() == pytest.approx(
            line["intercept"] + line["slope"] * scores.mean(), abs=1e-5
        )
        assert prompts.score_stds[place].item() == pytest.approx(line["slope"] * scores.std(), abs=1e-5)
        # Every essay of the prompt is recognized as such, by the text that comes with it.
        for row in essays.head(3).to_dict("records"):
            tokens = {name: torch.tensor([list(row[name])]) for name in ("input_ids", "token_type_ids")}
            assert model.model.prepare_essays(**tokens).prompt_indices.tolist() == [place]


@pytest.mark.parametrize(
    "more",
    [["--num-supervision-steps", "2"], ["--recipe", "published", "--num-supervision-steps", "2", "--L-cycles", "1"]],
    ids=["tiny, with an exit rule", "published"],
)
def test_confidence_is_right_on_average_in_the_scores_that_are_given(data_dir, tmp_path, more):
    """Whether or not the recipe keeps prompts apart, and after as many steps as an essay takes."""
    train.main(options(data_dir, tmp_path / "m", "--num-train-epochs", "2", *more))
    data = load_essay_dataset(data_dir)
    found = evaluate_scorer(EssayScorer.from_pretrained(tmp_path / "m", "cpu"), data, "validation").predictions
    rounded = by_prompt(ScoreRange.round, found["predicted_score"], found["prompt_id"], data.score_ranges)
    right = np.isclose(rounded, found["score"])
    # Where all or none are right, the share counts as half an essay from there.
    share = np.clip(right.mean(), 0.5 / len(found), 1 - 0.5 / len(found))
    assert found["confidence"].mean() == pytest.approx(share, abs=1e-4)


def test_a_checkpoint_of_version_0_1_is_not_resumed(model_dir, data_dir, tmp_path):
    """It called the prompts' weights otherwise; read by today's names they would be lost without a word."""
    shutil.copytree(model_dir, tmp_path / "m")
    weights = last_checkpoint(tmp_path / "m") / "model.safetensors"
    tensors = {
        name.replace("prompt_bank.score_weights", "prompts.head"): value for name, value in load_file(weights).items()
    }
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(InputError, match="written by version 0.1.*cannot be resumed"):
        train.main(options(data_dir, tmp_path / "m", "--resume-from-checkpoint", "last"))


TWIN_TEXTS = {
    "the same text": ("Write about a trip.", "Write about a trip."),
    "another case and order": ("Write about a trip.", "A trip about write."),
    "alike as far as it is read": ("word " * 40 + "one", "word " * 40 + "two"),
}


@pytest.mark.parametrize("texts", TWIN_TEXTS.values(), ids=TWIN_TEXTS)
def test_prompts_whose_texts_do_not_tell_them_apart_are_two_by_their_ids(tmp_path, texts):
    """A prompt that the caller names is not guessed from its text."""
    rows = []
    for number in range(80):
        prompt_id, word = ("a", "good") if number % 2 else ("b", "bad")
        score = number // 2 % 3
        # The same word raises the score of one prompt's essays and lowers the other's.
        essay = f"Essay {number} is {' '.join([word] * (1 + score) + ['plain'] * (3 - score))}."
        rows.append({"essay_id": number, "prompt_id": prompt_id, "prompt": texts[number % 2], "essay": essay,
                     "score": score if number % 2 else 10 * (2 - score)})  # fmt: skip
    source = tmp_path / "essays.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    build.main(["--source", str(source), "--output-dir", str(tmp_path / "d"), "--max-prompt-tokens", "16"])
    train.main(options(tmp_path / "d", tmp_path / "m", "--num-train-epochs", "2"))
    scorer = EssayScorer.from_pretrained(tmp_path / "m", "cpu")
    essay = "Essay 7 is good good plain."
    first, second = scorer.score([essay] * 2, ["a", "b"])
    assert 0 <= first.score <= 2 and second.score > 2
    both = scorer.score([essay] * 4, ["b", "a", "a", "b"])
    assert [score.score for score in both] == pytest.approx(
        [second.score, first.score, first.score, second.score], abs=1e-4
    )
    # Tokens alone do not tell, so it is refused.
    [encoded] = scorer.encode([essay], ["a"])
    with pytest.raises(
        ValueError, match="'[ab]' and '[ab]' cannot be told apart by their texts. Pass `prompt_indices`"
    ):
        scorer.model(torch.tensor([encoded.input_ids]), token_type_ids=torch.tensor([encoded.token_type_ids]))


def test_no_model_is_chosen_by_a_prompt_that_has_no_validation_essays(data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path / "data")
    rows = load_essay_dataset(data_dir).splits["validation"]
    shutil.rmtree(tmp_path / "data" / "validation")
    rows.filter(lambda row: row["prompt_id"] == "b").save_to_disk(str(tmp_path / "data" / "validation"))
    seal(tmp_path / "data")
    with pytest.raises(
        InputError, match="--metric-for-best-model prompt_a_qwk: no such metric. Did you mean prompt_b_qwk"
    ):
        train.main(options(tmp_path / "data", tmp_path / "m", "--metric-for-best-model", "prompt_a_qwk"))


@pytest.mark.parametrize("metric", ["mean_smd", "prompt_a_n"])
def test_no_model_is_chosen_by_what_tells_none_better(data_dir, tmp_path, metric):
    with pytest.raises(InputError, match=f"--metric-for-best-model {metric}: no such metric"):
        train.main(options(data_dir, tmp_path / "m", "--metric-for-best-model", metric))
    assert not (tmp_path / "m").exists()


def test_what_is_fitted_at_the_end_is_of_the_model_in_full_precision(data_dir, tmp_path, monkeypatch):
    """As essays will be scored: autocast stays on a model that was trained with it."""
    scored = []
    fit = run._fit_to_unseen
    monkeypatch.setattr(run, "_fit_to_unseen", lambda scorer, *args: scored.append(scorer.model) or fit(scorer, *args))
    train.main(options(data_dir, tmp_path / "m", "--num-train-epochs", "1", "--bf16", "true"))
    [model] = scored
    assert not {"forward", "_original_forward"} & set(vars(model))
    logits = model(input_ids=torch.tensor([[101, 2023, 102, 2023, 102]]), prompt_indices=torch.tensor([0])).logits
    assert logits.dtype == torch.float32
