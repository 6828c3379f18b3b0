"""`trm-aes build`: what is named must be there, what is taken for what is said, and splits are as the user has them."""

import csv

import pandas as pd
import pytest
from building import LEVELS, assert_refused, essays, rows_of, run, write

from trm_aes.cli import build
from trm_aes.data.dataset import load_essay_dataset
from trm_aes.errors import InputError

# ---- What is named must be there


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--prompt-id-column", "task"],
            "has no column 'task'; it has essay, .*Did you mean 'Task'.*--prompt-id-column",
        ),
        (["--essay-id-column", "id"], "has no column 'id'; .*Name the right one with --essay-id-column"),
        (["--essay-id-column", "essay_id"], "has no column 'essay_id'"),
        (["--prompt-column", "prompt"], "has no column 'prompt'"),
        (["--min-score-column", "low"], "has no column 'low'.* --min-score-column"),
        (["--split-column", "fold"], "has no column 'fold'.* --split-column"),
        (["--rater-columns", "human1,human3"], "has no column 'human3'; .*Did you mean 'human[12]'.*--rater-columns"),
        (["--trait-column", "style=1:6"], "has no column 'style'.* --trait-column"),
        (["--trait-column", "1:6"], "--trait-column: give COLUMN=LOWEST:HIGHEST"),
        (["--trait-column", "human1=2:3"], "row 1, column 'human1': 0 is not on the scale 2 to 3"),
        (["--group-columns", "sex"], "has no column 'sex'.* --group-columns"),
        (["--group-columns", ","], "--group-columns names nothing"),
        (["--rater-columns", "human1,human1"], "--rater-columns human1,human1: a name stands twice"),
        (["--rater-columns", "Task"], "row 1, column 'Task': 'b' is not a number"),
        (["--prompt-column", "Task", "--prompt-id-column", "Task"], "column 'Task' cannot be read as two things"),
        (["--score-range", "c=0:4"], "--score-range: .* has no prompt 'c'; it has 1"),
        (["--prompt-set", "2"], "there is no prompt '2'; there are 1"),
        (["--folds", ".", "--fold", "3"], "fold_3"),
        (["--test-source", "nowhere.csv"], "nowhere.csv does not exist"),
        (["--no-prompts", "--prompt-id-column", "Task"], "--prompt-id-column has no effect with --no-prompts"),
        (["--no-prompts", "--prompt-set", "1"], "--prompt-set has no effect with --no-prompts"),
        (["--analyze-lengths"], "--output-dir has no effect with --analyze-lengths"),
    ],
)
def test_what_is_named_and_is_not_there_is_refused(tmp_path, options, message):
    table = essays(Task=lambda n: "ab"[n % 2 - 1], human1=lambda n: n % 4, human2=lambda n: n % 4)
    assert_refused(tmp_path, message, "--source", write(tmp_path / "e.csv", table), *options)


@pytest.mark.parametrize("options", [["--score-column", "x"], ["--no-prompts"], ["--score-range", "1:4"]])
def test_options_of_tables_have_no_effect_on_the_demo_corpus(tmp_path, options):
    assert_refused(tmp_path, f"^{options[0]} has no effect with --source demo", "--source", "demo", *options)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ("prompt_id,prompt\n1.0,Why?\n2,How?\n", "--prompts has a prompt '1.0' where .* has '1': write them alike"),
        ("prompt_id,prompt\n01,Why?\n2,How?\n", "--prompts has a prompt '01' where"),
        ("prompt_id,prompt\n7,Why?\n", "--prompts has no prompt of .*, which has 1, 2; it has 7."),
        (
            "prompt_id,prompt,max_score\n1,Why?,10\n",
            "has a column 'max_score', but a scale is told by both 'min_score' and 'max_score'",
        ),
        ("prompt_ID,prompt\n1,Why?\n", "has no column 'prompt_id'; it has prompt_ID, prompt. Did you mean 'prompt_ID'"),
    ],
)
def test_a_table_of_prompts_must_be_of_these_prompts(tmp_path, prompts, message):
    source = write(tmp_path / "e.csv", essays(prompt_id=lambda n: n % 2 + 1))
    (tmp_path / "p.csv").write_text(prompts, encoding="utf-8")
    assert_refused(tmp_path, message, "--source", source, "--prompts", tmp_path / "p.csv")


