"""Essays of prompts that a scorer has never seen, and rows that cannot be used."""

import csv
import json

import pytest

from trm_aes.cli import score
from trm_aes.data.columns import ColumnNames
from trm_aes.errors import InputError
from trm_aes.scoring import stream
from trm_aes.scoring.input_rows import InputColumns, check_columns, check_row
from trm_aes.scoring.scorer import EssayScorer
from trm_aes.scoring.unknown_prompts import PromptRule

# The model knows the prompts a and b, whose texts are "Write about a." and "Write about b.".
ROWS = [
    {"prompt_id": "a", "prompt": "Write about a.", "essay": "Essay one is good."},
    {"prompt_id": "z", "prompt": "Tell us of a b, please.", "essay": "Essay two is bad."},
    {"prompt_id": "b", "prompt": "Write about b.", "essay": "Essay three is fair."},
]


def write(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def run(model_dir, source, output, *options):
    score.main(["--model", str(model_dir), "--input", str(source), "--output", str(output), *options])


def test_unknown_prompts_are_an_error_unless_told_otherwise(model_dir, tmp_path):
    source = write(tmp_path / "in.csv", ROWS)
    with pytest.raises(InputError, match="row 2: Unknown prompt_id 'z'; this model scores a, b.*--unknown-prompt"):
        run(model_dir, source, tmp_path / "out.csv")
    with pytest.raises(InputError, match="--unknown-prompt: invalid choice: 'guess'"):
        run(model_dir, source, tmp_path / "out.csv", "--unknown-prompt", "guess")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize("window", [1024, 2])
def test_essays_of_unknown_prompts_may_be_skipped(model_dir, tmp_path, capsys, monkeypatch, window):
    monkeypatch.setattr(stream, "WINDOW", window)
    run(model_dir, write(tmp_path / "in.csv", ROWS), tmp_path / "out.csv", "--unknown-prompt", "skip")
    scored = read(tmp_path / "out.csv")
    assert [row["essay"] for row in scored] == [row["essay"] for row in ROWS]
    assert [row["scored_as_prompt"] for row in scored] == ["a", "", "b"]
    assert scored[1]["predicted_score"] == scored[1]["confidence"] == "" and float(scored[2]["predicted_score"]) >= 1
    assert "1 essays answer prompts that the model does not know" in capsys.readouterr().err
    # The others have the scores that they have alone.
    run(model_dir, write(tmp_path / "known.csv", [ROWS[0], ROWS[2]]), tmp_path / "alone.csv")
    alone = read(tmp_path / "alone.csv")
    assert "scored_as_prompt" not in alone[0]
    assert [row["predicted_score"] for row in alone] == [scored[0]["predicted_score"], scored[2]["predicted_score"]]


def test_essays_of_unknown_prompts_may_be_scored_as_of_the_nearest(model_dir, tmp_path):
    rows = [ROWS[0], {**ROWS[0], "prompt_id": "new", "prompt": "WRITE about: a!"}]
    run(model_dir, write(tmp_path / "in.csv", rows), tmp_path / "out.jsonl", "--unknown-prompt", "nearest")
    known, new = (json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines())
    assert (known["scored_as_prompt"], new["scored_as_prompt"], new["prompt_id"]) == ("a", "a", "new")
    assert new["predicted_score"] == known["predicted_score"]
    write(tmp_path / "odd.csv", [{**rows[1], "prompt": "Xyzzy"}])
    with pytest.raises(InputError, match="row 1: the text of this prompt has no word of two letters or more in common"):
        run(model_dir, tmp_path / "odd.csv", tmp_path / "odd-out.csv", "--unknown-prompt", "nearest")
    write(tmp_path / "untold.csv", [{"prompt_id": "new", "essay": "An essay."}])
    with pytest.raises(InputError, match="row 1: which of the model's prompts is nearest is told by the text"):
        run(model_dir, tmp_path / "untold.csv", tmp_path / "untold-out.csv", "--unknown-prompt", "nearest")


def test_a_row_that_names_no_prompt_is_an_error_whatever_the_rule(model_dir):
    scorer = EssayScorer.from_pretrained(model_dir, device="cpu")
    for unknown in ("error", "nearest", "skip"):
        with pytest.raises(InputError, match="here: No prompt_id"):
            PromptRule(scorer, unknown).prompt_of(None, None, "here")
        assert PromptRule(scorer, unknown).prompt_of(None, " Write about b. ", "here") == "b"
    assert PromptRule(scorer, "skip").prompt_of(None, "Another task.", "here") is None


def test_an_id_beside_the_text_of_another_prompt_is_no_known_prompt(model_dir):
    scorer = EssayScorer.from_pretrained(model_dir, device="cpu")
    scorer.model.config.prompt_texts = {"a": "Should phones stay in lockers?", "b": "Is homework of use?"}
    for unknown in ("error", "nearest", "skip"):
        assert PromptRule(scorer, unknown).prompt_of("b", "Is  homework\nof use?", "here") == "b"
    with pytest.raises(
        InputError, match="here: prompt_id 'a' stands beside a text that is not that of the model's prompt 'a'"
    ):
        PromptRule(scorer).prompt_of("a", "Is homework of use?", "here")
    assert PromptRule(scorer, "nearest").prompt_of("a", "Is homework of use?", "here") == "b"
    assert PromptRule(scorer, "skip").prompt_of("a", "Is homework of use?", "here") is None
    # What stands for a text that is not known contradicts nothing, on either side.
    assert PromptRule(scorer).prompt_of("a", "Prompt a", "here") == "a"
    scorer.model.config.prompt_texts = None
    assert PromptRule(scorer).prompt_of("a", "Is homework of use?", "here") == "a"


@pytest.mark.parametrize(
    ("role", "column", "value", "other"),
    [("prompt_id", "prompt", "b", "prompt"), ("prompt", "prompt_id", "Is homework of use?", "prompt_id")],
)
def test_a_column_that_is_named_holds_nothing_else(model_dir, tmp_path, role, column, value, other):
    """Ids in a column `prompt` are no texts, and texts in a column `prompt_id` no ids."""
    scorer = EssayScorer.from_pretrained(model_dir, device="cpu")
    scorer.model.config.prompt_texts = {"a": "Should phones stay in lockers?", "b": "Is homework of use?"}
    row = {"essay": "Essay 1 is good.", column: value}
    found = check_row(row, "here", InputColumns(**{role: column}), None, PromptRule(scorer))
    assert found == "b"
    names = ColumnNames(**{role: column}).resolve(["essay", "score", column], "a table")
    assert (getattr(names, role), getattr(names, other)) == (column, None)


def test_one_prompt_for_all_is_not_that_of_another(model_dir, tmp_path):
    rows = [{**ROWS[0], "prompt_id": "a"}, {**ROWS[0], "prompt_id": "elsewhere"}, {**ROWS[0], "prompt_id": "b"}]
    source = write(tmp_path / "in.csv", rows)
    with pytest.raises(InputError, match="row 3: the essay is one of prompt 'b', and --prompt-id a says that all are"):
        run(model_dir, source, tmp_path / "out.csv", "--prompt-id", "a")
    # What the model does not know may be another name of it.
    run(model_dir, write(source, rows[:2]), tmp_path / "out.csv", "--prompt-id", "a")
    assert len(read(tmp_path / "out.csv")) == 2


def test_one_prompt_for_all_is_not_that_of_anothers_text(model_dir):
    scorer = EssayScorer.from_pretrained(model_dir, device="cpu")
    texts = scorer.model.config.prompt_texts = {"a": "Should phones stay in lockers?", "b": "Is homework of use?"}
    rule, row = PromptRule(scorer), {"essay": "Essay 1 is good."}
    with pytest.raises(InputError, match="here: the essay is one of prompt 'b', and `prompt_id` a says"):
        check_row({**row, "prompt": "Is homework\n of use? "}, "here", InputColumns(), "a", rule)
    for text in (texts["a"], "What nobody knows.", ""):
        assert check_row({**row, "prompt": text}, "here", InputColumns(), "a", rule) == "a"
    # One text of two prompts is told by the id.
    scorer.model.config.prompt_texts = dict.fromkeys("ab", "Write an essay.")
    assert check_row({**row, "prompt": "Write an essay."}, "here", InputColumns(), "a", PromptRule(scorer)) == "a"


def test_a_column_that_is_called_none_is_not_read(model_dir):
    scorer = EssayScorer.from_pretrained(model_dir, device="cpu")
    scorer.model.config.prompt_texts = {"a": "Should phones stay in lockers?", "b": "Is homework of use?"}
    row = {"": "0", "essay": "Essay 1 is good.", "prompt_id": "A17", "task": "Is homework of use?"}
    columns = InputColumns(prompt_id="", prompt="task")
    check_columns(row, "here", columns, ())
    assert check_row(row, "here", columns, None, PromptRule(scorer)) == "b"
    with pytest.raises(InputError, match="Unknown prompt_id 'A17'"):
        check_row(row, "here", InputColumns(prompt="task"), None, PromptRule(scorer))


def test_bad_rows_are_set_aside(model_dir, tmp_path, capsys):
    rows = [ROWS[0], {**ROWS[0], "essay": "  "}, ROWS[1], ROWS[2]]
    source, output = write(tmp_path / "in.csv", rows), tmp_path / "out.csv"
    run(model_dir, source, output, "--on-error", "skip")
    assert [row["essay"] for row in read(output)] == [ROWS[0]["essay"], ROWS[2]["essay"]]
    rejected = read(tmp_path / "out.csv.rejected.csv")
    assert [{name: row[name] for name in rows[0]} for row in rejected] == rows[1:3]
    assert "row 2: the essay is empty" in rejected[0]["reason"] and "Unknown prompt_id 'z'" in rejected[1]["reason"]
    assert "2 rows cannot be used; they are in" in capsys.readouterr().err
    with pytest.raises(InputError, match="exists"):
        run(model_dir, source, tmp_path / "out.csv", "--on-error", "skip")
    with pytest.raises(InputError, match="^--on-error skip needs an --output that is a file"):
        run(model_dir, source, "-", "--on-error", "skip")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--prompt-id-column", "task"],
            "row 1: no column 'task'; there are prompt_id, .* Name it with --prompt-id-column",
        ),
        (["--prompt-column", "Prompt"], "no column 'Prompt'; .*Did you mean 'prompt'.*--prompt-column"),
        (["--essay-column", "text"], "no column 'text'; .*--essay-column"),
        (["--prompt-id", "a", "--prompt-id-column", "x"], "^--prompt-id-column has no effect with --prompt-id"),
    ],
)
def test_columns_that_are_named_must_be_there(model_dir, tmp_path, options, message):
    source = write(tmp_path / "in.csv", ROWS)
    with pytest.raises(InputError, match=message):
        run(model_dir, source, tmp_path / "out.csv", *options)
    assert not (tmp_path / "out.csv").exists()


