"""`trm-aes report` from end to end: what it writes, what it uses again, what it refuses."""

import json
import shutil

import pytest

from trm_aes.cli import build, evaluate, report
from trm_aes.errors import InputError
from trm_aes.records import EvaluationRecord
from trm_aes.report.files import read_report
from trm_aes.scoring.scorer import EssayScorer


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, model_dir, data_dir):
    """A scorer with an evaluation beside it."""
    model = tmp_path_factory.mktemp("report") / "model"
    shutil.copytree(model_dir, model)
    evaluate.main(["--model", str(model), "--data", str(data_dir)])
    return model


@pytest.fixture
def unscored(monkeypatch):
    """Whoever scores now fails."""

    def refuse(*args, **kwargs):
        raise AssertionError("scored twice")

    monkeypatch.setattr(EssayScorer, "score_tokens", refuse)


def run(model, data, *more):
    attacks = [] if "--attacks" in more else ["--attacks", "none"]
    report.main(["--model", str(model), "--data", str(data), *attacks, *map(str, more)])


def test_the_evaluation_beside_the_scorer_is_used_again(evaluated, data_dir, unscored, capsys):
    run(evaluated, data_dir)
    made = read_report(evaluated / "report-test")
    record = EvaluationRecord.read(evaluated / "evaluation-test")
    for prompt in made.agreement:
        assert prompt.measures["qwk"].value == pytest.approx(record.by_prompt[prompt.prompt_id]["qwk"])
        assert prompt.measures["ridge_qwk"].value == pytest.approx(record.ridge.qwk[prompt.prompt_id])
        assert prompt.measures["rater_qwk"].value == pytest.approx(record.rater_qwk[prompt.prompt_id])
    assert made.distributions == record.distributions
    assert made.command[:2] == ["trm-aes", "report"] and made.subject.split == "test"
    printed = capsys.readouterr().out
    assert f"The scores are those of {evaluated / 'evaluation-test'}." in printed
    assert all(sentence in printed for sentence in made.sentences)
    assert {path.name for path in (evaluated / "report-test").iterdir()} >= {"report.json", "tables"}
    json.loads((evaluated / "report-test" / "report.json").read_text(), parse_constant=pytest.fail)


def test_scores_made_now_are_the_same(evaluated, model_dir, data_dir, tmp_path, unscored, monkeypatch, capsys):
    run(evaluated, data_dir, "--output-dir", tmp_path / "used")
    monkeypatch.undo()
    run(model_dir, data_dir, "--output-dir", tmp_path / "scored")
    assert "holds no evaluation.json" in capsys.readouterr().out
    used, scored = (read_report(tmp_path / name) for name in ("used", "scored"))
    assert (used.overall, used.agreement, used.flags) == (scored.overall, scored.agreement, scored.flags)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda record: record["checksums"].update(weights_sha256="0"), "is of another state of the scorer"),
        (lambda record: record["checksums"].update(data_sha256="0"), "is of another data set"),
        (lambda record: record.update(split="validation"), "is of another split"),
        (lambda record: record.pop("checksums"), "is of another data set"),
        (lambda record: record.pop("by_prompt"), "lacks 'by_prompt'"),
    ],
)
def test_an_evaluation_that_is_not_current_is_not_used(evaluated, data_dir, tmp_path, change, said, capsys):
    model = tmp_path / "model"
    shutil.copytree(evaluated, model)
    path = model / "evaluation-test" / "evaluation.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    run(model, data_dir, "--output-dir", tmp_path / "report")
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("The essays are scored now: ")]
    assert said in line


def test_predictions_that_were_changed_are_not_used(evaluated, data_dir, tmp_path, capsys):
    model = tmp_path / "model"
    shutil.copytree(evaluated, model)
    predictions = model / "evaluation-test" / "predictions.csv"
    predictions.write_text(predictions.read_text().replace("0", "1", 1))
    run(model, data_dir, "--output-dir", tmp_path / "report")
    assert "predictions.csv is not as it was written." in capsys.readouterr().out


def test_a_reference_and_group_columns(evaluated, data_dir, tmp_path, unscored):
    options = ("--group-columns", "rater2", "--least-n", "2", "--seed", "3")
    reference = evaluated / "evaluation-test" / "evaluation.json"
    run(evaluated, data_dir, "--output-dir", tmp_path / "one", *options, "--reference", reference)
    made = read_report(tmp_path / "one")
    assert [column.column for column in made.fairness] == ["rater2"] and made.fairness[0].least_n == 2
    assert made.subject.seed == 3 and "test" in made.drift.reference
    # Six essays a prompt are too few to compare.
    assert not made.drift.rows and any(said.startswith("Not compared with the reference") for said in made.limits)