def test_a_table_of_prompts_may_hold_more(tmp_path, capsys):
    (tmp_path / "p.csv").write_text(
        "prompt_id,prompt,min_score,max_score\n1,Why?,0,10\n9,What?,0,4\n", encoding="utf-8"
    )
    source = write(tmp_path / "e.csv", essays(prompt_id=lambda n: n % 2 + 1))
    data = run(tmp_path, "--source", source, "--prompts", tmp_path / "p.csv")
    assert (data.score_ranges["1"].max_score, data.score_ranges["2"].max_score) == (10, 3)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines if line.startswith(("1 ", "2 "))] == [
        ["1", "0", "to", "10", "table", "of", "prompts", "18", "6", "6", "table", "of", "prompts"],
        ["2", "1", "to", "3", "scores", "seen", "18", "6", "6", "none"],
    ]


def test_half_a_range_is_refused_unless_the_range_is_given(tmp_path):
    source = write(tmp_path / "e.csv", essays(max_score=lambda n: 10))
    assert_refused(tmp_path, "has a column 'max_score', but a scale is told by both", "--source", source)
    assert run(tmp_path, "--source", source, "--score-range", "0:10").score_ranges["1"].max_score == 10


# ---- The release


def write_release(path):
    """Prompts 1 and 2; prompt 2 has a second domain, whose scores are 1 to 4."""
    lines = [
        "essay_id\tessay_set\tessay\trater1_domain1\trater2_domain1\tdomain1_score\trater1_domain2\trater2_domain2\tdomain2_score"
    ]
    for n in range(120):
        first = f"{n}\t{n % 2 + 1}\tEssay {n} is {LEVELS[n // 2 % 4]}.\t2\t{n // 2 % 4 + 1}\t{n // 2 % 4 + 2}"
        second = f"{n // 2 % 4 + 1}\t{n // 2 % 4 + 1}\t{n // 2 % 4 + 1}" if n % 2 else "\t\t"
        lines.append(f"{first}\t{second}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_options_of_tables_are_honored_on_the_release(tmp_path, capsys):
    source = write_release(tmp_path / "training_set_rel3.tsv")
    data = run(tmp_path, "--source", source, "--score-column", "domain2_score", "--score-range", "1:4")
    rows = rows_of(data)
    assert list(data.score_ranges) == ["2"] and len(rows) == 60
    assert (data.score_ranges["2"].min_score, data.score_ranges["2"].max_score) == (1, 4)
    assert rows["score"].isin([1, 2, 3, 4]).all() and (rows["rater1"] == rows["score"]).all()
    printed = capsys.readouterr().out
    assert "Left out, since they have no domain2_score: prompts 1." in printed and "column 'domain2_score'" in printed
    # Published folds hold the essays of all prompts.
    (tmp_path / "folds" / "fold_0").mkdir(parents=True)
    for name, ids in (("train", range(80)), ("dev", range(80, 100)), ("test", range(100, 120))):
        (tmp_path / "folds" / "fold_0" / f"{name}_ids.txt").write_text("\n".join(map(str, ids)), encoding="utf-8")
    folds = ["--folds", tmp_path / "folds", "--fold", "0", "--overwrite"]
    data = run(tmp_path, "--source", source, "--score-column", "domain2_score", "--score-range", "1:4", *folds)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 40, "validation": 10, "test": 10}
    assert "60 essays of these folds are left out" in capsys.readouterr().out


def test_the_release_as_it_is(tmp_path):
    source = write_release(tmp_path / "training_set_rel3.tsv")
    data = run(tmp_path, "--source", source)
    assert [(r.min_score, r.max_score) for r in data.score_ranges.values()] == [(2, 12), (1, 6)]
    assert data.rater_columns == ("rater1", "rater2")
    (tmp_path / "p.csv").write_text("prompt_id,prompt\n9,Why?\n", encoding="utf-8")
    more = ["--source", source, "--overwrite"]
    assert_refused(tmp_path, "--prompts has no prompt of", *more, "--prompts", tmp_path / "p.csv")
    assert_refused(
        tmp_path, "has no column 'domain3_score'; .*'domain2_score'", *more, "--score-column", "domain3_score"
    )


# ---- Said before anything is written


