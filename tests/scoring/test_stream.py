"""Scoring through the command line: nothing lost, nothing out of order, the same score whatever the company."""

import csv
import io
import json
import os
import subprocess
import sys
import threading

import pandas as pd
import pytest
import torch

from trm_aes import EssayScoringPipeline
from trm_aes.cli import evaluate, score
from trm_aes.data.formats import TableReading
from trm_aes.errors import InputError, InterruptedRun
from trm_aes.files import owned
from trm_aes.model.score_scale import ScoreRange
from trm_aes.scoring import stream
from trm_aes.scoring.input_rows import name_in_cell
from trm_aes.scoring.scorer import EssayScorer
from trm_aes.scoring.stream import ADDED_COLUMNS, BadRows, score_file

ROWS = [
    {
        "student": f"s{number}",
        "prompt_id": "ab"[number % 2],
        "essay": f'Essay {number}, "quoted"\nis {word * (1 + number % 9)}.',
    }
    for number, word in enumerate(["bad ", "good ", "excellent ", "fair ", "odd "] * 8)
]


@pytest.fixture(scope="module")
def scorer(model_dir):
    return EssayScorer.from_pretrained(model_dir, device="cpu")


def write(path, rows=ROWS):
    frame = pd.DataFrame(rows)
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".tsv":
        frame.to_csv(path, index=False, sep="\t")
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=True)
    return path


def read(path):
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("output", [".csv", ".jsonl", ".tsv"])
def test_order_and_columns_are_kept_in_every_format(scorer, tmp_path, suffix, output):
    source = write(tmp_path / f"in{suffix}")
    summary = score_file(scorer, str(source), str(tmp_path / f"out{output}"))
    assert (summary.num_scored, summary.num_cut) == (40, 0)
    rows = read(tmp_path / f"out{output}")
    assert [{name: row[name] for name in ROWS[0]} for row in rows] == ROWS
    assert list(rows[0]) == [*ROWS[0], *ADDED_COLUMNS]
    for row in rows:
        low, high = (0, 3) if row["prompt_id"] == "a" else (1, 4)
        value, rounded = float(row["predicted_score"]), int(row["rounded_score"])
        assert low <= value <= high and abs(value - rounded) <= 0.500001
        assert 0 <= float(row["confidence"]) <= 1 and int(row["supervision_steps"]) == 1


def test_advisories_stand_in_a_cell_and_are_taken_up_again(scorer, tmp_path, monkeypatch):
    twice = "Essay 1 is good good good. " * 2
    rows = [{"prompt_id": "a", "essay": essay} for essay in (twice, "Essay 7 is good good good good good.", "Bad.")]
    monkeypatch.setattr("trm_aes.scoring.stream.WINDOW", 2)
    score_file(scorer, str(write(tmp_path / "in.csv", rows)), str(tmp_path / "out.csv"))
    cells = [row["advisories"] for row in read(tmp_path / "out.csv")]
    scores = scorer.score([row["essay"] for row in rows], ["a"] * 3)
    assert cells == ["; ".join(score.advisories) for score in scores]
    assert "Repetitious" in cells[0] and cells[1] == "" and "Too Brief" in cells[2]


def test_the_company_of_an_essay_changes_no_score(scorer, monkeypatch):
    essays, prompt_ids = [row["essay"] for row in ROWS], [row["prompt_id"] for row in ROWS]
    together = [result.score for result in scorer.score(essays, prompt_ids)]
    alone = [scorer.score([essay], [prompt_id])[0].score for essay, prompt_id in zip(essays, prompt_ids, strict=True)]
    reverse = [result.score for result in scorer.score(essays[::-1], prompt_ids[::-1])][::-1]
    monkeypatch.setattr(scorer, "batch_tokens", 60)
    threes = [result.score for result in scorer.score(essays, prompt_ids)]
    for other in (alone, reverse, threes):
        torch.testing.assert_close(torch.tensor(other), torch.tensor(together), atol=1e-5, rtol=0)
    assert len({round(value, 3) for value in together}) > 5


