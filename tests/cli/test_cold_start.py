"""Help, a wrong option and a missing file are answered without the libraries that take seconds to import, and scoring needs few."""

import json
import subprocess
import sys

import pytest
from helpers import ROOT

from trm_aes.cli.main import PROGRAMS

HEAVY = (
    "torch",
    "transformers",
    "pandas",
    "pyarrow",
    "sklearn",
    "datasets",
    "accelerate",
    "gradio",
    "ray",
    "captum",
    "matplotlib",
    "scipy",
    "onnxruntime",
    "statsmodels",
    "huggingface_hub.hf_api",
    "trm_aes.data.schema",
    "trm_aes.training.trainer",
    "trm_aes.evaluation",
    "trm_aes.page",
)
# Runs a command, and prints which of them have been imported when it ends.
PROBE = f"""
import json, sys
from trm_aes.cli.main import main
sys.argv = ["trm-aes", *sys.argv[1:]]
try:
    code = main()
except SystemExit as end:
    code = end.code
print("\\n" + json.dumps([code, [name for name in {HEAVY!r} if name in sys.modules]]))
"""
SCRIPTS = {"build": "build_dataset.py", "train": "train.py", "adapt": "adapt.py", "evaluate": "evaluate.py",
           "report": "report.py", "score": "score.py", "explain": "explain.py", "demo": "demo.py",
           "push": "push_to_hub.py", "states": "states.py"}  # fmt: skip


def probe(*arguments, cwd=None):
    """Exit code, the heavy libraries that were imported, and what the command said."""
    run = subprocess.run(
        [sys.executable, "-c", PROBE, *map(str, arguments)], capture_output=True, text=True, timeout=120, cwd=cwd
    )
    assert run.returncode == 0, run.stderr[-2000:]
    code, imported = json.loads(run.stdout.splitlines()[-1])
    return code, imported, run


def assert_refused_early(*arguments, cwd=None):
    code, imported, run = probe(*arguments, cwd=cwd)
    assert code == 2 and not imported
    [line] = run.stderr.splitlines()
    assert line.startswith("trm-aes: error: ")
    return line


@pytest.mark.parametrize("command", [None, *PROGRAMS])
def test_help_imports_nothing_heavy(command):
    code, imported, run = probe(*([command] if command else []), "--help")
    assert code == 0 and not imported
    assert "usage: trm-aes" in run.stdout and not run.stderr


REQUIRED = {
    "build": ["--source", "demo"],
    "train": ["--data", "x", "--output-dir", "y"],
    "adapt": ["--model", "x", "--data", "x", "--output-dir", "y"],
    "evaluate": ["--model", "x", "--data", "x"],
    "report": ["--model", "x", "--data", "x"],
    "score": ["--model", "x", "--input", "x", "--output", "y"],
    "explain": ["--model", "x", "--input", "x", "--output", "x"],
    "push": ["--model", "x", "--repo-id", "a/b"],
    "demo": [],
    "states": [],
}


MISSPELLED = {"states": ("--claer", "--clear"), "demo": ("--prot", "--port")}


@pytest.mark.parametrize("command", PROGRAMS)
def test_a_misspelled_option_is_refused_early(command):
    wrong, right = MISSPELLED.get(command, ("--overwriet", "--overwrite"))
    line = assert_refused_early(command, *REQUIRED[command], wrong)
    assert line.endswith(f"there is no {wrong}; did you mean {right}? See trm-aes {command} --help")