def test_what_was_taken_for_what_is_said_before_anything_is_written(tmp_path, capsys, monkeypatch):
    table = essays(Rater=lambda n: n % 4, region=lambda n: "NS"[n % 2], note=lambda n: "x")
    source = write(tmp_path / "e.csv", table.rename(columns={"essay": "text"}))

    def fail(*args, **kwargs):
        raise InputError("not today")

    monkeypatch.setattr("trm_aes.data.dataset.build_dataset", fail)
    options = [
        "--essay-column",
        "text",
        "--rater-columns",
        "Rater",
        "--group-columns",
        "region",
        "--score-range",
        "0:5",
    ]
    with pytest.raises(InputError, match="not today"):
        run(tmp_path, "--source", source, *options)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        f"Read 60 rows of {source}.",
        f"{source}: 60 essays",
        "essay column 'text'",
        "score column 'score'",
        "essay_id rows are numbered",
        "prompt_id all essays are one task",
        "raters columns 'Rater'",
        "groups columns 'region'",
        "splits drawn: 0.2 validate, 0.2 test",
        "Columns that ride along: note.",
        "prompt scale from train valid. test text from",
        "1 0 to 5 given 36 12 12 none",
        "all 36 12 12",
    ]


def test_a_column_that_happens_to_be_called_prompt(tmp_path, capsys):
    source = write(tmp_path / "e.csv", essays(120, prompt=lambda n: f"Topic {n // 40}"))
    run(tmp_path, "--source", source)
    printed = capsys.readouterr().out
    assert "Warning: 3 of 3 prompts have fewer than 30 training essays: 1 (2" in printed
    assert "Each text of column 'prompt' is a prompt; if it holds no tasks, --no-prompts reads all essays" in printed
    many = write(tmp_path / "many.csv", essays(120, prompt=lambda n: f"Topic {n % 90}"))
    message = (
        r"of 90 prompts have no training essays: .* --prompt-set, .*'prompt' is a prompt; .*--no-prompts reads all"
    )
    options = ["--score-range", "0:3", "--overwrite"]
    assert_refused(tmp_path, message, "--source", many, *options)
    data = run(tmp_path, "--source", many, "--no-prompts", *options)
    assert list(data.score_ranges) == ["1"] and data.prompt_texts == {"1": "Prompt 1"}


# ---- Values beside the score


def test_values_are_read_and_all_else_stays_as_it_is(tmp_path):
    table = essays(
        human1=lambda n: n % 4, human2=lambda n: "" if n == 3 else n % 4, organization=lambda n: n % 6 + 1,
        region=lambda n: f"0{n % 2}", code=lambda n: f"{n:05}", odd=lambda n: "2E3",
    )  # fmt: skip
    source = write(tmp_path / "e.csv", table)
    options = ["--rater-columns", "human1,human2", "--trait-column", "organization=1:6", "--group-columns", "region"]
    data = run(tmp_path, "--source", source, *options)
    rows = rows_of(data).sort_values("code").reset_index()
    assert data.rater_columns == ("human1", "human2")
    assert data.card["values"] == {
        "raters": ["human1", "human2"],
        "traits": {"organization": {"1": {"min_score": 1, "max_score": 6, "step": 1, "labels": []}}},
        "groups": ["region"],
    }
    assert rows["human2"].isna().sum() == 1 and rows["organization"].dtype == float
    assert list(rows["code"]) == list(table["code"]) and list(rows["region"]) == list(table["region"])
    assert set(rows["odd"]) == {"2E3"}


# ---- Splits


NAMES = ["train", "Training", "TRAIN", "dev", "val", "test", "held-out"]


def test_a_column_says_which_essays_are_in_which_split(tmp_path, capsys):
    table = essays(70, split=lambda n: NAMES[n % 7])
    data = run(tmp_path, "--source", write(tmp_path / "e.csv", table))
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 30, "validation": 20, "test": 20}
    assert set(data.splits["validation"]["essay_id"]) == {str(n + 1) for n in range(70) if n % 7 in (3, 4)}
    assert "splits the source's own" in " ".join(capsys.readouterr().out.split())
    # Shares that are given draw; a column that is named wins over no share.
    more = ["--source", tmp_path / "e.csv", "--overwrite"]
    drawn = run(tmp_path, *more, "--test-share", "0.2", "--validation-share", "0.1")
    assert {name: len(split) for name, split in drawn.splits.items()} == {"train": 49, "validation": 7, "test": 14}
    named = ["--split-column", "split"]
    assert_refused(tmp_path, "--test-share has no effect with --split-column", *more, *named, "--test-share", "0.2")
    assert_refused(tmp_path, "--validation-share has no effect", *more, *named, "--validation-share", "0.2")


