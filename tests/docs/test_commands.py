"""Commands and snippets of the documents: those of the README and the guides run, and those of every document parse."""

import argparse
import contextlib
import csv
import importlib.util
import io
import json
import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from helpers import DOCUMENTS, ROOT, SMALL_MODEL

from trm_aes.cli.main import main as trm_aes
from trm_aes.data.sources.demo import load_demo

README = ROOT / "README.md"
RUN_DOCUMENTS = [*sorted((ROOT / "docs" / "guides").glob("*.md")), ROOT / "docs" / "metrics.md"]
# A block runs unless the line above it says why not.
BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>.+) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S)
# What is added to commands, so that they take seconds. Options given last win.
QUICK = {
    "train": [*SMALL_MODEL, "--num-train-epochs", "1", "--disable-tqdm", "true", "--hardware", "cpu"],
    "build": ["--limit-train-essays", "90"],
}
# No Hub is asked: a folder stands in for a repository.
LOCAL_MODEL = "runs/model"
REPOSITORY = "user/essay-scorer"
LAUNCHERS = ("torchrun", "accelerate")
LAUNCHER_OPTIONS = {"--nproc-per-node", "--config_file", "--num_processes", "--machine_rank", "--main_process_ip"}
# Of `ray start`.
LAUNCHER_OPTIONS |= {"--head", "--address"}


def blocks(document, *languages):
    return [found for found in BLOCK.finditer(document.read_text(encoding="utf-8")) if found["language"] in languages]


def commands(code):
    """The words of each command of a block, its variables filled in; a pipe is a word."""
    variables, found = {}, []
    for line in code.replace("\\\n", " ").splitlines():
        for name, value in variables.items():
            line = line.replace(f"${name}", value)
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|")
        lexer.whitespace_split = True
        words = list(lexer)
        assignment = re.fullmatch(r"([A-Z]+)=(.*)", words[0]) if len(words) == 1 else None
        if assignment:
            variables[assignment[1]] = assignment[2]
        elif words:
            found.append(words)
    return found


# ---- Running


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A folder as a reader of the README has it, with the tables that the guides speak of, after the README's commands."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("scripts", "trm_aes"):
        (folder / name).symlink_to(ROOT / name)
    essays = load_demo(essays_per_prompt=60).frame
    write_own_tables(folder, essays[essays["prompt_id"] == essays["prompt_id"].iloc[0]])
    write_release(folder, essays[essays["max_score"] == 4])
    with contextlib.chdir(folder):
        run_document(README)
        yield folder


def write_own_tables(folder, essays):
    own = essays.rename(columns={"essay": "text", "score": "grade"})
    own[["text", "grade"]].to_csv(folder / "essays.csv", index=False)
    own[["text", "grade"]].head(20).to_csv(folder / "few.csv", index=False)
    levels = essays["score"].map(dict(enumerate(["A1", "A2", "B1", "B2", "C1", "C2"], start=1)))
    essays[["essay"]].assign(score=levels).to_csv(folder / "cefr.csv", index=False)
    (folder / "prompts.csv").write_text("prompt_id,prompt,min_score,max_score\n1,Write about phones.,1,6\n")
    essays.head(3)[["essay"]].to_csv(folder / "new.csv", index=False)
    (folder / "essays.txt").write_text("".join(" ".join(text.split()) + "\n" for text in essays["essay"].head(2)))
    [recipe] = blocks(ROOT / "docs" / "guides" / "recipes.md", "json")
    (folder / "recipe.json").write_text(recipe["code"])


def write_release(folder, essays):
    """Essays in the form of the ASAP release, as its prompt 4 (0 to 3), and one published fold."""
    lines = ["essay_id\tessay_set\tessay\trater1_domain1\trater2_domain1\tdomain1_score"]
    for number, (text, score) in enumerate(zip(essays["essay"], essays["score"], strict=True)):
        score = int(min(score, 3))
        lines.append(f"{number}\t4\t{' '.join(text.split())}\t{score}\t{score}\t{score}")
    (folder / "training_set_rel3.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    fold = folder / "folds" / "fold_0"
    fold.mkdir(parents=True)
    for name, ids in (("train", range(36)), ("dev", range(36, 48)), ("test", range(48, 60))):
        (fold / f"{name}_ids.txt").write_text("".join(f"{number}\n" for number in ids))


def run_document(document):
    """Runs what is to be run of a document, in its order; returns how many blocks that was."""
    to_run = [block for block in blocks(document, "bash", "python") if not block["reason"]]
    for block in to_run:
        if block["language"] == "python":
            exec(compile(block["code"].replace(REPOSITORY, LOCAL_MODEL), document.name, "exec"), {})
        else:
            for words in commands(block["code"]):
                run_command(words)
    return len(to_run)


def run_command(words):
    given = b""
    if words[0] == "cat":
        _, file, pipe, *words = words
        assert pipe == "|"
        given = Path(file).read_bytes()
    assert words[0] == "trm-aes", f"a command that this test cannot run: {' '.join(words)}"
    words = [LOCAL_MODEL if before == "--model" and word == REPOSITORY else word
             for before, word in zip(["", *words], words, strict=False)]  # fmt: skip
    if "--analyze-lengths" not in words:  # Which is of all essays.
        words += QUICK.get(words[1], [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words)
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        assert trm_aes() == 0, " ".join(words)


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_readme_gives_a_scorer(workspace):
    assert {"run.json", "model.safetensors"} <= set(os.listdir("runs/model"))
    assert json.loads(Path("runs/model/evaluation-test/evaluation.json").read_text())["split"] == "test"
    assert all(1 <= int(row["rounded_score"]) <= 6 for row in rows("runs/scored.csv"))
    assert len(rows("runs/scored.csv")) == 3


@pytest.mark.parametrize("document", RUN_DOCUMENTS, ids=lambda path: path.stem)
def test_document_runs(workspace, document, capsys):
    num_run = run_document(document)
    assert num_run or document.stem in ("gpu-node", "many-machines", "onnx", "trust-and-limits", "demo")
    if document.stem == "own-essays":
        assert len(rows("runs/own-scored.csv")) == 3
        header, *scored = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("essay,", '"'))]
        columns = ["essay", "predicted_score", "rounded_score", "confidence", "supervision_steps"]
        columns += ["predicted_error", "score_low", "score_high", "advisories"]
        assert header.split(",") == columns and len(scored) == 2
    if document.stem == "few-essays":
        assert all(1 <= int(row["rounded_score"]) <= 6 for row in rows("runs/winter.csv"))
    if document.stem == "recipes":
        config = json.loads(Path("runs/own-recipe/config.json").read_text())
        assert not config.get("lexical_head") and config["prompt_registers"]