BUILD = ["build", "--source", "demo", "--output-dir", "out"]
ADAPT = ["adapt", "--model", "folder", "--data", "essays.csv", "--output-dir", "out"]
REFUSED = {
    "source": (["build", "--source", "nowhere.csv", "--output-dir", "out"], "nowhere.csv does not exist"),
    "prompts": (["build", "--source", "demo", "--prompts", "no.csv", "--output-dir", "out"], "no.csv does not exist"),
    "format": (["build", "--source", "essays.docx", "--output-dir", "out"], "unknown format"),
    "folds": (
        ["build", "--source", "demo", "--folds", "none", "--fold", "3", "--output-dir", "out"],
        "--folds: none/fold_3 does not exist",
    ),
    "data": (
        ["train", "--data", "nowhere", "--output-dir", "out"],
        "nowhere does not exist. Build a data set with `trm-aes build`",
    ),
    "data in a file": (
        ["evaluate", "--model", "folder", "--data", "essays.docx"],
        "essays.docx is a file: a data set is a folder",
    ),
    "no data set": (["train", "--data", "folder", "--output-dir", "out"], "folder holds no dataset_card.json"),
    "recipe": (["train", "--data", "nowhere", "--output-dir", "out", "--recipe", "stew"], "--recipe stew"),
    "hardware": (["train", "--data", "nowhere", "--output-dir", "out", "--hardware", "abacus"], "--hardware abacus"),
    "type": (
        ["train", "--data", "nowhere", "--output-dir", "out", "--learning_rate", "low"],
        "--learning-rate: invalid",
    ),
    "bool": (["train", "--data", "x", "--output-dir", "y", "--lexical_head", "perhaps"], "neither true nor false"),
    "evaluation data": (["evaluate", "--model", "folder", "--data", "nowhere"], "nowhere does not exist"),
    "model": (
        ["evaluate", "--model", "./models/mine", "--data", "x", "--output-dir", "y"],
        "--model: ./models/mine does not exist",
    ),
    "input": (["score", "--model", "folder", "--input", "no.csv", "--output", "out.csv"], "no.csv does not exist"),
    "scorer": (["score", "--model", "/no/model", "--input", "-", "--output", "-"], "--model: /no/model does not exist"),
    "output format": (
        ["score", "--model", "folder", "--input", "-", "--output", "scores.docx"],
        "scores.docx: unknown format. Known are .csv",
    ),
    "output that is only read": (
        ["score", "--model", "folder", "--input", "-", "--output", "scores.ods"],
        "scores.ods cannot be written. Scores are written as csv, tsv, jsonl, parquet, xlsx.",
    ),
    "explanations' format": (
        ["explain", "--model", "folder", "--input", "essays.csv", "--output", "explanations.csv"],
        "explanations.csv cannot be written: explanations are one JSON object a line. Name it .jsonl.",
    ),
    "explanations' input": (
        ["explain", "--model", "folder", "--input", "-", "--output", "e.jsonl"],
        "- does not exist",
    ),
    "output that is no JSON": (
        ["score", "--model", "folder", "--input", "-", "--output", "scores.json"],
        "scores.json cannot be written: scores are written as one JSON object a line. Name it .jsonl.",
    ),
    "output compressed twice": (
        ["score", "--model", "folder", "--input", "-", "--output", "scores.parquet.gz"],
        "scores.parquet.gz cannot be written: .parquet is compressed within itself. Leave .gz out.",
    ),
    "input of Ray": (
        ["score", "--engine", "ray", "--model", "folder", "--input", "no", "--output", "out"],
        "no does not exist",
    ),
    "output of Ray": (
        ["score", "--engine", "ray", "--model", "folder", "--input", "essays.csv", "--output", "scored.csv"],
        "scored.csv cannot be written: --engine ray writes a folder of Parquet files. Name it without .csv.",
    ),
    "workers": (
        [
            "score",
            "--engine",
            "ray",
            "--model",
            "folder",
            "--input",
            "s3://b/e",
            "--output",
            "out",
            "--ray-workers",
            "0",
        ],
        "--ray-workers must be at least 1, got 0",
    ),
    "Ray's alone": (
        ["score", "--model", "folder", "--input", "-", "--output", "-", "--ray-address", "head:6379"],
        "--ray-address has no effect without --engine ray",
    ),
    "encoding": (
        ["score", "--model", "folder", "--input", "-", "--output", "-", "--encoding", "klingon"],
        "--encoding klingon: no such encoding",
    ),
    "delimiter": ([*BUILD, "--delimiter", "xx"], "--delimiter 'xx': give one character such as ; or |"),
    "occupied output": (
        ["score", "--model", "folder", "--input", "-", "--output", "essays.csv"],
        "essays.csv exists. Choose another output, or pass --overwrite to replace it.",
    ),
    "batch": (
        ["score", "--model", "folder", "--input", "-", "--output", "-", "--batch-tokens", "0"],
        "--batch-tokens must be at least 1, got 0",
    ),
    "evaluation batch": (
        ["evaluate", "--model", "folder", "--data", "x", "--batch-tokens", "-1"],
        "--batch-tokens must be at least 1, got -1",
    ),
    "occupied run": (
        ["train", "--data", "data", "--output-dir", "data"],
        "data exists. Choose another output, or pass --overwrite to replace it.",
    ),
    "no run": (
        ["train", "--data", "data", "--output-dir", "data", "--overwrite"],
        "data is not what a training run wrote, so --overwrite leaves it alone",
    ),
    "no output": (["train", "--data", "data", "--output-dir", ""], "--output-dir is needed"),
    "score range": ([*BUILD, "--score-range", "four"], "--score-range four: give LOWEST:HIGHEST or PROMPT="),
    "test share": ([*BUILD, "--test-share", "2"], "--test-share must lie between 0 and 1, got 2"),
    "shares": (
        [*BUILD, "--validation-share", "0.5", "--test-share", "0.5"],
        "--validation-share and --test-share leave nothing to train on",
    ),
    "training essays": ([*BUILD, "--limit-train-essays", "0"], "--limit-train-essays must be at least 1, got 0"),
    "prompt set": ([*BUILD, "--prompt-set", "1-99999999999"], "names more than 1,000 prompts"),
    "prompt set that goes down": ([*BUILD, "--prompt-set", "3-1"], "--prompt-set 3-1: the range 3-1 goes down"),
    "no prompt": ([*BUILD, "--prompt-set", ","], "--prompt-set names no prompt"),
    "seed": ([*BUILD, "--seed", "-1"], "--seed must lie between 0 and 4,294,967,295, got -1"),
    "tokens": ([*BUILD, "--max-tokens", "-4"], "--max-tokens must be at least 1, got -4"),
    "validation share": ([*BUILD, "--validation-share", "nan"], "--validation-share must lie in (0, 1), got nan"),
    "no model": ([*ADAPT, "--model", "user/model"], "--model: user/model does not exist"),
    "few essays": ([*ADAPT, "--data", "no.csv"], "no.csv does not exist"),
    "few essays' format": ([*ADAPT, "--data", "essays.docx"], "unknown format"),
    "few essays' range": ([*ADAPT, "--score-range", "4:0"], "--score-range 4:0: give LOWEST:HIGHEST"),
    "the model itself": ([*ADAPT, "--output-dir", "folder"], "--output-dir is the folder of --model, which is kept"),
    "no scorer": ([*ADAPT, "--output-dir", "data", "--overwrite"], "data is not what a training run wrote"),
    "occupied scorer": ([*ADAPT, "--output-dir", "data"], "data exists. Choose another output, or pass --overwrite"),
    "no quickstart": (
        ["demo"],
        "runs/quickstart/model does not exist. Run `make quickstart`, or name another scorer with --model",
    ),
    "nothing to show": (["demo", "--model", "./nowhere"], "--model: ./nowhere does not exist"),
    "port": (["demo", "--model", "folder", "--port", "65536"], "--port must lie between 1 and 65,535, got 65536"),
    "share": (["demo", "--model", "folder", "--share", "perhaps"], "--share: invalid choice: 'perhaps'"),
    "a Space of a card": (
        ["push", "--model", "folder", "--repo-id", "a/b", "--card-only", "--space", "a/c"],
        "--space has no effect with --card-only, which uploads nothing",
    ),
    "published": (["push", "--model", "nowhere", "--repo-id", "a/b"], "--model: nowhere does not exist"),
    "evaluation": (
        ["push", "--model", "folder", "--repo-id", "a/b", "--evaluation", "essays.docx"],
        "--evaluation: essays.docx is not a folder",
    ),
}