def test_bfloat16_moves_scores_a_little_and_leaves_the_heads_alone(scorer, model_dir):
    half = EssayScorer.from_pretrained(model_dir, device="cpu", dtype="bfloat16")
    model = half.model
    assert model.dtype == torch.bfloat16 and model.model.layers[0].mlp.down_proj.weight.dtype == torch.bfloat16
    for part in (model.score_head, model.halt_head, model.lexical_head, model.model.prompt_bank):
        assert all(tensor.dtype == torch.float32 for tensor in part.state_dict().values())
    essays, prompt_ids = [row["essay"] for row in ROWS], [row["prompt_id"] for row in ROWS]
    full, rounded = (torch.tensor([r.score for r in s.score(essays, prompt_ids)]) for s in (scorer, half))
    # Of ranges of three points.
    assert 0 < (full - rounded).abs().max() < 0.03
    with pytest.raises(InputError, match="`dtype` float64"):
        EssayScorer.from_pretrained(model_dir, dtype="float64")


def test_windows_do_not_show(scorer, tmp_path, monkeypatch):
    source = write(tmp_path / "in.csv")
    score_file(scorer, str(source), str(tmp_path / "a.csv"))
    monkeypatch.setattr("trm_aes.scoring.stream.WINDOW", 7)
    score_file(scorer, str(source), str(tmp_path / "b.csv"))
    a, b = (pd.read_csv(tmp_path / name) for name in ("a.csv", "b.csv"))
    pd.testing.assert_frame_equal(a, b, atol=1e-5)


def test_text_and_standard_input(scorer, tmp_path, monkeypatch, capsys):
    (tmp_path / "in.txt").write_text("Essay one is good good good.\n\nEssay two is bad.\n", encoding="utf-8")
    score_file(scorer, str(tmp_path / "in.txt"), str(tmp_path / "out.csv"), prompt_id="a")
    assert [row["essay"] for row in read(tmp_path / "out.csv")] == ["Essay one is good good good.", "Essay two is bad."]
    streams = {
        "jsonl": '{"essay": "Essay three.", "prompt_id": "a", "n": 1}\n',
        "csv": "n,essay,prompt_id\n1,Essay three.,a\n",
    }
    for text in streams.values():
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        score_file(scorer, "-", "-")
        [row] = csv.DictReader(io.StringIO(capsys.readouterr().out))
        assert (row["essay"], row["n"]) == ("Essay three.", "1") and 0 <= float(row["predicted_score"]) <= 3
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Just an essay\nand another\n")))
    score_file(scorer, "-", str(tmp_path / "plain.csv"), prompt_id="b")
    assert len(read(tmp_path / "plain.csv")) == 2
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(InputError, match="Standard input is empty"):
        score_file(scorer, "-", str(tmp_path / "none.csv"), prompt_id="b")


def test_the_prompt_may_be_told_by_its_text(scorer, tmp_path):
    rows = [{"prompt": f"Write about {row['prompt_id']}.", "essay": row["essay"]} for row in ROWS]
    score_file(scorer, str(write(tmp_path / "text.csv", rows)), str(tmp_path / "by_text.csv"))
    score_file(scorer, str(write(tmp_path / "id.csv")), str(tmp_path / "by_id.csv"))
    by_text, by_id = (pd.read_csv(tmp_path / name) for name in ("by_text.csv", "by_id.csv"))
    assert (by_text["predicted_score"] == by_id["predicted_score"]).all()


def test_an_essay_of_100_000_words_is_scored_and_said_to_be_cut(model_dir, tmp_path, capsys):
    # What is said twice is read once, so no word is said twice.
    essay = " ".join(f"word{n}" for n in range(100_000))
    source = write(tmp_path / "in.csv", [{"prompt_id": "a", "essay": essay}])
    score.main(["--model", str(model_dir), "--input", str(source), "--output", str(tmp_path / "out.csv")])
    assert "1 essay was too long; its end was not read." in capsys.readouterr().err
    assert read(tmp_path / "out.csv")[0]["essay"] == essay