def test_a_command_that_fails_is_noticed(workspace):
    with pytest.raises(AssertionError, match="nowhere"):
        run_command(shlex.split("trm-aes build --source nowhere.csv --output-dir runs/never"))


# ---- Parsing


class _Parsed(Exception):
    """A program has got past its command line, with this parser."""


def parser_of(program, argv):
    """The parser that takes a command line; the program goes no further."""
    parse = argparse.ArgumentParser.parse_known_args

    def stop_afterwards(self, args=None, namespace=None):
        _, unknown = parse(self, args, namespace)
        assert not unknown, f"{self.prog}: no such option: {unknown}"
        raise _Parsed(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_known_args", stop_afterwards)
        try:
            program(argv)
        except _Parsed as parsed:
            return parsed.args[0]
        except SystemExit as refused:
            raise AssertionError(f"refused: {argv}") from refused
    raise AssertionError("The program parsed nothing.")


def program_named(words):
    """The program that a command starts, and its arguments; None for other programs."""
    if words[0] in LAUNCHERS:
        start = next(place for place, word in enumerate(words) if re.fullmatch(r"scripts/\w+\.py", word))
        words = ["python", *words[start:]]
    if words[0] == "trm-aes":
        return importlib.import_module(f"trm_aes.cli.{words[1]}").main, words[2:]
    if words[0] == "python" and words[1].startswith("scripts/"):
        path = ROOT / words[1]
        spec = importlib.util.spec_from_file_location(f"documented_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.main, words[2:]
    return None


def documented_commands():
    for document in DOCUMENTS:
        for block in blocks(document, "bash"):
            for words in commands(block["code"]):
                # What feeds a pipe is no program of ours.
                yield document, words[words.index("|") + 1 :] if "|" in words else words


def test_every_command_parses():
    parsed = 0
    for document, words in documented_commands():
        program = program_named(words)
        if program is None:
            assert words[0] in ("make", "pip"), f"{document.name}: unknown program in {' '.join(words)}"
            continue
        parser_of(*program)
        parsed += 1
    assert parsed > 20


def test_an_option_that_does_not_exist_is_noticed():
    with pytest.raises((AssertionError, ValueError), match="speling"):
        parser_of(*program_named(shlex.split("trm-aes evaluate --model m --data d --speling 1")))


REQUIRED = {
    "build": ["--source", "x"],
    "train": ["--data", "x", "--output-dir", "x"],
    "adapt": ["--model", "x", "--data", "x", "--output-dir", "x"],
    "evaluate": ["--model", "x", "--data", "x"],
    "report": ["--model", "x", "--data", "x"],
    "score": ["--model", "x", "--input", "x", "--output", "x"],
    "explain": ["--model", "x", "--input", "x", "--output", "x"],
    "demo": [],
    "push": ["--model", "x", "--repo-id", "x/y"],
    "states": [],
}


def test_every_option_that_the_text_names_exists():
    known = {option.replace("_", "-") for option in LAUNCHER_OPTIONS | {"--help"}}
    for name, required in REQUIRED.items():
        parser = parser_of(*program_named(["trm-aes", name, *required]))
        known |= {option.replace("_", "-") for option in parser._option_string_actions}
    named = 0
    for document in DOCUMENTS:
        text = BLOCK.sub("", document.read_text(encoding="utf-8"))
        # The lab's pages speak of the benchmarks' options as well.
        if document.parent.name == "lab" or document.name == "CHANGELOG.md":
            continue
        for code in re.findall(r"`([^`\n]+)`", text):
            for option in re.findall(r"(?<!\S)--[A-Za-z][\w-]*", code):
                assert option.replace("_", "-") in known, f"{document.name}: {option}"
                named += 1
    assert named > 30