def test_attacks_are_run_flagged_and_said(evaluated, data_dir, tmp_path, unscored, monkeypatch):
    run(evaluated, data_dir, "--output-dir", tmp_path / "none")
    assert any(said.startswith("No attack was run") for said in read_report(tmp_path / "none").limits)
    monkeypatch.undo()
    run(evaluated, data_dir, "--output-dir", tmp_path / "two", "--attacks", "text duplicated, words shuffled")
    made = read_report(tmp_path / "two")
    # In the order in which attacks are listed, not in that of the command.
    assert [effect.name for effect in made.robustness] == ["words shuffled", "text duplicated"]
    assert made.robustness[0].n > 0 and made.robustness[0].mean_change.value is not None
    flagged = {flag.where: flag.measure for flag in made.flags if flag.where.startswith("attack: ")}
    assert flagged == {
        "attack: words shuffled": "mean change of the score in SD",
        "attack: text duplicated": "share of scores that rise",
    }
    assert not any(said.startswith("No attack was run") for said in made.limits)


REFUSED = {
    "no split": (["--split", "dev"], r"--split dev: .* has train, validation, test"),
    "no column": (["--group-columns", "gender"], r"--group-columns gender: .* has rater1, rater2"),
    "column twice": (["--group-columns", "a,a"], "--group-columns a,a: a name stands twice"),
    "no attack": (
        ["--attacks", "words shufled"],
        "--attacks words shufled: no such attack. There are .*words shuffled",
    ),
    "attack twice": (["--attacks", "typos,typos"], "--attacks typos,typos: a name stands twice"),
    "no attack named": (["--attacks", ","], "--attacks names nothing"),
    "no name": (["--group-columns", ","], "--group-columns names nothing"),
    "least n": (["--least-n", "0"], "--least-n must be at least 1, got 0"),
    "no reference": (["--reference", "nowhere.json"], "nowhere.json does not exist"),
    "no data": (["--data", "nowhere"], "nowhere does not exist"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_and_nothing_is_written(evaluated, data_dir, tmp_path, unscored, capsys, case):
    options, said = REFUSED[case]
    with pytest.raises(InputError, match=said):
        run(evaluated, data_dir, "--output-dir", tmp_path / "report", *options)
    assert not list(tmp_path.iterdir())
    assert "scored now" not in capsys.readouterr().out


def test_only_a_report_is_replaced(evaluated, data_dir, tmp_path, unscored):
    run(evaluated, data_dir, "--output-dir", tmp_path / "report")
    with pytest.raises(InputError, match="exists"):
        run(evaluated, data_dir, "--output-dir", tmp_path / "report")
    run(evaluated, data_dir, "--output-dir", tmp_path / "report", "--overwrite")
    with pytest.raises(InputError, match="is not what `trm-aes report` wrote"):
        run(evaluated, data_dir, "--output-dir", evaluated, "--overwrite")
    with pytest.raises(InputError, match="--output-dir is needed where --model is not a folder"):
        run("user/scorer", data_dir)


def test_prompts_that_the_scorer_does_not_know_are_named_before_anything_is_scored(
    evaluated, essays_csv, tmp_path, unscored, capsys
):
    table = tmp_path / "essays.csv"
    table.write_text(essays_csv.read_text(encoding="utf-8").replace(",a,", ",letter,"), encoding="utf-8")
    build.main(["--source", str(table), "--output-dir", str(tmp_path / "data")])
    with pytest.raises(InputError, match=r"split test: prompt letter is not one that .* scores, .*: it scores a, b\.$"):
        run(evaluated, tmp_path / "data", "--output-dir", tmp_path / "report")
    assert not (tmp_path / "report").exists() and "scored now" not in capsys.readouterr().out


def test_no_report_or_evaluation_takes_the_place_of_what_it_reads(evaluated, data_dir, tmp_path):
    run(evaluated, data_dir, "--output-dir", tmp_path / "earlier")
    reference = tmp_path / "earlier" / "report.json"
    content = reference.read_bytes()
    with pytest.raises(InputError, match="--reference .*earlier/report.json is in the output .*earlier"):
        run(evaluated, data_dir, "--output-dir", tmp_path / "earlier", "--reference", reference, "--overwrite")
    assert reference.read_bytes() == content
    shutil.copytree(evaluated / "evaluation-test", tmp_path / "measured")
    shutil.copytree(evaluated, tmp_path / "measured" / "model")
    with pytest.raises(InputError, match="--model .*measured/model is in the output .*measured"):
        evaluate.main(
            ["--model", str(tmp_path / "measured" / "model"), "--data", str(data_dir)]
            + ["--output-dir", str(tmp_path / "measured"), "--overwrite"]
        )
    assert (tmp_path / "measured" / "model" / "model.safetensors").is_file()
