"""Files and folders that cannot be used: one clear message each, exit code 2, and everything around as it was."""

import json
import os
import shutil

import pytest
import torch
from bad_inputs import assert_refused, run_command
from helpers import SMALL_MODEL
from safetensors.torch import load_file, save_file

from trm_aes.training.folder import checkpoints
from trm_aes.training.resuming import last_checkpoint

ESSAYS = "essay_id,prompt_id,essay,score\n" + "".join(
    f"{n},a,Essay {n} is {'good ' * (n % 4)}.,{n % 4}\n" for n in range(20)
)
# As many letters as no file system takes.
TOO_LONG = "x" * 300 + ".csv"
SCORE = ["score", "--model", "model", "--input", "essays.csv", "--output", "out.csv"]
EVALUATE = ["evaluate", "--model", "model", "--data", "data", "--output-dir", "out"]
TRAIN = ["train", "--data", "data", "--output-dir", "out", "--recipe", "tiny", "--hardware", "cpu", *SMALL_MODEL]
RESUME = ["train", "--data", "data", "--output-dir", "model", "--recipe", "tiny", "--hardware", "cpu", *SMALL_MODEL,
          "--per-device-train-batch-size", "4", "--num-train-epochs", "13", "--resume-from-checkpoint", "last"]  # fmt: skip
BUILD = ["build", "--source", "essays.csv", "--output-dir", "out"]
ADAPT = ["adapt", "--model", "model", "--data", "essays.csv", "--prompt-id", "new", "--score-range", "0:3",
         "--output-dir", "out"]  # fmt: skip
CARD = ["push", "--model", "model", "--repo-id", "a/b", "--card-only"]


