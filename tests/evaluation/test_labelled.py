"""`trm-aes evaluate` on a table that was not built, on prompts that the model does not know, and into which folder."""

import json
import shutil

import pandas as pd
import pytest

from trm_aes.cli import build, evaluate
from trm_aes.data.dataset import load_essay_dataset
from trm_aes.errors import InputError
from trm_aes.records import EvaluationRecord

SHOWN = ["essay_id", "prompt_id", "score", "predicted_score"]


def run(model_dir, *options):
    evaluate.main(["--model", str(model_dir), *map(str, options)])


@pytest.fixture(scope="module")
def test_essays(data_dir):
    """The test essays of the data set, as a table."""
    frame = load_essay_dataset(data_dir).splits["test"].to_pandas()
    return frame[["essay_id", "prompt_id", "prompt", "essay", "score", "rater1", "rater2"]]


def test_a_table_is_measured_as_the_split_that_it_came_from(model_dir, data_dir, test_essays, tmp_path, capsys):
    test_essays.to_csv(tmp_path / "labelled.csv", index=False)
    run(model_dir, "--data", data_dir, "--output-dir", tmp_path / "built")
    run(model_dir, "--input", tmp_path / "labelled.csv", "--output-dir", tmp_path / "table")
    built, table = EvaluationRecord.read(tmp_path / "built"), EvaluationRecord.read(tmp_path / "table")
    assert table.by_prompt == built.by_prompt and table.means == built.means and table.rater_qwk == built.rater_qwk
    assert (table.split, table.constant_mean_qwk, table.ridge) == ("input", None, None)
    assert table.data["source"] == str(tmp_path / "labelled.csv")
    scores = [pd.read_csv(tmp_path / name / "predictions.csv")[SHOWN] for name in ("built", "table")]
    pd.testing.assert_frame_equal(*scores, rtol=1e-5)
    assert "constant predictor (each prompt's mean training score): no figure" in capsys.readouterr().out


def test_prompts_are_told_by_id_by_text_or_for_all(model_dir, test_essays, tmp_path):
    only_a = test_essays[test_essays["prompt_id"] == "a"]
    renamed = only_a.rename(columns={"prompt_id": "Task", "essay": "Text", "score": "Mark", "rater1": "h1"})
    names = ["--essay-column", "Text", "--score-column", "Mark"]
    for name, frame, options in (
        ("id", renamed.drop(columns="prompt"), ["--prompt-id-column", "Task"]),
        ("text", renamed.drop(columns="Task"), []),
        ("all", renamed.drop(columns=["Task", "prompt"]), ["--prompt-id", "a"]),
    ):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
        run(model_dir, "--input", tmp_path / f"{name}.csv", "--output-dir", tmp_path / name, *names, *options)
    records = [EvaluationRecord.read(tmp_path / name) for name in ("id", "text", "all")]
    assert list(records[0].by_prompt) == ["a"]
    assert records[0].by_prompt == records[1].by_prompt == records[2].by_prompt


def test_one_prompt_for_all_is_not_that_of_another(model_dir, test_essays, tmp_path):
    test_essays.to_csv(tmp_path / "t.csv", index=False)
    test_essays.drop(columns="prompt_id").to_csv(tmp_path / "texts.csv", index=False)
    for name in ("t.csv", "texts.csv"):
        with pytest.raises(
            InputError, match="the essay is one of prompt 'b', and --prompt-id a says that all are of another"
        ):
            run(model_dir, "--input", tmp_path / name, "--prompt-id", "a", "--output-dir", tmp_path / "e")
    with pytest.raises(InputError, match="--unknown-prompt has no effect with --prompt-id"):
        more = ["--prompt-id", "a", "--unknown-prompt", "skip", "--output-dir", tmp_path / "e"]
        run(model_dir, "--input", tmp_path / "t.csv", *more)


def test_a_scale_that_is_named_by_halves_is_refused(model_dir, test_essays, tmp_path):
    test_essays.assign(lo=0, stp=1).to_csv(tmp_path / "t.csv", index=False)
    common = ["--input", tmp_path / "t.csv", "--output-dir", tmp_path / "e"]
    for option, column in (("--min-score-column", "lo"), ("--score-step-column", "stp")):
        with pytest.raises(InputError, match="max_score|both|has no effect"):
            run(model_dir, *common, option, column)
    assert not (tmp_path / "e").exists()


def test_unknown_prompts(model_dir, test_essays, tmp_path):
    table = test_essays.assign(prompt=test_essays["prompt"].where(test_essays["prompt_id"] == "a", "Tell us about b!"))
    table = table.assign(prompt_id=table["prompt_id"].replace("b", "new"))
    table.to_csv(tmp_path / "t.csv", index=False)
    common = ["--input", tmp_path / "t.csv", "--output-dir"]
    with pytest.raises(InputError, match="row 1: Unknown prompt_id 'new'; .*--unknown-prompt"):
        run(model_dir, *common, tmp_path / "e")
    run(model_dir, *common, tmp_path / "skip", "--unknown-prompt", "skip")
    skipped = pd.read_csv(tmp_path / "skip" / "predictions.csv")
    assert set(skipped["prompt_id"]) == set(skipped["scored_as_prompt"]) == {"a"}
    with pytest.raises(InputError, match="prompt 'new' range.*give --score-range"):
        run(model_dir, *common, tmp_path / "e", "--unknown-prompt", "nearest")
    more = ["--unknown-prompt", "nearest", "--score-range", "new=1:4"]
    run(model_dir, *common, tmp_path / "near", *more)
    nearest = pd.read_csv(tmp_path / "near" / "predictions.csv")
    assert dict(zip(nearest["prompt_id"], nearest["scored_as_prompt"], strict=True)) == {"a": "a", "new": "a"}
    assert nearest.loc[nearest["prompt_id"] == "new", "predicted_score"].between(1, 4).all()


