"""Programs killed at random moments (`kill -9`), then run again: what they leave is what an undisturbed run leaves."""

import json
import multiprocessing
import os
import random
import re
import shutil
import sys
import time
from pathlib import Path

import pytest
from helpers import SMALL_MODEL

from trm_aes.cli.main import main
from trm_aes.files import remove
from trm_aes.scoring import stream
from trm_aes.training.folder import unfinished_folder
from trm_aes.training.resuming import last_checkpoint

# In all, over the programs; TRM_AES_FAULTS sets another number.
MOMENTS = int(os.environ.get("TRM_AES_FAULTS", "30"))
SEED = 13
# Times, figures that a resumed run does not know whole, and checksums of files that hold such.
VOLATILE = re.compile(
    r"created|seconds|_fingerprint|files|train_metrics|total_flos|.*_runtime|.*_per_second|train_loss|grad_norm|resume_from_checkpoint|command"
)
PROGRAMS = {
    "build": ["--source", "essays.csv", "--output-dir", "OUT", "--max-tokens", "64", "--max-prompt-tokens", "8"],
    "train": ["--data", "data", "--output-dir", "OUT", "--recipe", "tiny", "--hardware", "cpu", *SMALL_MODEL,
              "--num-train-epochs", "6", "--disable-tqdm", "true"],
    "evaluate": ["--model", "model", "--data", "data", "--output-dir", "OUT"],
    "score": ["--model", "model", "--input", "essays.csv", "--output", "OUT.csv"],
}  # fmt: skip
# Imports take longer than the work, and a kill in their midst shows nothing: programs are forked after them.
FORKS = multiprocessing.get_context("forkserver")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def run_command(folder: str, words: list[str]):
    os.chdir(folder)
    sys.argv = ["trm-aes", *words]
    sys.stdout = sys.stderr = open("said.txt", "a", encoding="utf-8")  # noqa: SIM115 (the process ends soon)
    stream.WINDOW = 10
    sys.exit(main())


def start(folder: Path, words: list[str]) -> multiprocessing.process.BaseProcess:
    process = FORKS.Process(target=run_command, args=(str(folder), words))
    process.start()
    return process


@pytest.fixture(scope="module")
def work(tmp_path_factory, essays_csv, data_dir, model_dir):
    FORKS.set_forkserver_preload([__name__, "trm_aes.training.run", "trm_aes.data.dataset", "trm_aes.cli.build"])
    folder = tmp_path_factory.mktemp("faults")
    shutil.copy(essays_csv, folder / "essays.csv")
    shutil.copytree(data_dir, folder / "data")
    shutil.copytree(model_dir, folder / "model")
    return folder


def lasting(content):
    """What does not change from run to run."""
    if isinstance(content, dict):
        return {key: lasting(value) for key, value in content.items() if not VOLATILE.fullmatch(key)}
    return [lasting(value) for value in content] if isinstance(content, list) else content


def outcome(path: Path, name: str) -> dict:
    """Every file of an output by its name, with what lasts of it; of checkpoints the weights alone."""
    files = [path] if path.is_file() else [file for file in sorted(path.rglob("*")) if file.is_file()]
    found = {}
    for file in files:
        if "checkpoint-" in str(file) and file.name != "model.safetensors":
            continue
        text = file.read_bytes().replace(path.name.encode(), b"OUT")
        key = str(file.relative_to(path)).replace(name, "OUT")
        found[key] = lasting(json.loads(text)) if file.suffix == ".json" else text
    return found


def spread_moments() -> list[tuple[str, float]]:
    """Programs in turn, each with the share of its time after which it is killed."""
    generator = random.Random(SEED)
    programs = list(PROGRAMS)
    return [(programs[number % len(programs)], generator.random()) for number in range(MOMENTS)]


def test_killed_at_random_moments(work):
    expected, seconds = {}, {}
    for program, words in PROGRAMS.items():
        for _ in range(2):
            # The first run warms caches; the second is timed.
            started = time.monotonic()
            process = start(work, [program, *(word.replace("OUT", f"{program}0") for word in words), "--overwrite"])
            process.join()
            assert process.exitcode == 0, (work / "said.txt").read_text(encoding="utf-8")[-3000:]
            seconds[program] = time.monotonic() - started
        [output] = work.glob(f"{program}0*")
        expected[program] = outcome(output, output.name)
    killed = 0
    for number, (program, share) in enumerate(spread_moments(), start=1):
        name, replaces = f"{program}{number}", number // len(PROGRAMS) % 2 == 0
        words = [program, *(word.replace("OUT", name) for word in PROGRAMS[program]), "--overwrite"]
        if replaces:
            [old] = work.glob(f"{program}0*")
            copy = work / old.name.replace(f"{program}0", name)
            shutil.copytree(old, copy) if old.is_dir() else shutil.copy(old, copy)
        process = start(work, words)
        process.join(timeout=share * seconds[program])
        killed += process.is_alive()
        process.kill()
        process.join()
        output = work / (f"{name}.csv" if program == "score" else name)
        if replaces:
            # What was there before is whole, or stands aside for the next run to put back.
            assert output.exists() or output.with_name(f".{output.name}.old").exists()
        if program == "train" and last_checkpoint(unfinished_folder(output) if replaces else output):
            words += ["--resume-from-checkpoint", "last"]
        again = start(work, words)
        again.join()
        assert again.exitcode == 0, (work / "said.txt").read_text(encoding="utf-8")[-3000:]
        assert outcome(output, output.name) == expected[program], f"{program} after {share:.2f} of its time"
        assert not list(work.glob(f".*{name}*")), f"{program} after {share:.2f} of its time"
        remove(output)
    print(f"{killed} of {MOMENTS} were killed at work")
    assert killed > MOMENTS / 2
