"""Agreement of traits: by hand, in the record, the table and the predictions, of data sets and of tables."""

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from trm_aes.cli import evaluate
from trm_aes.data.dataset import load_essay_dataset
from trm_aes.errors import InputError
from trm_aes.evaluation.traits import trait_agreement, traits_table
from trm_aes.evaluation.written import read_predictions
from trm_aes.files import write_json
from trm_aes.model.score_scale import ScoreRange
from trm_aes.records import EvaluationRecord
from trm_aes.scoring.scorer import EssayScorer

RANGES = {"style": {"1": ScoreRange(0, 4), "2": ScoreRange(0, 2, 0.5)}, "voice": {"2": ScoreRange(1, 6)}, "tone": {}}


def made_up():
    rng = np.random.default_rng(0)
    prompt_ids = np.array(["1", "2"] * 30)
    style = np.where(prompt_ids == "1", rng.integers(0, 5, 60), rng.integers(0, 5, 60) / 2)
    style[:6] = np.nan
    voice = np.where(prompt_ids == "2", rng.integers(1, 7, 60), np.nan)
    noise = rng.normal(0, 0.6, (2, 60))
    return pd.DataFrame(
        {
            "prompt_id": prompt_ids, "style": style, "voice": voice,
            "predicted_style": style + noise[0], "predicted_voice": (voice + noise[1]).astype(object),
        }
    ).assign(predicted_style=lambda frame: frame["predicted_style"].fillna(1.0))  # fmt: skip


def test_qwk_by_trait_and_prompt_and_both_means():
    predictions = made_up()
    found = trait_agreement(predictions, RANGES)
    expected = {}
    for trait, prompt_id, low, step, most in (
        ("style", "1", 0, 1, 4),
        ("style", "2", 0, 0.5, 4),
        ("voice", "2", 1, 1, 5),
    ):
        rows = predictions[(predictions["prompt_id"] == prompt_id) & predictions[trait].notna()]
        gold, predicted = (
            np.clip(np.floor((rows[name].astype(float) - low) / step + 0.5), 0, most)
            for name in (trait, f"predicted_{trait}")
        )
        kappa = cohen_kappa_score(gold, predicted, labels=range(most + 1), weights="quadratic")
        expected[trait, prompt_id] = kappa
        assert found.by_trait[trait][prompt_id]["qwk"] == pytest.approx(kappa)
        # Essays without a human score are not among them.
        assert found.by_trait[trait][prompt_id]["n"] == (30 if trait == "voice" else 27)
    style = (expected["style", "1"] + expected["style", "2"]) / 2
    assert found.mean_qwk_by_trait == {"style": pytest.approx(style), "voice": pytest.approx(expected["voice", "2"])}
    assert found.mean_qwk == pytest.approx((style + expected["voice", "2"]) / 2)
    assert found.mean_qwk_of_pairs == pytest.approx(np.mean(list(expected.values())))
    lines = traits_table(found).splitlines()
    assert lines[1].split() == ["1", "2", "mean"]
    assert lines[3].split() == [
        "style",
        f"{expected['style', '1']:.3f}",
        f"{expected['style', '2']:.3f}",
        f"{style:.3f}",
    ]
    assert lines[4].split()[0] == "voice" and len(lines[4].split()) == 3
    assert lines[-1].startswith(f"mean trait QWK {found.mean_qwk:.3f} (mean over traits") and "all 3 pairs" in lines[-1]


def test_without_human_scores_there_is_no_agreement():
    predictions = made_up()
    assert trait_agreement(predictions.drop(columns=["style", "voice"]), RANGES) is None
    assert trait_agreement(predictions.assign(style=np.nan, voice=None), RANGES) is None


def test_a_human_score_off_the_scorers_scale_is_refused():
    predictions = made_up()
    predictions.loc[10, "style"] = 7.0
    with pytest.raises(InputError, match="1 scores of trait 'style' of prompt '1' .* 0 to 4; the first is 7"):
        trait_agreement(predictions, RANGES)