def test_splits_that_are_called_by_other_names_are_refused(tmp_path):
    source = write(tmp_path / "e.csv", essays(split=lambda n: "train" if n else "tset"))
    assert_refused(
        tmp_path, "row 1: 'tset' is no name of a split; .*Did you mean 'test'.*--test-share", "--source", source
    )
    source = write(tmp_path / "e.csv", essays(split=lambda n: "test"))
    assert_refused(tmp_path, "has no training essays", "--source", source)


def test_without_validation_essays_they_are_drawn(tmp_path):
    source = write(tmp_path / "e.csv", essays(split=lambda n: "train" if n < 40 else "test"))
    data = run(tmp_path, "--source", source, "--split-column", "split", "--validation-share", "0.25")
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 30, "validation": 10, "test": 20}
    assert set(data.splits["test"]["essay_id"]) == {str(n + 1) for n in range(40, 60)}


def test_files_of_their_own_for_splits(tmp_path):
    paths = [write(tmp_path / name, essays(number, start)) for name, number, start in
             (("train.csv", 40, 0), ("dev.csv", 12, 40), ("test.csv", 8, 52))]  # fmt: skip
    options = ["--source", paths[0], "--validation-source", paths[1], "--test-source", paths[2]]
    data = run(tmp_path, *options)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 40, "validation": 12, "test": 8}
    assert list(data.splits["test"]["essay_id"])[:2] == ["test-1", "test-2"]
    more = [*options, "--overwrite"]
    assert_refused(tmp_path, "--test-share has no effect with --validation-source", *more, "--test-share", "0.1")
    assert_refused(tmp_path, "--split-column has no effect with --validation-source", *more, "--split-column", "score")
    write(tmp_path / "dev.csv", essays(12, 40).rename(columns={"score": "Score"}))
    assert_refused(tmp_path, "dev.csv lacks; it has essay, Score. Did you mean 'Score'. Splits need the same", *more)
    write(tmp_path / "dev.csv", essays(12, 40, score=lambda n: "x" if n == 41 else 1))
    assert_refused(tmp_path, "row 2 of .*dev.csv, column 'score': 'x' is not a number", *more)


def test_a_text_in_two_splits_is_reported_and_dropped(tmp_path, capsys):
    table = essays(60, split=lambda n: "train" if n < 40 else "dev" if n < 50 else "test")
    table.loc[0, "essay"] = table.loc[55, "essay"].upper()
    table.loc[1, "essay"] = table.loc[45, "essay"]
    table.loc[46, "essay"] = "  ".join(table.loc[57, "essay"].split())
    data = run(tmp_path, "--source", write(tmp_path / "e.csv", table))
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 38, "validation": 9, "test": 10}
    assert not {"1", "2"} & set(data.splits["train"]["essay_id"]) and "47" not in data.splits["validation"]["essay_id"]
    assert "Note: 3 essays were dropped" in capsys.readouterr().out and data.card["num_copies_dropped"] == 3


def test_there_may_be_no_test_split(tmp_path):
    data = run(tmp_path, "--source", write(tmp_path / "e.csv", essays()), "--test-share", "0")
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 48, "validation": 12}
    assert data.card["num_essays"] == {"train": 48, "validation": 12, "test": 0}
    with pytest.raises(InputError, match="has train, validation"):
        data.split("test")


# ---- Rows that cannot be used


def test_a_revision_counts_where_lengths_alone_are_asked_for(tmp_path):
    source = write(tmp_path / "e.csv", essays())
    (tmp_path / "tokenizer").mkdir()
    words = ["--source", source, "--tokenizer", str(tmp_path / "tokenizer"), "--revision", "v1", "--analyze-lengths"]
    with pytest.raises(InputError, match="only the Hub has revisions"):
        build.main(words)