def test_rows_that_were_set_aside_and_mended_are_not_replaced_by_those_of_the_next_run(model_dir, tmp_path):
    mended = write(tmp_path / "out.csv.rejected.csv", ROWS[:1])
    before = mended.read_bytes()
    with pytest.raises(
        InputError, match=r"--input .*rejected\.csv is in the output .*rejected\.csv.*Choose another output"
    ):
        run(model_dir, mended, tmp_path / "out.csv", "--on-error", "skip", "--overwrite")
    assert mended.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == [mended.name]


def test_a_row_of_json_lines_without_an_essay_is_a_bad_row(model_dir, tmp_path):
    source = tmp_path / "in.jsonl"
    rows = [{"prompt_id": "a", "essay": "Essay one is good."}, {"prompt_id": "a"}]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(InputError, match="row 2: no column 'essay'"):
        run(model_dir, source, tmp_path / "out.jsonl")
    run(model_dir, source, tmp_path / "out.jsonl", "--on-error", "skip")
    assert len((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()) == 1
    assert "no column 'essay'" in read(tmp_path / "out.jsonl.rejected.csv")[0]["reason"]
    # What the first row lacks, the table lacks.
    source.write_text(json.dumps({"prompt_id": "a", "text": "Essay one is good."}) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="no column 'essay'; there are prompt_id, text"):
        run(model_dir, source, tmp_path / "other.jsonl", "--on-error", "skip")


def test_rows_that_are_set_aside_are_safe_for_spreadsheets_too(model_dir, tmp_path):
    source = write(tmp_path / "in.csv", [ROWS[0], {"prompt_id": "=1+1", "prompt": "", "essay": "@ is a sign."}])
    options = ["--on-error", "skip", "--safe-for-spreadsheets"]
    run(model_dir, source, tmp_path / "out.csv", *options)
    [rejected] = read(tmp_path / "out.csv.rejected.csv")
    assert (rejected["prompt_id"], rejected["essay"]) == ("'=1+1", "'@ is a sign.")