BAD_INPUTS = {
    "unknown prompt": ("prompt_id,essay\na,x\nz,y\n", "row 2: Unknown prompt_id 'z'; .* scores a, b"),
    "no prompt": (
        "essay\nx\n",
        "row 1: No prompt_id, and .* scores several prompts: a, b. Give `prompt_id`, .* with `columns.prompt_id`",
    ),
    "unknown text": ("prompt,essay\nSing!,x\n", "row 1: This model knows no prompt with this text"),
    "empty essay": ("prompt_id,essay\na,x\nb,\n", "row 2: the essay is empty"),
    "NUL": ("prompt_id,essay\na,x\nb,\0y\n", "NUL"),
    "no essay column": ("prompt_id,text\na,x\n", "row 1: no column 'essay'; there are prompt_id, text"),
    "column of ours": ("prompt_id,essay,confidence\na,x,1\n", "has a column 'confidence' of its own"),
    "no rows": ("prompt_id,essay\n", "holds no essays"),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_rows_are_found_before_the_first_essay_is_scored(scorer, tmp_path, case, monkeypatch):
    text, message = BAD_INPUTS[case]
    (tmp_path / "in.csv").write_text(text, encoding="utf-8")
    (tmp_path / "out.csv").write_text("what was there before", encoding="utf-8")
    monkeypatch.setattr(scorer, "score_encoded", lambda *_: pytest.fail("scored before all was checked"))
    with pytest.raises(InputError, match=message):
        score_file(scorer, str(tmp_path / "in.csv"), str(tmp_path / "out.csv"), overwrite=True)
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == "what was there before"
    assert len(list(tmp_path.iterdir())) == 2


def test_outputs_are_not_overwritten_and_appear_whole(scorer, tmp_path, monkeypatch):
    source, output = write(tmp_path / "in.csv"), tmp_path / "out.csv"
    output.write_text("before", encoding="utf-8")
    with pytest.raises(InputError, match="exists.*`overwrite`"):
        score_file(scorer, str(source), str(output))
    with pytest.raises(InputError, match="Scores are written as csv, tsv, jsonl"):
        score_file(scorer, str(source), str(tmp_path / "out.xls"))

    def breaks_off(window, scores, counts, review, added):
        yield from list(with_scores(window, scores, counts, review, added))[:5]
        raise OSError("the disk is gone")

    with_scores = stream.with_scores
    monkeypatch.setattr(stream, "with_scores", breaks_off)
    with pytest.raises(OSError, match="the disk is gone"):
        score_file(scorer, str(source), str(output), overwrite=True)
    # What was there is still there, and nothing half-written beside it but the scores that the next run takes up.
    assert output.read_text(encoding="utf-8") == "before"
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "out.csv", ".out.csv.parts"}
    monkeypatch.undo()
    score_file(scorer, str(source), str(output), overwrite=True)
    assert len(output.read_text(encoding="utf-8").splitlines()) == len(source.read_text(encoding="utf-8").splitlines())
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "out.csv"}