TRAIN = ["train", "--data", "data", "--output-dir", "out"]
for option, value, said in (
    ("learning-rate", "nan", "be at least 0"),
    ("learning-rate", "inf", "be at least 0"),
    ("per-device-train-batch-size", "0", "be at least 1"),
    ("per-device-eval-batch-size", "-3", "be at least 1"),
    ("gradient-accumulation-steps", "0", "be at least 1"),
    ("num-train-epochs", "0", "be above 0"),
    ("num-train-epochs", "-2", "be above 0"),
    ("max-grad-norm", "nan", "be at least 0"),
    ("weight-decay", "-1", "be at least 0"),
    ("adam-beta1", "1", "lie in [0, 1)"),
    ("warmup-steps", "-0.1", "be at least 0"),
    ("max-steps", "0", "be at least 1"),
    ("seed", "4294967296", "lie between 0 and 4,294,967,295"),
    ("early-stopping-patience", "0", "be at least 1"),
    ("dataloader-num-workers", "-1", "be at least 0"),
    ("encoder-layers", "0", "be at least 1"),
    ("num-latents", "-1", "be at least 0"),
    ("num-hidden-layers", "1000000", "lie between 1 and 1,000"),
    ("hidden-size", "800000000000", "be at most 2,147,483,647"),
    ("halting-loss-weight", "nan", "be at least 0"),
):
    REFUSED[f"{option} {value}"] = ([*TRAIN, f"--{option}", value], f"--{option} must {said}, got ")


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_early(tmp_path, case):
    (tmp_path / "folder").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset_card.json").write_text("{}", encoding="utf-8")
    (tmp_path / "essays.csv").write_text("essay\nOne.\n", encoding="utf-8")
    (tmp_path / "essays.docx").write_bytes(b"PK")
    arguments, part = REFUSED[case]
    assert part in assert_refused_early(*arguments, cwd=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "essays.csv", "essays.docx", "folder"]