def test_bad_rows_are_set_aside_with_the_reason(tmp_path, capsys):
    table = essays(60, essay_id=lambda n: f"e{n}").astype(object)
    table.loc[3, "score"], table.loc[5, "essay"], table.loc[7, "essay_id"] = "good", " ", "e8"
    table.loc[9, "score"] = 9
    source = write(tmp_path / "e.csv", table)
    options = ["--source", source, "--score-range", "0:3"]
    assert_refused(tmp_path, r"row 6 \(essay_id e5\): the essay is empty", *options)
    data = run(tmp_path, *options, "--on-error", "skip")
    assert set(rows_of(data)["essay_id"]) == set(table["essay_id"]) - {"e3", "e5", "e9"} and len(rows_of(data)) == 56
    with open(tmp_path / "out.rejected.csv", encoding="utf-8", newline="") as file:
        rejected = list(csv.DictReader(file))
    reasons = {row["essay_id"]: row["reason"].split(", row ")[1] for row in rejected}
    assert reasons == {
        "e3": "4, column 'score': 'good' is not a number. If scores are labels, name all of them, the lowest first, with "
        "--score-labels.",
        "e5": "6 (essay_id e5): the essay is empty.",
        "e8": "9: essay_id 'e8' is that of an earlier row.",
        "e9": "10: the score 9 is not on the scale 0 to 3.",
    }
    assert "4 rows cannot be used; they are in" in capsys.readouterr().out
    # Nothing of an earlier day is replaced unasked, and what is no longer true does not stay.
    assert_refused(tmp_path, "out exists", *options, "--on-error", "skip")
    write(tmp_path / "e.csv", essays())
    run(tmp_path, *options, "--on-error", "skip", "--overwrite")
    assert not (tmp_path / "out.rejected.csv").exists()
    write(tmp_path / "e.csv", essays(score=lambda n: "x"))
    assert_refused(tmp_path, "no row can be used. The first: .*row 1", *options, "--on-error", "skip", "--overwrite")


