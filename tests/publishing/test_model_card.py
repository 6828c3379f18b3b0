"""The card is made from the records beside a scorer, and from nothing else."""

import json
import shutil
from dataclasses import asdict, replace

import pytest
from made_up_report import bare_report, made_up_report

from trm_aes.errors import InputError
from trm_aes.files import write_json
from trm_aes.publishing.model_card import find_evaluation, find_report, render_model_card
from trm_aes.records import EvaluationRecord, RidgeRecord
from trm_aes.scoring.scorer import EssayScorer
from trm_aes.version import MIN_TRANSFORMERS_WITHOUT_PACKAGE


@pytest.fixture
def scorer(model_dir, tmp_path):
    """A copy of a trained scorer, whose record a test may change."""
    folder = tmp_path / "scorer"
    shutil.copytree(model_dir, folder, ignore=shutil.ignore_patterns("checkpoint-*"))
    return folder


def change_record(folder, edit):
    path = folder / "run.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def card_of(folder):
    return str(render_model_card(folder, "user/scorer", None, "mit"))


def test_the_card_names_the_lowest_transformers(scorer):
    assert f"With Transformers {MIN_TRANSFORMERS_WITHOUT_PACKAGE} or newer" in card_of(scorer)


def change_config(folder, **changes):
    path = folder / "config.json"
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps(content), encoding="utf-8")


def test_the_limits_are_those_of_the_scorers_own_checks(scorer):
    change_config(scorer, skip_repetition=True, passage_check=False)
    card = card_of(scorer)
    assert "word for word, is not read" in card and "fooled by unrelated text" in card
    assert "fooled by repeated text" not in card and "Passages of another topic" not in card
    change_config(scorer, skip_repetition=False, passage_check=True)
    card = card_of(scorer)
    assert "fooled by repeated text" in card and "Passages of another topic or words in no order" in card
    assert "word for word, is not read" not in card and "fooled by unrelated text" not in card


def test_the_topic_of_added_prompts_is_not_promised_to_be_checked(scorer):
    change_config(scorer, passage_check=True)
    told = {"prompts": {"winter": {"num_essays": 20}}}
    change_record(scorer, lambda content: content.update(adaptations=[told]))
    assert "Passages of another topic (but for the prompts added after training)" in card_of(scorer)


def test_the_example_prints_what_the_scorer_gives(scorer):
    change_config(scorer, review_by=None)
    assert "predicted_error" not in card_of(scorer)
    change_config(scorer, review_by="predicted_error")
    assert 'print(result["predicted_error"], result["score_low"], result["score_high"])' in card_of(scorer)


@pytest.mark.parametrize("recipe", ["fast", "default", "tiny"])
def test_the_card_of_ones_own_essays_has_no_figures_of_other_essays(scorer, recipe):
    change_record(scorer, lambda content: content["run"].update(recipe=recipe))
    card = card_of(scorer)
    assert f"Recipe `{recipe}`" in card and "essays.csv" in card and "ASAP" not in card


def test_of_a_recipe_file_the_card_gives_the_last_name(scorer):
    change_record(scorer, lambda content: content["run"].update(recipe="/home/someone/recipes/mine.json"))
    card = card_of(scorer)
    assert "Recipe `mine.json`" in card and "someone" not in card


def test_a_record_from_before_there_was_a_version_gives_the_same_card(scorer):
    card = card_of(scorer)
    change_record(scorer, lambda content: content.pop("format_version"))
    assert card_of(scorer) == card


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda content: content.pop("machine"), "run.json lacks 'machine'.*trm-aes train` wrote"),
        (lambda content: content["run"].pop("recipe"), "run.json, run lacks 'recipe'"),
        (lambda content: content.update(format_version=99), "format version 99"),
    ],
)
def test_a_record_that_is_not_ours_is_one_clear_error(scorer, edit, message):
    change_record(scorer, edit)
    with pytest.raises(InputError, match=message):
        card_of(scorer)


EVALUATION = EvaluationRecord(
    model="scorer",
    split="test",
    by_prompt={
        "a": {"n": 30, "qwk": 0.75, "adjacent_agreement": 1, "smd": 0.1},
        "b": {"n": 20, "qwk": 0.625, "adjacent_agreement": 0.95, "smd": None},
    },
    means={"mean_qwk": 0.6875},
    constant_mean_qwk=0,
    rater_qwk={"a": 0.8},
)
RIDGE = RidgeRecord(
    qwk={"a": 0.7, "b": 0.6}, mean_qwk=0.65, model_mean_qwk=0.6875, difference=0.0375, low=-0.01, high=0.08
)


def card_of_evaluation(folder, evaluation):
    (folder / "measured").mkdir(exist_ok=True)
    evaluation.write(folder / "measured")
    return str(render_model_card(folder, "user/scorer", folder / "measured" / "evaluation.json", "mit"))