@pytest.fixture(scope="module")
def good(tmp_path_factory, model_dir, data_dir):
    """A folder with a scorer, its data set and essays, all good."""
    folder = tmp_path_factory.mktemp("good")
    shutil.copytree(model_dir, folder / "model")
    for checkpoint in checkpoints(folder / "model")[:-1]:
        shutil.rmtree(checkpoint)
    shutil.copytree(data_dir, folder / "data")
    assert run_command(folder, "evaluate", "--model", "model", "--data", "data")[0] == 0
    (folder / "essays.csv").write_text(ESSAYS, encoding="utf-8")
    (folder / "empty.csv").touch()
    (folder / "folder.csv").mkdir()
    (folder / "foreign").mkdir()
    (folder / "foreign" / "thesis.txt").write_text("precious", encoding="utf-8")
    (folder / "foreign" / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    (folder / "foreign" / "report.json").write_text("{}", encoding="utf-8")
    return folder


@pytest.fixture
def around(good, tmp_path):
    """A copy of it, to be damaged; with what cannot be copied. It goes at once: a hundred copies would fill a disk."""
    shutil.copytree(good, tmp_path / "work")
    os.mkfifo(tmp_path / "work" / "pipe.csv")
    (tmp_path / "work" / "loop.csv").symlink_to("loop.csv")
    (tmp_path / "work" / "loop").symlink_to("loop")
    yield tmp_path / "work"
    shutil.rmtree(tmp_path / "work")


def option(words, name, value):
    """The words with another value of an option, or with the option."""
    if name not in words:
        return [*words, name, value]
    place = words.index(name) + 1
    return [*words[:place], value, *words[place + 1 :]]


PATHS = {
    "missing input": (option(SCORE, "--input", "no.csv"), "no.csv does not exist"),
    "input is a folder": (option(SCORE, "--input", "folder.csv"), "folder.csv is not a file"),
    "input is a pipe": (option(SCORE, "--input", "pipe.csv"), "pipe.csv is not a file"),
    "input is a loop": (option(SCORE, "--input", "loop.csv"), "loop.csv"),
    "input is empty": (option(SCORE, "--input", "empty.csv"), "empty.csv is empty"),
    "input's name is too long": (option(SCORE, "--input", TOO_LONG), "File name too long"),
    "input in a file": (option(SCORE, "--input", "essays.csv/x.csv"), "essays.csv/x.csv"),
    "output's name is too long": (option(SCORE, "--output", TOO_LONG), "File name too long"),
    "output is a folder": (option(SCORE, "--output", "folder.csv"), "folder.csv is a folder"),
    "output is a folder, overwritten": (
        [*option(SCORE, "--output", "folder.csv"), "--overwrite"],
        "folder.csv is a folder",
    ),
    "output is a pipe": ([*option(SCORE, "--output", "pipe.csv"), "--overwrite"], "pipe.csv is a pipe"),
    "output is a loop": ([*option(SCORE, "--output", "loop.csv"), "--overwrite"], "loop.csv"),
    "output is the input": ([*option(SCORE, "--output", "essays.csv"), "--overwrite"], "--input essays.csv is in"),
    "output in a file": (option(SCORE, "--output", "essays.csv/x.csv"), "essays.csv"),
    "output where nobody may write": (option(SCORE, "--output", "/proc/out.csv"), "/proc/"),
    "output folder in a file": (option(EVALUATE, "--output-dir", "essays.csv/out"), "essays.csv"),
    "output folder is a file": ([*option(EVALUATE, "--output-dir", "essays.csv"), "--overwrite"], "is a file"),
    "output folder is a loop": (option(EVALUATE, "--output-dir", "loop"), "loop"),
    "output folder's name is too long": (option(BUILD, "--output-dir", TOO_LONG), "File name too long"),
    "model is a file": (option(SCORE, "--model", "./essays.csv"), "essays.csv is not a folder"),
    "model is a loop": (option(SCORE, "--model", "./loop"), "loop"),
    "model is a data set": (option(SCORE, "--model", "data"), "data holds no config.json"),
    "data is a file": (option(EVALUATE, "--data", "essays.csv"), "essays.csv is a file: a data set is a folder"),
    "data is a model": (option(EVALUATE, "--data", "model"), "model holds no dataset_card.json"),
    "no such split": (option(EVALUATE, "--split", "exam"), "--split exam"),
    "source is a folder": (option(BUILD, "--source", "folder.csv"), "folder.csv is not a file"),
    "source is a loop": (option(BUILD, "--source", "loop.csv"), "loop.csv"),
    "foreign folder, build": ([*option(BUILD, "--output-dir", "foreign"), "--overwrite"], "foreign is not what"),
    "foreign folder, evaluate": ([*option(EVALUATE, "--output-dir", "foreign"), "--overwrite"], "foreign is not what"),
    "foreign folder, train": ([*option(TRAIN, "--output-dir", "foreign"), "--overwrite"], "foreign is not what"),
    "foreign folder, adapt": ([*option(ADAPT, "--output-dir", "foreign"), "--overwrite"], "foreign is not what"),
    "model for a data set": ([*option(BUILD, "--output-dir", "model"), "--overwrite"], "model is not what"),
    "data set for a model": ([*option(TRAIN, "--output-dir", "data"), "--overwrite"], "data is not what"),
    "evaluation over its model": ([*option(EVALUATE, "--output-dir", "model"), "--overwrite"], "model is not what"),
    "resumed from nothing": (option(TRAIN, "--resume-from-checkpoint", "last"), "holds no checkpoint"),
    "resumed from a file": (option(TRAIN, "--resume-from-checkpoint", "essays.csv"), "not a whole checkpoint"),
    "no such metric": (
        option(TRAIN, "--metric-for-best-model", "mean_qkw"),
        "--metric-for-best-model mean_qkw: no such metric. Did you mean mean_qwk?",
    ),
    "no such tracker": (option(TRAIN, "--report-to", "banana"), "--report-to banana: no such tracker"),
}


@pytest.mark.parametrize("case", PATHS)
def test_paths(around, case):
    words, says = PATHS[case]
    assert_refused(around, *words, says=says)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def changed(**values):
    """A change of some keys of a JSON file."""

    def change(path):
        path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")

    return change


def holding(content):
    def change(path):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def removed(path):
    path.unlink()


def as_folder(path):
    path.unlink()
    path.mkdir()


def poisoned(path):
    weights = load_file(path)
    save_file({name: torch.full_like(value, float("nan")) for name, value in weights.items()}, path, {"format": "pt"})


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


DAMAGES = {
    "cut": cut, "empty": holding(""), "list": holding("[]"), "null": holding("null"), "text": holding('"x"'),
    "bytes": holding(b"\xff\xfe\x00\x9c"), "deep": holding("[" * 100_000), "folder": as_folder,
}  # fmt: skip
CUSTOM_CODE = {"auto_map": {"AutoTokenizer": ["code.MyTokenizer", None]}, "tokenizer_class": "MyTokenizer"}
MODEL_FILES = {
    **{f"config.json {name}": ("config.json", damage) for name, damage in DAMAGES.items()},
    "config.json missing": ("config.json", removed),
    "config.json, text for a number": ("config.json", changed(hidden_size="32")),
    "config.json, list for a number": ("config.json", changed(H_cycles=[2])),
    "config.json, another size": ("config.json", changed(intermediate_size=64)),
    "config.json, infinite range": ("config.json", changed(score_ranges={"a": [0, float("inf")]})),
    "config.json, range that is no number": ("config.json", changed(score_ranges={"a": [float("nan"), 3]})),
    "config.json, ranges of text": ("config.json", changed(score_ranges={"a": ["0", "3"]})),
    "config.json, ranges as a list": ("config.json", changed(score_ranges=[0, 3])),
    "config.json, range of one": ("config.json", changed(score_ranges={"a": [0]})),
    "config.json, no ranges": ("config.json", changed(score_ranges=None)),
    **{f"weights {name}": ("model.safetensors", DAMAGES[name]) for name in ("cut", "empty", "bytes", "folder")},
    "weights missing": ("model.safetensors", removed),
    "weights that are no numbers": ("model.safetensors", poisoned),
    **{f"tokenizer.json {name}": ("tokenizer.json", damage) for name, damage in DAMAGES.items()},
    "tokenizer.json missing": ("tokenizer.json", removed),
    **{
        f"tokenizer_config.json {name}": ("tokenizer_config.json", DAMAGES[name])
        for name in ("cut", "list", "null", "text", "bytes", "deep")
    },
    "custom code": ("tokenizer_config.json", changed(**CUSTOM_CODE)),
}


@pytest.mark.parametrize("case", MODEL_FILES)
def test_damaged_scorers(around, case, monkeypatch):
    name, damage = MODEL_FILES[case]
    damage(around / "model" / name)
    # Nobody is asked anything.
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked a question"))
    assert_refused(around, *SCORE)


DATA_FILES = {
    **{f"card {name}": ("dataset_card.json", damage) for name, damage in DAMAGES.items()},
    "card, prompts as a list": ("dataset_card.json", changed(prompts=[])),
    "card, prompt without a range": ("dataset_card.json", changed(prompts={"a": {"text": "x"}})),
    "card, infinite range": (
        "dataset_card.json",
        changed(prompts={"a": {"text": "x", "min_score": 0, "max_score": float("inf")}}),
    ),
    "card, limits of text": ("dataset_card.json", changed(token_limits={"max_tokens": "64"})),
    "essays flipped": ("test/data-00000-of-00001.arrow", flipped),
    "essays cut": ("train/data-00000-of-00001.arrow", cut),
    "essays missing": ("test/data-00000-of-00001.arrow", removed),
    "state damaged": ("train/state.json", holding("{}")),
    "splits damaged": ("dataset_dict.json", holding("[]")),
    "tokenizer damaged": ("tokenizer/tokenizer.json", cut),
}


@pytest.mark.parametrize("case", DATA_FILES)
def test_damaged_data_sets(around, case):
    name, damage = DATA_FILES[case]
    damage(around / "data" / name)
    assert_refused(around, *EVALUATE)
    if case.startswith(("essays", "card, ")):
        assert_refused(around, *TRAIN)


CHECKPOINT_FILES = {
    **{f"state {name}": ("trainer_state.json", DAMAGES[name]) for name in ("cut", "list", "null", "bytes", "deep")},
    "state, text for a number": ("trainer_state.json", changed(global_step="12")),
    "state, nothing in it": ("trainer_state.json", holding("{}")),
    "no optimizer": ("optimizer.pt", removed),
    "optimizer flipped": ("optimizer.pt", flipped),
    "no schedule": ("scheduler.pt", removed),
    "no random state": ("rng_state.pth", removed),
    "random state damaged": ("rng_state.pth", holding(b"\x80\x04.")),
    "no weights": ("model.safetensors", removed),
    "weights cut": ("model.safetensors", cut),
    "average damaged": ("weight_average.json", holding("[]")),
}


@pytest.mark.parametrize("case", CHECKPOINT_FILES)
def test_damaged_checkpoints(around, case):
    name, damage = CHECKPOINT_FILES[case]
    damage(last_checkpoint(around / "model") / name)
    assert_refused(around, *RESUME, says="holds no file" if damage is removed else name)


def test_without_damage_they_go_on(around):
    """What the tests above and below run fails for the damage alone."""
    for words in (RESUME, ADAPT, CARD):
        code, _, said = run_command(around, *words)
        assert code == 0, said


RECORDS = {
    **{f"run.json {name}": ("run.json", damage) for name, damage in DAMAGES.items()},
    "run.json missing": ("run.json", removed),
    "run.json, text for a number": ("run.json", changed(seconds="long")),
    "run.json, list for an object": ("run.json", changed(data=[])),
    "run.json, of tomorrow": ("run.json", changed(format_version=99)),
    **{f"evaluation {name}": ("evaluation-test/evaluation.json", DAMAGES[name]) for name in ("cut", "list", "bytes")},
    "evaluation, list for an object": ("evaluation-test/evaluation.json", changed(by_prompt=[])),
    "configuration damaged": ("config.json", holding("[]")),
}


@pytest.mark.parametrize("case", RECORDS)
def test_damaged_records(around, case):
    name, damage = RECORDS[case]
    damage(around / "model" / name)
    assert_refused(around, *CARD)
    if name == "run.json":
        assert_refused(around, *ADAPT, says="run.json")