def test_folds_may_name_an_essay_whose_row_cannot_be_read(tmp_path, capsys):
    source = write(tmp_path / "e.csv", essays(60, essay_id=lambda n: f"e{n}")[["essay_id", "essay", "score"]])
    lines = (tmp_path / "e.csv").read_text(encoding="utf-8").splitlines()
    lines[10] += ",a cell too many,and another"  # of e9
    (tmp_path / "e.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_fold(tmp_path / "folds", [f"e{n}" for n in range(60)])
    options = ["--source", source, "--folds", tmp_path / "folds", "--fold", "0", "--on-error", "skip"]
    assert "e9" not in set(rows_of(run(tmp_path, *options))["essay_id"])
    assert "1 essays of these folds are left out" in capsys.readouterr().out
    # More ids than rows that could not be read.
    write_fold(tmp_path / "folds", [f"e{n}" for n in range(61)])
    assert_refused(
        tmp_path,
        "essay_id e9 is not in .*2 such ids are in these folds, and 1 rows of it could not be read",
        *options,
        "--overwrite",
    )


def write_fold(folder, names):
    (folder / "fold_0").mkdir(parents=True, exist_ok=True)
    for name, part in (("train", names[:40]), ("dev", names[40:50]), ("test", names[50:])):
        (folder / "fold_0" / f"{name}_ids.txt").write_text("\n".join(part), encoding="utf-8")


def test_an_encoding_is_for_the_tables_that_have_one(tmp_path):
    essays(prompt_id=lambda n: "a").to_excel(tmp_path / "e.xlsx", index=False)
    text = "prompt_id,prompt\na,Où étudier ?\n"
    (tmp_path / "p.csv").write_text(text, encoding="windows-1252")
    options = ["--source", tmp_path / "e.xlsx", "--encoding", "windows-1252"]
    data = run(tmp_path, *options, "--prompts", tmp_path / "p.csv")
    assert set(rows_of(data)["prompt"]) == {"Où étudier ?"}
    assert_refused(tmp_path, "--encoding has no effect on .*e.xlsx", *options, "--overwrite")
    # A file for each split, in the format of its own.
    later = essays(20, 60, prompt_id=lambda n: "a").assign(essay=lambda table: "Où " + table["essay"])
    later.to_csv(tmp_path / "v.csv", index=False, encoding="windows-1252")
    data = run(tmp_path, *options, "--validation-source", tmp_path / "v.csv", "--overwrite")
    assert all(text.startswith("Où ") for text in data.splits["validation"]["essay"])


def test_dropping_long_essays_leaves_each_prompt_some_to_train_on(tmp_path):
    long = essays(
        essay=lambda n: " ".join(str(n * i) for i in range(4 if n < 30 else 40)),
        prompt_id=lambda n: "short" if n < 30 else "long",
    )
    options = ["--source", write(tmp_path / "e.csv", long), "--drop-longer-than", "20"]
    assert_refused(
        tmp_path, "--drop-longer-than 20 leaves no training essay of 1 prompts: long. Leave them out", *options
    )
    data = run(tmp_path, *options, "--prompt-set", "short")
    assert set(rows_of(data)["prompt_id"]) == {"short"}


def test_columns_that_are_named_are_read(tmp_path):
    table = essays(low=lambda n: 0, high=lambda n: 9, task=lambda n: "a", text=lambda n: "Of the table.")
    source = write(tmp_path / "e.csv", table)
    (tmp_path / "p.csv").write_text("prompt_id,prompt,min_score,max_score\na,Another.,0,3\n", encoding="utf-8")
    scale = ["--source", source, "--min-score-column", "low", "--max-score-column", "high"]
    assert_refused(
        tmp_path,
        "--min-score-column low has no effect: the scale of each prompt comes from --score-range",
        *scale,
        "--score-range",
        "0:3",
    )
    prompts = ["--prompt-id-column", "task", "--prompts", tmp_path / "p.csv"]
    assert_refused(tmp_path, "--min-score-column low has no effect: .* comes from --prompts", *scale, *prompts)
    text = ["--source", source, *prompts, "--prompt-column", "text"]
    assert_refused(tmp_path, "--prompt-column text has no effect: --prompts gives the text", *text)
    data = run(tmp_path, *scale)
    assert data.score_ranges["1"].max_score == 9


def test_a_table_of_prompts_in_utf_8_beside_essays_that_are_not(tmp_path):
    source = tmp_path / "e.csv"
    rows = "".join(f"a,Das Caf\u00e9 Nummer {number} ist sch\u00f6n.,{number % 4}\n" for number in range(40))
    source.write_bytes(f"prompt_id,essay,score\n{rows}".encode("cp1252"))
    prompts = "prompt_id,prompt\na,Write about the town\u2019s caf\u00e9.\n"
    for encoding in ("utf-8", "cp1252"):
        (tmp_path / "p.csv").write_bytes(prompts.encode(encoding))
        more = ["--source", source, "--encoding", "cp1252", "--prompts", tmp_path / "p.csv", "--overwrite"]
        data = run(tmp_path, *more)
        assert data.prompt_texts == {"a": "Write about the town\u2019s caf\u00e9."}
        assert "Caf\u00e9" in data.splits["train"]["essay"][0]


def test_the_working_folder_cannot_be_the_output(tmp_path, monkeypatch):
    source = write(tmp_path / "e.csv", essays())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"\. (exists|is)"):
        build.main(["--source", source, "--output-dir", ".", "--on-error", "skip"])


@pytest.mark.parametrize("column", ["essay_set", "task"])
def test_texts_of_prompts_go_with_the_column_that_names_them(tmp_path, column):
    source = write_release(tmp_path / "training_set_rel3.tsv")
    lines = (tmp_path / "training_set_rel3.tsv").read_text(encoding="utf-8").splitlines()
    # As people pad their ids; and an ASAP release with a column of their own.
    padded = [line.replace("\t", "\t ", 1) + f"\tT{line.split(chr(9))[1]}" for line in lines[1:]]
    text = "\n".join([f"{lines[0]}\ttask", *padded])
    (tmp_path / "training_set_rel3.tsv").write_text(text + "\n", encoding="utf-8")
    prefix = "T" if column == "task" else ""
    (tmp_path / "p.csv").write_text(f"prompt_id,prompt\n{prefix}1,One.\n{prefix}2,Two.\n", encoding="utf-8")
    named = ["--prompt-id-column", "task"] if column == "task" else []
    data = run(tmp_path, "--source", source, "--prompts", tmp_path / "p.csv", *named)
    assert set(rows_of(data)["prompt"]) == {"One.", "Two."} and set(data.score_ranges) == {f"{prefix}1", f"{prefix}2"}