def test_a_known_id_beside_another_prompts_text_is_not_what_an_essay_answers(model_dir, test_essays, tmp_path):
    """As `trm-aes score` has it: the nearest text tells."""
    shutil.copytree(model_dir, tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    texts = {"a": "Should phones stay in lockers?", "b": "Is homework of use?"}
    (tmp_path / "model" / "config.json").write_text(json.dumps({**config, "prompt_texts": texts}), encoding="utf-8")
    table = test_essays[test_essays["prompt_id"] == "b"].assign(prompt_id="a", prompt=texts["b"])
    table.to_csv(tmp_path / "t.csv", index=False)
    common = ["--input", tmp_path / "t.csv", "--output-dir", tmp_path / "e"]
    with pytest.raises(InputError, match="prompt_id 'a' stands beside a text that is not that of the model's prompt"):
        run(tmp_path / "model", *common)
    run(tmp_path / "model", *common, "--unknown-prompt", "nearest")
    found = pd.read_csv(tmp_path / "e" / "predictions.csv")
    assert set(found["prompt_id"]) == set(found["scored_as_prompt"]) == {"b"} and len(found) == len(table)


def test_unknown_prompts_of_a_data_set(model_dir, test_essays, tmp_path):
    table = pd.concat(test_essays.assign(essay_id=f"{n}-" + test_essays["essay_id"], essay=test_essays["essay"] + f" {n}")
                      for n in range(5))  # fmt: skip
    table.assign(prompt_id=table["prompt_id"].replace("b", "new")).to_csv(tmp_path / "t.csv", index=False)
    limits = ["--max-tokens", "64", "--max-prompt-tokens", "8"]
    build.main(["--source", str(tmp_path / "t.csv"), "--output-dir", str(tmp_path / "data"), *limits])
    common = ["--data", tmp_path / "data", "--output-dir", tmp_path / "e"]
    with pytest.raises(InputError, match="Unknown prompt_id 'new'"):
        run(model_dir, *common)
    run(model_dir, *common, "--unknown-prompt", "skip")
    predictions = pd.read_csv(tmp_path / "e" / "predictions.csv")
    assert (
        set(predictions["prompt_id"]) == {"a"} and EvaluationRecord.read(tmp_path / "e").constant_mean_qwk is not None
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Give --data, a data set, or --input, .*one of them"),
        (["--data", "d", "--input", "t.csv"], "Give --data, a data set, or --input, .*one of them"),
        (["--input", "t.csv", "--split", "test"], "^--split has no effect with --input"),
        (["--data", "d", "--essay-column", "x"], "^--essay-column has no effect with --data"),
        (["--data", "d", "--prompt-id", "x"], "^--prompt-id has no effect with --data"),
        (
            ["--input", "t.csv", "--prompt-id", "a", "--prompt-column", "x"],
            "^--prompt-column has no effect with --prompt-id",
        ),
        (["--input", "none.csv"], "none.csv does not exist"),
        (["--input", "t.csv", "--essay-column", "Essay"], "no column 'Essay'; .*Did you mean 'essay'.*--essay-column"),
        (["--input", "t.csv", "--score-range", "a=0:9"], "range from 0 to 9, those of .* from 0 to 3"),
        (["--input", "t.csv", "--score-range", "c=0:9"], "^--score-range: .* has no prompt 'c'"),
    ],
)
def test_what_has_no_effect_or_is_not_there(model_dir, data_dir, test_essays, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    test_essays.to_csv("t.csv", index=False)
    shutil.copytree(data_dir, "d")
    with pytest.raises(InputError, match=message):
        run(model_dir, *options, "--output-dir", "out")
    assert not (tmp_path / "out").exists()


def test_each_data_set_has_a_folder_of_its_own(model_dir, data_dir, test_essays, tmp_path, monkeypatch):
    model, other = tmp_path / "model", tmp_path / "other"
    shutil.copytree(model_dir, model)
    shutil.copytree(data_dir, other)
    card = json.loads((other / "dataset_card.json").read_text(encoding="utf-8"))
    (other / "dataset_card.json").write_text(json.dumps({**card, "source_sha256": "0" * 64}), encoding="utf-8")
    test_essays.to_csv(tmp_path / "spring.2026.csv", index=False)
    for options in (
        ["--data", data_dir],
        ["--data", other, "--split", "validation"],
        ["--input", tmp_path / "spring.2026.csv"],
    ):
        run(model, *options)
    assert {path.name for path in model.glob("evaluation-*")} == {
        "evaluation-test",
        "evaluation-other-validation",
        "evaluation-input-spring.2026",
    }
    # Whether it is there is looked at before anything is loaded.
    monkeypatch.setattr("trm_aes.scoring.scorer.EssayScorer.from_pretrained", None)
    with pytest.raises(InputError, match=r"evaluation-input-spring\.2026 exists"):
        run(model, "--input", tmp_path / "spring.2026.csv")