@pytest.fixture(scope="module")
def of_transformers():
    """What Transformers imports by itself, which differs between its versions: to load a model and its tokenizer."""
    program = (
        "import json, sys; from transformers import AutoTokenizer, Pipeline, PreTrainedModel\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    return set(json.loads(run.stdout))


# PyArrow imports pandas, where it is, to see whether it was given a table of its.
@pytest.mark.parametrize(("output", "needed"), [("scores.csv", set()), ("scores.parquet", {"pyarrow", "pandas"})])
def test_scoring_imports_what_it_needs(of_transformers, model_dir, tmp_path, output, needed):
    """Beyond Transformers nothing heavy, but for what reads or writes the format."""
    (tmp_path / "essays.csv").write_text("essay,prompt_id\nEssay 1 is good.,a\nEssay 2 is bad.,b\n", encoding="utf-8")
    files = ["--input", tmp_path / "essays.csv", "--output", tmp_path / output]
    code, imported, run = probe("score", "--model", model_dir, *files, "--device", "cpu")
    assert code == 0, run.stderr
    assert {"torch", "transformers"} <= set(imported) and set(imported) - of_transformers <= needed


def test_one_program_under_every_name():
    """`trm-aes train`, `python -m trm_aes train` and scripts/train.py say the same."""
    for command, script in SCRIPTS.items():
        shown = [
            subprocess.run([sys.executable, *program, "--help"], capture_output=True, text=True, timeout=120)
            for program in (["-m", "trm_aes", command], [str(ROOT / "scripts" / script)])
        ]
        assert [run.returncode for run in shown] == [0, 0]
        assert shown[0].stdout == shown[1].stdout and f"usage: trm-aes {command}" in shown[0].stdout
