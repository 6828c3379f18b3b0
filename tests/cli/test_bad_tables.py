"""Tables and options that cannot be used: one clear message each, exit code 2, and everything around as it was."""

import csv
import subprocess
import sys
from unittest import mock

import pytest
from bad_inputs import assert_refused, run_command

from trm_aes.data.dataset import load_essay_dataset
from trm_aes.model.score_scale import ScoreRange
from trm_aes.scoring.scorer import EssayScorer

ESSAYS = "essay_id,essay,score\n" + "".join(f"{n},Essay {n} is {'good ' * (n % 4)}.,{n % 4}\n" for n in range(20))

BUILD = {
    "missing source": (["--source", "no.csv"], "no.csv does not exist"),
    "folder for a source": (["--source", "folder.csv"], "folder.csv is not a file"),
    "empty source": (["--source", "empty.csv"], "empty.csv is empty"),
}


@pytest.fixture
def around(tmp_path):
    """A folder with good essays and what must stay as it is."""
    (tmp_path / "essays.csv").write_text(ESSAYS, encoding="utf-8")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "folder.csv").mkdir()
    return tmp_path


@pytest.mark.parametrize("case", BUILD)
def test_build(around, case):
    words, says = BUILD[case]
    assert_refused(around, "build", "--output-dir", "out", *words, says=says)