def test_rows_that_were_set_aside_and_mended_are_not_replaced(tmp_path):
    mended = write(tmp_path / "out.rejected.csv", essays())
    skip = ["--on-error", "skip", "--overwrite"]
    assert_refused(tmp_path, "--source .*out.rejected.csv is in the output", "--source", mended, *skip)
    # Nor where none are set aside.
    before = (tmp_path / "out.rejected.csv").read_bytes()
    assert len(rows_of(run(tmp_path, "--source", mended, "--overwrite"))) == 60
    assert (tmp_path / "out.rejected.csv").read_bytes() == before


def test_columns_of_raters_that_hold_no_scores_are_said_to(tmp_path, capsys):
    numbers = essays(rater1=lambda n: 17 + n % 3, rater2=lambda n: n % 4)
    options = ["--source", tmp_path / "e.csv", "--score-range", "0:3", "--overwrite"]
    write(tmp_path / "e.csv", numbers)
    data = run(tmp_path, *options)
    assert data.rater_columns == ("rater2",) and set(rows_of(data)["rater1"]) == {"17", "18", "19"}
    printed = " ".join(capsys.readouterr().out.split())
    assert "raters columns 'rater2'" in printed
    assert (
        "Column 'rater1' is taken for no rater's: row 1 has 17, and the essay's score is on the scale 0 to 3."
        in printed
    )
    write(
        tmp_path / "e.csv",
        numbers.assign(rater1=numbers["score"], rater2=["5,5" if n == 8 else n % 4 for n in range(60)]),
    )
    assert run(tmp_path, *options).rater_columns == ("rater1",)
    printed = " ".join(capsys.readouterr().out.split())
    assert "Column 'rater2' is taken for no rater's: " in printed and "row 9, column 'rater2'" in printed
    # The scores that occur are no scale: raters of a mean go beyond them.
    means = essays(rater1=lambda n: n % 4 + 1, rater2=lambda n: n % 4 - 1)
    options = ["--source", write(tmp_path / "e.csv", means), "--overwrite"]
    assert run(tmp_path, *options).rater_columns == ("rater1", "rater2")
    capsys.readouterr()
    mistyped = essays(first=lambda n: 55 if n == 8 else n % 4)
    named = ["--source", write(tmp_path / "e.csv", mistyped), "--score-range", "0:3", "--rater-columns", "first"]
    assert run(tmp_path, *named, "--overwrite").rater_columns == ("first",)
    assert "'first' of raters goes beyond the scale: row 9 has 55" in " ".join(capsys.readouterr().out.split())


def test_ids_of_prompts_are_read_alike_in_both_tables(tmp_path):
    """Whole numbers that come as fractions, as of a column in which cells are empty."""
    essays(prompt_id=lambda n: float(n % 2)).to_parquet(tmp_path / "e.parquet")
    prompts = pd.DataFrame({"prompt_id": [0.0, 1.0], "prompt": ["Zero.", "One."]})
    prompts.to_parquet(tmp_path / "p.parquet")
    arguments = ["--source", tmp_path / "e.parquet", "--prompts", tmp_path / "p.parquet"]
    data = run(tmp_path, *arguments)
    assert set(data.score_ranges) == {"0", "1"} and set(rows_of(data)["prompt"]) == {"Zero.", "One."}
    prompts.assign(prompt_id=[0.0, float("nan")]).to_parquet(tmp_path / "p.parquet")
    assert_refused(tmp_path, "row 2, column 'prompt_id': there is no id", *arguments, "--overwrite")


def test_a_score_beyond_any_scale_is_named_with_its_row(tmp_path):
    source = write(tmp_path / "e.csv", essays(score=lambda n: "2E30" if n == 7 else n % 4))
    assert_refused(tmp_path, "row 8.*2e\\+30", "--source", source)


def test_lengths_are_of_all_essays_whatever_becomes_of_them(tmp_path):
    source = write(tmp_path / "e.csv", essays())
    for option in (
        ["--test-share", "0.5"],
        ["--limit-train-essays", "3"],
        ["--drop-longer-than", "9"],
        ["--overwrite"],
    ):
        with pytest.raises(InputError, match=f"{option[0]} has no effect with --analyze-lengths"):
            build.main(["--source", source, "--analyze-lengths", *option])


def test_the_output_may_be_called_as_a_source_that_is_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    build.main(["--source", "demo", "--output-dir", "demo", "--limit-train-essays", "30"])
    assert len(load_essay_dataset("demo").splits["train"]) == 30
