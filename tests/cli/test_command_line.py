"""Bad input through the real command line: exit code 2, one or two lines, no traceback, nothing lost."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT, SMALL_MODEL

SCRIPTS = {"build": "build_dataset.py", "train": "train.py", "evaluate": "evaluate.py", "score": "score.py"}


def command(program, *arguments, **kwargs):
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / SCRIPTS[program]), *map(str, arguments)],
        capture_output=True, text=True, timeout=300, **kwargs,
    )  # fmt: skip


def assert_refused(run, *parts):
    assert run.returncode == 2, run.stderr[-2000:]
    assert "Traceback" not in run.stderr
    [message] = [line for line in run.stderr.splitlines() if line.startswith("trm-aes: error: ")]
    for part in parts:
        assert part in message


def snapshot(folder: Path):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def work(tmp_path, essays_csv):
    """A folder with inputs, some of them bad, and an output of an earlier day."""
    shutil.copy(essays_csv, tmp_path / "good.csv")
    (tmp_path / "unscored.csv").write_text("essay_id,essay,score\ne1,x,1\ne2,y,\n", encoding="utf-8")
    (tmp_path / "latin.csv").write_bytes("essay,score\nca\u00f1on,1\ny,2\n".encode("latin1"))
    (tmp_path / "essays.docx").write_bytes(b"PK")
    for name, text in BAD_TABLES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "folds" / "fold_0").mkdir(parents=True)
    for name, ids in (("train", "e1"), ("dev", "e2"), ("test", "e999")):
        (tmp_path / "folds" / "fold_0" / f"{name}_ids.txt").write_text(ids + "\n", encoding="utf-8")
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "result.txt").write_text("precious", encoding="utf-8")
    return tmp_path


BAD_TABLES = {
    "empty.csv": "",
    "words.csv": "essay,score\nx,1\ny,good\n",
    "nan.csv": "essay,score\nx,1\ny,NaN\n",
    "blank.csv": "essay,score\nx,1\n  ,2\n",
    "nul.csv": "essay,score\nx,1\ny\0z,2\n",
    "twice.csv": "essay_id,essay,score\na,x,1\na,y,2\n",
}

BUILDS = {
    "empty file": (["--source", "empty.csv"], "empty.csv is empty"),
    "a score that is no number": (["--source", "words.csv"], "row 2", "'good' is not a number"),
    "NaN": (["--source", "nan.csv"], "row 2", "not a finite number"),
    "empty essay": (["--source", "blank.csv"], "row 2", "the essay is empty"),
    "NUL bytes": (["--source", "nul.csv"], "NUL"),
    "duplicate ids": (["--source", "twice.csv"], "essay_id 'a' is in rows 1, 2"),
    "missing file": (["--source", "nowhere.csv"], "nowhere.csv does not exist"),
    "unknown format": (["--source", "essays.docx"], "unknown format"),
    "wrong encoding": (["--source", "latin.csv"], "byte 0xf1", "--encoding"),
    "missing column": (["--source", "good.csv", "--essay-column", "text"], "no column 'text'", "--essay-column"),
    "a row without a score": (["--source", "unscored.csv"], "row 2", "there is no score"),
    "score out of range": (["--source", "good.csv", "--score-range", "0:2"], "lie outside 0 to 2"),
    "unknown prompt": (["--source", "good.csv", "--prompt-set", "a,z"], "there is no prompt 'z'"),
    "a split left empty": (["--source", "good.csv", "--test-share", "0.001"], "split is empty"),
    "a fold id that is not there": (
        ["--source", "good.csv", "--folds", "folds", "--fold", "0"],
        "essay_id e999 is not in",
    ),
    "half an option": (["--source", "good.csv", "--fold", "0"], "--folds and --fold go together"),
    "no room": (["--source", "good.csv", "--max-tokens", "100"], "leaves no room"),
}


@pytest.mark.parametrize("case", BUILDS)
def test_build(work, case):
    arguments, *parts = BUILDS[case]
    before = snapshot(work)
    run = command("build", *arguments, "--output-dir", "out", cwd=work)
    assert_refused(run, *parts)
    assert snapshot(work) == before


def test_an_essay_of_100_000_words_is_cut_and_counted(work):
    rows = "".join(f"essay number {n},{n % 3}\n" for n in range(30))
    # What is said twice is read once, so no word is said twice.
    words = " ".join(f"word{n}" for n in range(100_000))
    (work / "long.csv").write_text(f"essay,score\n{words},1\n{rows}", encoding="utf-8")
    run = command("build", "--source", "long.csv", "--output-dir", "out", cwd=work)
    assert run.returncode == 0, run.stderr[-2000:]
    card = json.loads((work / "out" / "dataset_card.json").read_text(encoding="utf-8"))
    assert card["prompts"]["1"]["num_essays_cut"] == 1 and sum(card["num_essays"].values()) == 31


def test_build_over_an_earlier_output(work):
    before = snapshot(work)
    assert_refused(
        command("build", "--source", "demo", "--output-dir", "earlier", cwd=work), "earlier exists", "--overwrite"
    )
    assert snapshot(work) == before


def test_build_on_a_full_disk(work):
    """A limit on the size of a file stands in for a full disk."""
    assert command("build", "--source", "good.csv", "--output-dir", "out", cwd=work).returncode == 0
    before = snapshot(work)
    script = ROOT / "scripts" / "build_dataset.py"
    shell = f"ulimit -f 20; exec {sys.executable} {script} --source demo --output-dir out --overwrite"
    run = subprocess.run(["bash", "-c", shell], cwd=work, capture_output=True, text=True, timeout=300)
    assert_refused(run, "the disk is full")
    assert snapshot(work) == before


def test_train_and_evaluate(work, data_dir, model_dir):
    assert_refused(command("train", "--data", work / "none", "--output-dir", work / "m"), "none does not exist")
    assert_refused(command("train", "--data", data_dir, "--output-dir", work / "earlier"), "earlier exists")
    common = ["--data", data_dir, "--output-dir", work / "m", "--recipe", "tiny", *SMALL_MODEL]
    diverging = command("train", *common, "--learning-rate", "1e30", "--max-grad-norm", "0", "--disable-tqdm", "true")
    assert_refused(diverging, "The training loss is", "at step", "--learning-rate")

    # A data set whose tokenizer is another one's.
    other = work / "other"
    shutil.copytree(data_dir, other)
    card = json.loads((other / "dataset_card.json").read_text(encoding="utf-8"))
    card["tokenizer"]["vocabulary_sha256"] = "0" * 64
    (other / "dataset_card.json").write_text(json.dumps(card), encoding="utf-8")
    evaluation = ["--model", model_dir, "--output-dir", work / "e"]
    assert_refused(command("evaluate", *evaluation, "--data", other), "whose vocabulary is not that of")
    assert_refused(command("evaluate", *evaluation, "--data", data_dir, "--split", "dev"), "--split dev")

    # A checkpoint cut short.
    torso = work / "torso"
    shutil.copytree(model_dir, torso, ignore=shutil.ignore_patterns("checkpoint-*"))
    weights = (torso / "model.safetensors").read_bytes()
    (torso / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    assert_refused(command("evaluate", "--model", torso, "--data", data_dir, "--output-dir", work / "e"), "cut short")
    (torso / "model.safetensors").unlink()
    assert_refused(
        command("evaluate", "--model", torso, "--data", data_dir, "--output-dir", work / "e"), "cannot be loaded"
    )
    assert not (work / "e").exists()


def test_score(work, model_dir):
    (work / "unknown.csv").write_text("prompt_id,essay\na,x\nz,y\n", encoding="utf-8")
    (work / "fine.csv").write_text("prompt_id,essay\na,x\n", encoding="utf-8")
    before = snapshot(work)
    common = ["--model", model_dir, "--output", work / "scored.csv"]
    assert_refused(command("score", *common, "--input", work / "unknown.csv"), "row 2", "Unknown prompt_id 'z'")
    assert_refused(
        command("score", *common, "--input", work / "fine.csv", "--device", "cuda"), "--device cuda is absent"
    )
    assert_refused(command("score", *common, "--input", work / "fine.csv", "--batch-tokens", "0"), "--batch-tokens")
    assert_refused(command("score", *common, "--input", work / "fine.csv", "--prompt-id", "q"), "Unknown prompt_id 'q'")
    no_model = ["--model", work / "earlier", "--output", work / "scored.csv", "--input", work / "fine.csv"]
    assert_refused(command("score", *no_model), "holds no config.json")
    assert snapshot(work) == before


def test_console_command_lists_and_refuses():
    def console(*arguments):
        code = "import sys; from trm_aes.cli.main import main; sys.exit(main())"
        return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)

    listed = console("--help")
    assert listed.returncode == 0
    assert all(name in listed.stdout for name in SCRIPTS)
    assert console("dance").returncode == 2
    assert "--source" in console("build", "--help").stdout
    refused = console("build", "--source", "nowhere.csv", "--output-dir", "x")
    assert_refused(refused, "nowhere.csv does not exist")


def test_work_goes_on_when_nobody_reads_what_is_printed(tmp_path):
    (tmp_path / "e.csv").write_text("essay,score\n" + "".join(f"Essay {n} of some words.,{n % 4}\n" for n in range(40)))
    shell = (
        f"set -o pipefail; {sys.executable} {ROOT / 'scripts' / 'build_dataset.py'} --source {tmp_path / 'e.csv'} "
        f"--output-dir {tmp_path / 'built'} | true"
    )
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    run = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=300, env=environment)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "built" / "dataset_card.json").is_file()


def test_a_reader_that_stops_early_is_no_error(model_dir, tmp_path):
    rows = "".join(f"a,Essay {number}\n" for number in range(3000))
    (tmp_path / "in.csv").write_text("prompt_id,essay\n" + rows, encoding="utf-8")
    shell = (
        f"set -o pipefail; {sys.executable} {ROOT / 'scripts' / 'score.py'} --model {model_dir} "
        f"--input {tmp_path / 'in.csv'} --output - | head -n 1"
    )
    run = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=300, env={**os.environ})
    assert run.returncode == 0 and "Traceback" not in run.stderr
    assert run.stdout.startswith("prompt_id,essay,predicted_score")