def test_the_card_sets_ridge_regression_beside_the_scorer(scorer):
    lines = card_of_evaluation(scorer, replace(EVALUATION, ridge=RIDGE)).splitlines()
    place = lines.index("| prompt_id | essays | QWK | human-human QWK | ridge QWK | adjacent agreement | SMD |")
    assert lines[place + 1 : place + 5] == [
        "|---|---|---|---|---|---|---|",
        "| a | 30 | 0.750 | 0.800 | 0.700 | 1.000 | +0.10 |",
        "| b | 20 | 0.625 | not known | 0.600 | 0.950 |  |",
        "",
    ]
    assert lines[place + 7].endswith("on their own scale.") and lines[place + 8] == ""
    sentence = " ".join(lines[place + 9 : place + 11])
    assert (
        "has a mean QWK of 0.650; this model has 0.688 (+0.037, 95 % interval over essays -0.010 to 0.080)." in sentence
    )
    some = replace(RIDGE, qwk={"a": 0.7}, mean_qwk=0.7, model_mean_qwk=0.75)
    card = card_of_evaluation(scorer, replace(EVALUATION, ridge=some))
    assert "| b | 20 | 0.625 | not known | none | 0.950 |  |" in card
    assert "has a mean QWK of 0.700 over the prompts that have one; this model has 0.750 (" in card


def test_the_card_of_an_evaluation_without_a_ridge_names_none(scorer):
    card = card_of_evaluation(scorer, EVALUATION)
    assert "| a | 30 | 0.750 | 0.800 | 1.000 | +0.10 |" in card and "|---|---|---|---|---|---|\n" in card
    assert "idge" not in card


def card_of_report(folder, report):
    report_dir = folder / "report-test"
    report_dir.mkdir()
    write_json(report_dir / "report.json", asdict(report))
    return str(render_model_card(folder, "user/scorer", None, "mit", find_report(folder)))


def test_the_card_takes_sentences_flags_and_limits_from_the_report(scorer):
    assert find_report(scorer) is None
    report = made_up_report(prompt_ids=("1",))
    card = card_of_report(scorer, report)
    lines = card.splitlines()
    place = lines.index("### Report")
    assert lines[place + 1 : place + 4] == ["", "On the test split:", ""]
    assert lines[place + 4 : place + 7] == [f"- {sentence}" for sentence in report.sentences]
    table = lines.index("| flag | where | measure | value | threshold | source |")
    assert lines[table - 1] == lines[table + 4] == ""
    assert lines[table + 3] == "| amber | prompt 2 | QWK | 0.693 | at least 0.70 | Williamson, Xi and Breyer 2012 |"
    assert lines[table + 5].startswith(
        "2 other figures that are held against a threshold meet it. Red: missed; amber: "
    )
    assert "`report-test/report.html`" in card and "Not measured" not in card
    limits = lines[lines.index("## Limits") :]
    assert limits[-2:] == [f"- {sentence}" for sentence in report.limits]
    assert (
        "- Agreement on average says little about one essay. Measure it on your own essays before you rely on it."
        in limits
    )


def test_a_report_without_flags_gets_no_table(scorer):
    card = card_of_report(scorer, bare_report())
    assert "- Of one essay nothing can be said.\n\n0 figures that are held" in card and "| flag |" not in card
    # What that report has not measured is still said.
    assert "or about groups of writers. Measure both" in card


def test_figures_of_other_weights_are_not_the_scorers(scorer, caplog):
    """Of another scorer, or of this one before it was trained further."""
    own = EssayScorer.from_pretrained(scorer, "cpu").checksums()
    halved = EssayScorer.from_pretrained(scorer, "cpu", dtype="bfloat16").checksums()["weights_sha256"]
    for folder, weights, is_taken in (
        ("evaluation-test", own["weights_sha256"], True),
        ("halved", halved, True),
        ("other", "0" * 64, False),
    ):
        record = replace(EVALUATION, checksums={**own, "weights_sha256": weights})
        (scorer / folder).mkdir()
        record.write(scorer / folder)
        if is_taken:
            assert find_evaluation(scorer, scorer / folder) == scorer / folder / "evaluation.json"
            assert find_evaluation(scorer) == scorer / "evaluation-test" / "evaluation.json"
            continue
        with pytest.raises(InputError, match="other is of another scorer than .*Evaluate it anew"):
            find_evaluation(scorer, scorer / folder)
    record.write(scorer / "evaluation-test")
    assert find_evaluation(scorer) is None and "evaluation-test is left out" in caplog.text
    report = bare_report()
    (scorer / "report-test").mkdir()
    for weights, is_taken in ((None, True), (own["weights_sha256"], True), ("0" * 64, False)):
        subject = replace(report.subject, weights_sha256=weights)
        write_json(scorer / "report-test" / "report.json", asdict(replace(report, subject=subject)))
        assert (find_report(scorer) is not None) is is_taken
    assert "report-test is left out" in caplog.text


def test_the_card_says_that_essays_were_held_out_only_where_they_were(scorer):
    data = json.loads((scorer / "run.json").read_text(encoding="utf-8"))["data"]
    held_out = "took no part in training"
    own = {name: data[name] for name in ("source", "source_sha256", "essays_sha256")}
    assert held_out in card_of_evaluation(scorer, replace(EVALUATION, split="test", data=own))
    other_draw = {**own, "essays_sha256": "0" * 64}
    for evaluation, said in (
        (replace(EVALUATION, split="train", data=own), "On the split train of essays.csv;"),
        (replace(EVALUATION, split="test", data=other_draw), "On the split test of essays.csv;"),
        (
            replace(EVALUATION, split="input", data={"source": "/home/me/spring.csv", "source_sha256": "1"}),
            "On the split input of spring.csv;",
        ),
    ):
        card = card_of_evaluation(scorer, evaluation)
        assert said in card and held_out not in card