def test_parts_of_another_version_are_not_taken_up(scorer, tmp_path, monkeypatch):
    """Version 0.1 wrote other fields for an essay."""
    source, output = write(tmp_path / "in.csv"), tmp_path / "out.csv"
    monkeypatch.setattr(stream, "_write_output", lambda *_: pytest.fail("stopped before the output"))
    with pytest.raises(pytest.fail.Exception):
        score_file(scorer, str(source), str(output))
    parts = tmp_path / ".out.csv.parts"
    settings = json.loads((parts / "settings.json").read_text(encoding="utf-8"))
    del settings["version"]
    (parts / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    (parts / "00000000.json").write_text('[{"score": 1.0, "probability": 0.5}]', encoding="utf-8")
    monkeypatch.undo()
    score_file(scorer, str(source), str(output))
    assert not parts.exists()
    assert "confidence" in output.read_text(encoding="utf-8").splitlines()[0]


def test_interrupted_scoring_goes_on_where_it_stopped(scorer, tmp_path, monkeypatch):
    source, output = write(tmp_path / "in.csv"), tmp_path / "out.csv"
    monkeypatch.setattr("trm_aes.scoring.stream.WINDOW", 10)
    score_file(scorer, str(source), str(output))
    expected = output.read_text(encoding="utf-8")
    output.write_text("before", encoding="utf-8")
    calls = []

    def scores_two_windows(encoded, prompt_ids):
        calls.append(len(encoded))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return EssayScorer.score_encoded(scorer, encoded, prompt_ids)

    monkeypatch.setattr(scorer, "score_encoded", scores_two_windows)
    with pytest.raises(InterruptedRun, match="after 20 essays. The same command goes on"):
        score_file(scorer, str(source), str(output), overwrite=True)
    assert output.read_text(encoding="utf-8") == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.csv.parts", "in.csv", "out.csv"]
    parts = sorted((tmp_path / ".out.csv.parts").iterdir())
    assert [path.name for path in parts] == ["00000000.json", "00000001.json", "settings.json"]
    assert not any("quoted" in path.read_text(encoding="utf-8") for path in parts)
    calls[:] = [0] * 3
    score_file(scorer, str(source), str(output), overwrite=True)
    assert calls[3:] == [10, 10] and output.read_text(encoding="utf-8") == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_parts_of_other_essays_are_thrown_away(scorer, tmp_path, monkeypatch):
    monkeypatch.setattr("trm_aes.scoring.stream.WINDOW", 10)
    source, output = write(tmp_path / "in.csv"), tmp_path / "out.csv"
    parts = tmp_path / ".out.csv.parts"
    parts.mkdir()
    (parts / "settings.json").write_text("{}", encoding="utf-8")
    (parts / "00000000.json").write_text("[]", encoding="utf-8")
    assert score_file(scorer, str(source), str(output)).num_scored == 40


def leave_parts(scorer, source, output, **options):
    """A run that is stopped before it writes its output."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "_write_output", lambda *_: pytest.fail("stopped before the output"))
        with pytest.raises(pytest.fail.Exception):
            score_file(scorer, str(source), str(output), **options)


def scored_anew(scorer, source, output, monkeypatch, **options):
    """How many essays the next run scores itself."""
    calls = []

    def count(encoded, prompt_ids):
        calls.append(len(encoded))
        return EssayScorer.score_encoded(scorer, encoded, prompt_ids)

    monkeypatch.setattr(scorer, "score_encoded", count)
    score_file(scorer, str(source), str(output), **options)
    return sum(calls)


def test_parts_belong_to_all_that_a_score_depends_on(model_dir, tmp_path, monkeypatch):
    # All of one prompt, as `prompt_id` says below.
    rows = [{**row, "prompt_id": "a"} for row in ROWS]
    source, output = write(tmp_path / "in.csv", rows), tmp_path / "out.csv"
    changes = {
        "range": lambda scorer: scorer.model.config.score_ranges.update(a=[0, 30]),
        "cycles": lambda scorer: setattr(scorer.model.config, "H_cycles", 1),
        "prompt": lambda scorer: scorer.model.config.prompt_texts.update(a="Sing!"),
        "tokenizer": lambda scorer: setattr(scorer.tokenizer, "model_max_length", 63),
        "weights": lambda scorer: scorer.model.score_head.bias.data.add_(1),
        "batches": lambda scorer: setattr(scorer, "batch_tokens", 100),
    }
    options = {
        "encoding": {"reading": TableReading(encoding="latin-1")},
        "prompt id": {"prompt_id": "a"},
        "bad rows": {"bad_rows": BadRows(skip=True)},
    }
    for case in ("nothing", *changes, *options):
        scorer = EssayScorer.from_pretrained(model_dir, "cpu")
        leave_parts(scorer, source, output)
        changes.get(case, lambda scorer: None)(scorer)
        expected = 0 if case == "nothing" else 40
        assert scored_anew(scorer, source, output, monkeypatch, **options.get(case, {})) == expected, case
        output.unlink()
        assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize("damage", ["", "null", "[]", '{"scores": []}'])
def test_a_damaged_part_is_scored_again(scorer, tmp_path, monkeypatch, damage):
    monkeypatch.setattr(stream, "WINDOW", 10)
    source, output = write(tmp_path / "in.csv"), tmp_path / "out.csv"
    leave_parts(scorer, source, output)
    (tmp_path / ".out.csv.parts" / "00000002.json").write_text(damage, encoding="utf-8")
    assert scored_anew(scorer, source, output, monkeypatch) == 10


def test_two_runs_do_not_share_an_output(scorer, tmp_path):
    source, output = write(tmp_path / "in.csv"), tmp_path / "out.csv"
    with owned(output), pytest.raises(InputError, match="is being written by process"):
        score_file(scorer, str(source), str(output))
    assert not output.exists()


@pytest.mark.parametrize("when", ["scoring", "writing"])
def test_an_input_that_changes_meanwhile_is_an_error(scorer, tmp_path, monkeypatch, when):
    source, output = write(tmp_path / "in.csv"), tmp_path / "out.csv"
    name = "score_encoded" if when == "scoring" else "encode"
    compute, before = getattr(scorer, name), source.read_text(encoding="utf-8")

    def change(*args):
        # As long as before, and as old: its content alone tells.
        state = source.stat()
        source.write_text(before.replace("good", "evil"), encoding="utf-8")
        if when == "writing":
            os.utime(source, ns=(state.st_atime_ns, state.st_mtime_ns))
        return compute(*args)

    monkeypatch.setattr(scorer, name, change)
    with pytest.raises(InputError, match="in.csv changed while it was being scored: nothing was written"):
        score_file(scorer, str(source), str(output))
    assert not output.exists()


def test_scores_that_are_no_numbers_reach_no_output(model_dir, tmp_path):
    scorer = EssayScorer.from_pretrained(model_dir, "cpu")
    scorer.model.score_head.bias.data.fill_(float("nan"))
    source = write(tmp_path / "in.csv")
    with pytest.raises(InputError, match=f"{model_dir} gives scores that are not finite numbers"):
        score_file(scorer, str(source), str(tmp_path / "out.csv"))
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_processes_of_a_launcher_do_not_write_one_output(model_dir, tmp_path, monkeypatch):
    source = write(tmp_path / "in.csv")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="scoring runs as one process.*; --engine ray shares the essays"):
        score.main(["--model", str(model_dir), "--input", str(source), "--output", str(tmp_path / "out.csv")])


def test_rows_of_unlike_columns_need_json(scorer, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"essay": "x", "prompt_id": "a"}\n{"essay": "y", "prompt_id": "a", "k": [1]}\n')
    with pytest.raises(InputError, match="field 'k' that the first row lacks"):
        score_file(scorer, str(tmp_path / "in.jsonl"), str(tmp_path / "out.csv"))
    score_file(scorer, str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl"))
    assert read(tmp_path / "out.jsonl")[1]["k"] == [1]
    # By whatever name the format goes.
    score_file(scorer, str(tmp_path / "in.jsonl"), str(tmp_path / "out.ndjson"))
    assert (tmp_path / "out.ndjson").read_bytes() == (tmp_path / "out.jsonl").read_bytes()


def test_evaluation_agrees_with_scoring_and_with_training(model_dir, data_dir, tmp_path, capsys):
    evaluate.main(
        [
            "--model",
            str(model_dir),
            "--data",
            str(data_dir),
            "--split",
            "validation",
            "--output-dir",
            str(tmp_path / "e"),
        ]
    )
    report = json.loads((tmp_path / "e" / "evaluation.json").read_text(encoding="utf-8"))
    record = json.loads((model_dir / "run.json").read_text(encoding="utf-8"))
    assert report["means"]["mean_qwk"] == pytest.approx(record["validation_metrics"]["eval_mean_qwk"], abs=1e-6)
    assert report["constant_mean_qwk"] == 0
    assert set(report["rater_qwk"]) == {"a", "b"} and max(report["rater_qwk"].values()) <= 1
    printed = capsys.readouterr().out
    assert "raters" in printed and "constant predictor" in printed and "mean QWK 0.000" in printed
    predictions = pd.read_csv(tmp_path / "e" / "predictions.csv")
    assert len(predictions) == 12 and set(predictions["prompt_id"]) == {"a", "b"}


def test_every_checkpoint_of_a_run_can_be_evaluated(model_dir, data_dir, tmp_path):
    checkpoints = sorted(model_dir.glob("checkpoint-*"))
    assert checkpoints
    for checkpoint in checkpoints:
        evaluate.main(
            ["--model", str(checkpoint), "--data", str(data_dir), "--output-dir", str(tmp_path / checkpoint.name)]
        )
        assert (tmp_path / checkpoint.name / "evaluation.json").is_file()


def test_the_documented_use_from_python(model_dir):
    essay = "Essay 3 is good good good good good."
    scorer = EssayScorer.from_pretrained(model_dir, "cpu")
    [result] = scorer.score([essay], ["a"])
    pipe = EssayScoringPipeline(model=scorer.model, tokenizer=scorer.tokenizer)
    assert result.score == pytest.approx(pipe({"essay": essay, "prompt_id": "a"})["score"], abs=1e-5)
    assert result.rounded_score == round(result.score) and 0 <= result.confidence <= 1
    with pytest.warns(FutureWarning, match="now called confidence"):
        assert result.probability == result.confidence


@pytest.mark.parametrize(
    ("essays", "prompt_ids", "message"),
    [
        (["Good.", ""], ["a", "a"], r"essays\[1\]: the essay is empty"),
        ([" "], ["a"], r"essays\[0\]: the essay is empty"),
        ([None], ["a"], r"essays\[0\]: the essay is empty"),
        ([7], ["a"], r"essays\[0\]: the essay is not text but int"),
        (["Good."], ["c"], r"essays\[0\]: Unknown prompt_id 'c'; this model scores a, b"),
        (["Good."], [None], r"essays\[0\]: No prompt_id, and this model scores several prompts: a, b"),
        (["Good."], [1], r"essays\[0\]: Unknown prompt_id 1"),
        (["Good."], ["a", "a"], "a list of essays and a list of as many prompt ids"),
        ("Good.", "aaaaa", "a list of essays and a list of as many prompt ids"),
    ],
)
def test_from_python_too_what_cannot_be_scored_is_refused(scorer, essays, prompt_ids, message):
    with pytest.raises(InputError, match=message):
        scorer.score(essays, prompt_ids)


def test_standard_input_is_waited_for_where_ctrl_c_is_heard(scorer, tmp_path, monkeypatch):
    """Python would wait for another thread that waits for input."""
    readers = set()
    check_rows = stream.check_rows

    def watched(*args, **kwargs):
        for row in check_rows(*args, **kwargs):
            readers.add(threading.current_thread())
            yield row

    monkeypatch.setattr(stream, "check_rows", watched)
    monkeypatch.setattr(stream, "WINDOW", 7)
    content = write(tmp_path / "in.csv").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    summary = score_file(scorer, "-", str(tmp_path / "out.csv"))
    assert summary.num_scored == 40 and readers == {threading.main_thread()}
    readers.clear()
    score_file(scorer, str(tmp_path / "in.csv"), str(tmp_path / "again.csv"))
    assert len(readers) > 1
    assert read(tmp_path / "again.csv") == read(tmp_path / "out.csv")


def test_what_a_workbook_cannot_hold_once_it_is_safe_is_found_before_the_first_essay(scorer, tmp_path, monkeypatch):
    monkeypatch.setattr(scorer, "score_encoded", None)
    source = write(tmp_path / "in.jsonl", [{"prompt_id": "a", "essay": "Good.", "note": "=" * 32_767}])
    with pytest.raises(InputError, match="row 1, column 'note': 32,768 characters"):
        score_file(scorer, str(source), str(tmp_path / "out.xlsx"), safe_for_spreadsheets=True)


@pytest.mark.parametrize("output", ["out.parquet", "out.csv"])
def test_numbers_and_labels_do_not_share_a_column_of_parquet(model_dir, tmp_path, monkeypatch, output):
    scorer = EssayScorer.from_pretrained(model_dir, device="cpu")
    scorer.score_ranges = {**scorer.score_ranges, "b": ScoreRange.of_labels("DCBA")}
    source = write(tmp_path / "in.jsonl")
    one_prompt = write(tmp_path / "b.jsonl", [row for row in ROWS if row["prompt_id"] == "b"])
    assert score_file(scorer, str(one_prompt), str(tmp_path / f"b-{output}")).num_scored == 20
    if output == "out.csv":
        assert score_file(scorer, str(source), str(tmp_path / output)).num_scored == 40
        return
    # Before the first essay.
    monkeypatch.setattr(scorer, "score_encoded", None)
    with pytest.raises(
        InputError, match=r"some of these prompts are scored by numbers and others by labels.*Write \.jsonl"
    ):
        score_file(scorer, str(source), str(tmp_path / output))


@pytest.mark.parametrize(
    ("cell", "name"), [(1, "1"), (1.0, "1"), (9.5, "9.5"), ("1.0", "1.0"), (float("nan"), None), (" b ", "b")]
)
def test_a_prompt_is_named_alike_by_whole_numbers_and_by_fractions_that_are_whole(cell, name):
    """A column of whole numbers in which cells are empty comes from pandas as fractions."""
    assert name_in_cell(cell, "row 1", "prompt_id") == name


@pytest.mark.parametrize(("own", "expected"), [(None, "64"), ("9", "9")])
def test_what_onednn_keeps_is_bounded_unless_the_user_says_otherwise(own, expected):
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    environment = {key: value for key, value in os.environ.items() if key != name} | (
        {} if own is None else {name: own}
    )
    code = f"import os, trm_aes.scoring.stream; print(os.environ[{name!r}])"
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == expected