@pytest.fixture(scope="module")
def evaluated(trait_model_dir, trait_data_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated") / "evaluation"
    evaluate.main(["--model", str(trait_model_dir), "--data", str(trait_data_dir), "--output-dir", str(folder)])
    return folder


def test_an_evaluation_keeps_traits_in_the_record_and_the_predictions(evaluated, trait_model_dir, trait_data_dir):
    record, data = EvaluationRecord.read(evaluated), load_essay_dataset(trait_data_dir)
    scorer = EssayScorer.from_pretrained(trait_model_dir, "cpu")
    predictions = pd.read_csv(evaluated / "predictions.csv", dtype=str, keep_default_na=False)
    test = data.splits["test"].to_pandas()
    scores = scorer.score(list(test["essay"]), list(test["prompt_id"]))
    for row, (_, essay), score in zip(predictions.to_dict("records"), test.iterrows(), scores, strict=True):
        for trait in ("organization", "voice"):
            gold = essay[trait]
            shown = "" if np.isnan(gold) else str(int(gold) if gold == int(gold) else gold)
            assert row[trait] == shown
            if trait in score.traits:
                assert float(row[f"predicted_{trait}"]) == pytest.approx(score.traits[trait].score, abs=1e-4)
                assert row[f"rounded_{trait}"] == str(score.traits[trait].rounded_score)
            else:
                assert row[f"predicted_{trait}"] == row[f"rounded_{trait}"] == ""
    assert list(record.traits.by_trait) == ["organization", "voice"]
    rows = predictions[(predictions["prompt_id"] == "b")]
    kappa = cohen_kappa_score(rows["organization"].astype(int), rows["rounded_organization"].astype(int), weights="quadratic",
                              labels=range(1, 7))  # fmt: skip
    assert record.traits.by_trait["organization"]["b"]["qwk"] == pytest.approx(kappa)
    # Read again, by the report.
    again = read_predictions(evaluated, scorer, data, "test")
    assert again["predicted_voice"].notna().sum() == (test["prompt_id"] == "a").sum()
    assert again["rounded_organization"].dtype == float


def test_the_command_prints_the_table(trait_model_dir, trait_data_dir, tmp_path, capsys):
    words = ["--model", str(trait_model_dir), "--data", str(trait_data_dir), "--split", "validation"]
    evaluate.main([*words, "--output-dir", str(tmp_path / "e")])
    record = EvaluationRecord.read(tmp_path / "e")
    assert traits_table(record.traits) in capsys.readouterr().out


def test_records_of_earlier_versions_have_no_traits(evaluated, tmp_path):
    content = json.loads((evaluated / "evaluation.json").read_text(encoding="utf-8"))
    assert content["traits"] == asdict(EvaluationRecord.read(evaluated).traits)
    content.pop("traits")
    write_json(tmp_path / "evaluation.json", content)
    assert EvaluationRecord.read(tmp_path).traits is None


def test_a_data_set_without_traits_measures_the_score_alone(trait_model_dir, data_dir, tmp_path, capsys):
    evaluate.main(["--model", str(trait_model_dir), "--data", str(data_dir), "--output-dir", str(tmp_path / "e")])
    assert EvaluationRecord.read(tmp_path / "e").traits is None
    assert "QWK of traits" not in capsys.readouterr().out
    assert "predicted_voice" in (tmp_path / "e" / "predictions.csv").read_text(encoding="utf-8").splitlines()[0]


def test_a_table_is_measured_as_the_split_that_it_came_from(evaluated, trait_model_dir, trait_data_dir, tmp_path):
    test = load_essay_dataset(trait_data_dir).splits["test"].to_pandas()
    columns = ["essay_id", "prompt_id", "prompt", "essay", "score", "organization", "voice"]
    # What a table says of a trait that the prompt lacks is not looked at.
    test.assign(voice=test["voice"].fillna(9).where(test["prompt_id"] == "b", test["voice"]))[columns].to_csv(
        tmp_path / "table.csv", index=False
    )
    words = ["--model", str(trait_model_dir), "--input", str(tmp_path / "table.csv")]
    evaluate.main([*words, "--output-dir", str(tmp_path / "e")])
    assert EvaluationRecord.read(tmp_path / "e").traits == EvaluationRecord.read(evaluated).traits
    (tmp_path / "table.csv").write_text(
        "essay_id,prompt_id,prompt,essay,score,voice\nx,a,Write about a.,Good.,2,loud\n", encoding="utf-8"
    )
    with pytest.raises(InputError, match="row 1, column 'voice': 'loud' is not a number"):
        evaluate.main([*words, "--output-dir", str(tmp_path / "f")])