def rejected(folder, name):
    with open(folder / f"{name}.rejected.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


BAD_ROWS = ESSAYS.replace("essay_id,essay,score\n", "essay_id,essay,score,min_score,max_score\n")
BAD_ROWS = "\n".join(f"{line},0,3" if line[:1].isdigit() else line for line in BAD_ROWS.splitlines()) + "\n"
SKIPPED = {
    # What is wrong, made of good rows -> the reason, and what is kept of the row.
    "too many cells": (
        ("Essay 3 is", "Essay 3, is"),
        "row 4, line 5: 6 fields where the header has 5",
        "3,Essay 3, is",
    ),
    "too few cells": (
        ("Essay 3 is good good good .,3,", ""),
        "row 4, line 5: 3 fields where the header has 5",
        "3,0,3",
    ),
    "text after a quote": (("Essay 3 is", '"Essay 3" is'), "row 4, line 5: text follows a quote", '3,"Essay 3" is'),
    "no number for the scale": ((".,3,0,3\n4,", ".,3,low,3\n4,"), "row 4, column 'min_score': 'low' is not", None),
    "no scale": ((".,3,0,3\n4,", ".,3,3,3\n4,"), "row 4, columns min_score, max_score: 3 is not above 3", None),
}


@pytest.mark.parametrize("case", SKIPPED)
def test_rows_that_cannot_be_split_or_have_no_scale_are_set_aside(tmp_path, case):
    (old, new), reason, text = SKIPPED[case]
    assert BAD_ROWS.count(old) == 1
    (tmp_path / "bad.csv").write_text(BAD_ROWS.replace(old, new), encoding="utf-8")
    assert_refused(tmp_path, "build", "--source", "bad.csv", "--output-dir", "out", says=reason)
    code, output, said = run_command(
        tmp_path, "build", "--source", "bad.csv", "--output-dir", "out", "--on-error", "skip"
    )
    assert code == 0, said
    assert "Read 20 rows of bad.csv." in output and "bad.csv: 19 essays" in output
    [row] = rejected(tmp_path, "out")
    assert reason in row["reason"]
    if text is None:
        assert row["essay"].startswith("Essay 3 is")
    else:
        assert row["unread_row"].startswith(text) and "\n" not in row["unread_row"]
    # Those after it keep their numbers.
    ids = {row["essay_id"] for split in load_essay_dataset(tmp_path / "out").splits.values() for row in split}
    assert ids == {str(n) for n in range(20)} - {"3"}


def test_lengths_say_how_many_rows_they_leave_out(tmp_path):
    (tmp_path / "bad.csv").write_text(BAD_ROWS.replace("Essay 3 is", "Essay 3, is"), encoding="utf-8")
    words = ["build", "--source", "bad.csv", "--analyze-lengths"]
    assert_refused(tmp_path, *words, says="6 fields")
    code, output, _ = run_command(tmp_path, *words, "--on-error", "skip")
    assert code == 0 and "1 rows cannot be used, and are not among these. The first: bad.csv, row 4" in output


def test_scoring_sets_rows_aside_that_cannot_be_split_and_speaks_of_options(tmp_path, model_dir):
    lines = ['{"prompt_id": "a", "essay": "One."}', "{oops", '{"prompt_id": "z", "essay": "Two."}']
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = ["score", "--model", model_dir, "--input", "in.jsonl", "--output", "out.csv"]
    assert_refused(tmp_path, *words, says="in.jsonl, row 2, line 2: not JSON")
    code, _, said = run_command(tmp_path, *words, "--on-error", "skip")
    assert code == 0 and "Read 3 rows of in.jsonl. Scored 1 essays" in said
    broken, unknown = rejected(tmp_path, "out.csv")
    assert broken["unread_row"] == "{oops" and "row 2, line 2: not JSON" in broken["reason"]
    assert "row 3: Unknown prompt_id 'z'" in unknown["reason"] and "with --unknown-prompt." in unknown["reason"]
    (tmp_path / "in.jsonl").write_text("oops\n", encoding="utf-8")
    words[-1] = "none.csv"
    assert_refused(tmp_path, *words, "--on-error", "skip", says="no row can be used. The first: in.jsonl, row 1")


def test_what_parquet_cannot_hold_is_said_before_anything_is_scored(tmp_path, model_dir):
    lines = ['{"prompt_id": "a", "essay": "One.", "x": 1}', '{"prompt_id": "a", "essay": "Two.", "x": "y"}']
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = ["score", "--model", model_dir, "--input", "in.jsonl", "--output", "out.parquet"]
    with mock.patch.object(EssayScorer, "score_encoded", side_effect=AssertionError("scored")):
        assert_refused(tmp_path, *words, says="column 'x': it holds values of several types")


BUILD_OPTIONS = {
    "one file for two splits": (["--validation-source", "./essays.csv"], "essays.csv is given for several splits"),
    "an empty name": (["--essay-column", ""], "--essay-column is needed, or must be left out: its value is empty"),
    "an empty file": (["--prompts", ""], "--prompts is needed, or must be left out"),
    "a codec that is none for files": (["--encoding", "punycode"], "--encoding punycode: no such encoding"),
    "a made-up corpus with an encoding": (["--source", "demo", "--encoding", "utf-8"], "--encoding has no effect"),
    "a made-up corpus with replacement": (
        ["--source", "demo", "--encoding-errors", "replace"],
        "--encoding-errors has no effect",
    ),
    "a sheet of the Hub": (["--source", "hub:user/name", "--sheet", "x"], "--sheet has no effect"),
    "no revision": (["--source", "hub:user/name@"], "hub:user/name@: give the name of a data set"),
    "a revision that is not there": (["--source", "hub:user/name@v1"], "user/name at v1 cannot be downloaded"),
}


@pytest.mark.parametrize("case", BUILD_OPTIONS)
def test_options_without_effect(around, case):
    words, says = BUILD_OPTIONS[case]
    assert_refused(around, "build", "--source", "essays.csv", "--output-dir", "out", *words, says=says)


@pytest.mark.parametrize(
    ("cell", "advice"),
    [("6,5", "Write it with a point"), ("67%", "without a sign"), ("B2", "with --score-labels")],
)
def test_what_is_nearly_a_number(around, cell, advice):
    (around / "essays.csv").write_text(ESSAYS.replace(",0\n", f',"{cell}"\n', 1), encoding="utf-8")
    words = ["build", "--source", "essays.csv", "--output-dir", "out"]
    assert advice in assert_refused(around, *words, says=f"row 1, column 'score': '{cell}' is not a number")


def test_scales_may_begin_below_zero(around):
    table = "essay,score\n" + "".join(f"Essay {n}.,{n % 7 - 3}\n" for n in range(40))
    (around / "essays.csv").write_text(table, encoding="utf-8")
    code, output, said = run_command(
        around, "build", "--source", "essays.csv", "--output-dir", "out", "--score-range", "-3:3"
    )
    assert code == 0, said
    assert "-3 to 3" in output and load_essay_dataset(around / "out").score_ranges == {"1": ScoreRange(-3, 3)}


def test_scores_that_would_go_nowhere_are_not_computed(around, model_dir):
    program = f"exec {sys.executable} -m trm_aes score --model {model_dir} --input essays.csv --output - >&-"
    run = subprocess.run(["sh", "-c", program], cwd=around, capture_output=True, text=True, timeout=120)
    assert run.returncode == 2 and "--output -: standard output is closed" in run.stderr


def test_a_repository_cannot_have_such_an_id(around, model_dir):
    words = ["push", "--model", model_dir, "--repo-id", "a/b/c", "--card-only"]
    assert_refused(around, *words, says="--repo-id a/b/c: ")


@pytest.mark.parametrize(
    "words", [["push", "--repo-id", "a/b"], ["adapt", "--data", "essays.csv", "--output-dir", "out"]]
)
def test_an_empty_word_is_not_the_working_folder(around, words):
    assert_refused(around, *words, "--model", "", says="--model is needed, or must be left out: its value is empty")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--do-train", "false"], "--do-train False: in the training of a scorer it is always True"),
        (["--prediction-loss-only", "true"], "--prediction-loss-only True"),
        (["--remove-unused-columns", "true"], "--remove-unused-columns True"),
        (["--label-names", "x"], "--label-names ['x']"),
        (["--hub-token", "x"], "--hub-token has no effect without --push-to-hub true"),
    ],
)
def test_options_of_transformers_that_leave_no_choice(around, data_dir, words, says):
    words = ["train", "--data", data_dir, "--recipe", "tiny", "--hardware", "cpu", "--output-dir", "out", *words]
    assert_refused(around, *words, says=says)
