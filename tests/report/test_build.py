"""A whole report: its figures are those of the measures, what is not defined is said, and planted bias is found."""

import json
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made_up_report import made_up_report
from report_data import SCORER, constant_frame, demo_frame, essay_data, predictions_of, report_of
from sklearn.metrics import cohen_kappa_score

from trm_aes.errors import InputError
from trm_aes.evaluation.agreement import score_metrics
from trm_aes.evaluation.bootstrap import Estimate
from trm_aes.model.advisories_trm import ADVISORY_RULES
from trm_aes.model.score_scale import ScoreRange
from trm_aes.report.advisories import advisory_rows, prompts_without_advisories
from trm_aes.report.build import ReportChoices, build_report
from trm_aes.report.files import read_report, write_report
from trm_aes.report.page import render_page
from trm_aes.report.record import MEASURES
from trm_aes.report.tables import report_tables, write_tables

SCALE = {"a": ScoreRange(0, 4)}


@pytest.fixture(scope="module")
def demo():
    return demo_frame()


@pytest.fixture(scope="module")
def report(demo):
    frame, scales, predicted, _ = demo
    train = frame.assign(score=frame["score"]).drop(columns="region")
    return report_of(essay_data(frame, scales, ("rater1", "rater2"), ("region",), train), predicted)


def is_whole(report):
    """No number that JSON does not have."""
    json.dumps(asdict(report), allow_nan=False)
    return True


def test_figures_are_those_of_the_measures(report, demo):
    frame, scales, predicted, _ = demo
    for prompt in report.agreement:
        rows = frame["prompt_id"] == prompt.prompt_id
        metrics = score_metrics(frame.loc[rows, "score"], predicted[rows], scales[prompt.prompt_id])
        for name, metric in {
            "qwk": "qwk", "qwk_continuous": "qwk_continuous", "exact": "accuracy", "adjacent": "adjacent_agreement",
            "pearson": "pearson_continuous", "rmse": "rmse_continuous",
        }.items():  # fmt: skip
            figure = prompt.measures[name]
            assert figure.value == pytest.approx(metrics[metric])
            assert figure.low <= figure.value <= figure.high
        assert list(prompt.measures) == [name for name in MEASURES if name != "ridge_qwk"]
        assert prompt.measures["degradation_qwk"].value == pytest.approx(
            prompt.measures["rater_qwk"].value - prompt.measures["qwk"].value
        )
        assert np.sum(prompt.confusion) == prompt.n == 100
        assert np.trace(prompt.confusion) / 100 == pytest.approx(prompt.measures["exact"].value)
        assert sum(row.n for row in prompt.by_level) == sum(row.n for row in prompt.by_length) == 100
        assert len(prompt.by_length) == 5 and len(prompt.scatter) == 100
    means = [np.mean([prompt.measures[name].value for prompt in report.agreement]) for name in report.overall]
    assert [figure.value for figure in report.overall.values()] == pytest.approx(means)
    widths = [figure.high - figure.low for figure in (report.overall["qwk"], report.agreement[0].measures["qwk"])]
    assert widths[0] < widths[1]


def test_errors_by_score_and_length_by_hand():
    data = essay_data(constant_frame([0, 0, 2, 2], essay=["a b", "a b c", "a", "a b c d"]), SCALE)
    [prompt] = report_of(data, [1, 0, 2, 1]).agreement
    assert prompt.labels == ["0", "1", "2"] and prompt.confusion == [[1, 1, 0], [0, 0, 0], [0, 1, 1]]
    assert [(row.label, row.n, row.mean_error.value) for row in prompt.by_level] == [("0", 2, 0.5), ("2", 2, -0.5)]
    assert prompt.by_level[0].rmse.value == pytest.approx(0.5**0.5)
    assert [(row.label, row.n) for row in prompt.by_length] == [(f"{n} words", 1) for n in (1, 2, 3, 4)]
    # One essay has no interval.
    assert prompt.by_length[0].mean_error == Estimate(value=0.0)


def test_planted_bias_of_a_group_is_flagged_and_none_without(demo, report):
    frame, scales, predicted, spread = demo
    biased = predicted - 0.5 * spread * (frame["region"] == "south")
    planted = report_of(essay_data(frame, scales, groups=("region",)), biased)
    red = {(flag.where, flag.measure) for flag in planted.flags if flag.level == "red"}
    assert ("region", "p of overall score difference") in red and ("region", "p of conditional score difference") in red
    assert {where for where, measure in red if measure == "DSM"} == {"region = north", "region = south"}
    assert "region" in planted.sentences[2]
    fair = [flag for flag in report.flags if flag.where.startswith("region")]
    assert len(fair) == 5 and all(flag.level == "green" for flag in fair)
    assert "region" not in report.sentences[2]
    [column] = planted.fairness
    assert [row.is_reference for row in column.groups] == [True, False]
    differences = {row.group: row.smd.value for row in column.groups}
    assert differences["south"] - differences["north"] == pytest.approx(-0.5, abs=0.1)


def test_it_is_read_as_it_was_written_and_each_section_is_a_table(report, tmp_path):
    write_report(report, tmp_path)
    assert read_report(tmp_path) == report
    tables = {path.stem: pd.read_csv(path) for path in (tmp_path / "tables").iterdir()}
    assert set(tables) == set(report_tables(report)) >= {"flags", "agreement", "raters", "groups", "group_tests"}
    qwk = tables["agreement"].set_index(["where", "measure"]).loc[("all prompts", "QWK")]
    assert [qwk["value"], qwk["value_low"], qwk["value_high"]] == pytest.approx(
        list(vars(report.overall["qwk"]).values())
    )
    assert tables["confusion"].groupby("prompt_id")["n"].sum().eq(100).all()


def test_what_labels_of_several_ratings_do_to_comparisons_is_said(report):
    # The demo's prompts: one label is the mean of two ratings, one the higher, one their sum.
    said = [sentence for sentence in report.limits if sentence.startswith("The scores of prompt")]
    assert [sentence.partition(" are ")[0].removeprefix("The scores of ") for sentence in said] == [
        "prompts mistake, phones",
        "prompt lot",
    ]


def test_another_seed_draws_other_samples_alone(demo):
    frame, scales, predicted, _ = demo
    one, other, again = (
        report_of(essay_data(frame, scales), predicted, seed=seed).overall["qwk"] for seed in (0, 1, 0)
    )
    assert one == again and one.value == other.value and one.low != other.low


LONG = constant_frame([0, 1, 2, 3, 4] * 4)
UNDEFINED = {
    "one essay": (constant_frame([2]), [2.2], {}, "Prompt a has one essay"),
    "one score": (constant_frame([2] * 5), [1, 2, 3, 2, 2], {}, "All 5 human scores of prompt a are 2"),
    "one prediction": (LONG, [2.0] * 20, {}, "The scorer gives all essays of prompt a one score"),
    "no raters": (LONG, LONG["score"], {}, "no columns of raters' scores"),
    "one rater": (LONG.assign(r=LONG["score"]), LONG["score"], {"raters": ["r"]}, "one column of raters' scores, r"),
    "no two ratings": (
        LONG.assign(r=[1.0, np.nan] * 10, s=[np.nan, 1.0] * 10), LONG["score"], {"raters": ["r", "s"]},
        "No essay of prompt a has scores of two raters",
    ),
    "raters of one score": (
        LONG.assign(r=1.0, s=1.0), LONG["score"], {"raters": ["r", "s"]}, "The raters of prompt a give one score throughout",
    ),
    "raters of another scale": (
        LONG.assign(r=LONG["score"] * 10 + 3, s=LONG["score"] * 10), LONG["score"], {"raters": ["r", "s"]},
        "How the scores of prompt a follow from its raters' scores cannot be told",
    ),
    "no groups": (LONG, LONG["score"], {}, "No column tells groups of writers"),
    "no training essays": (LONG, LONG["score"], {}, "There are no training essays apart"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNDEFINED)
def test_what_is_not_defined_is_a_sentence_and_never_a_number(case):
    frame, predicted, options, sentence = UNDEFINED[case]
    report = report_of(essay_data(frame, SCALE, **options), predicted)
    assert is_whole(report)
    assert [said for said in report.limits if sentence in said], report.limits
    assert all(figure.value is not None for figure in report.agreement[0].measures.values())
    if case in ("one essay", "one score"):
        assert not {"qwk", "pearson", "smd", "degradation_qwk"} & set(report.agreement[0].measures)
        assert report.sentences[0].startswith("How far the scorer agrees with people cannot be said")


def test_an_essay_alone_has_figures_without_intervals():
    measures = report_of(essay_data(constant_frame([2]), SCALE), [2.2]).overall
    assert measures == {
        "exact": Estimate(value=1.0),
        "adjacent": Estimate(value=1.0),
        "rmse": Estimate(value=pytest.approx(0.2)),
    }


def test_small_groups_are_left_out_and_said():
    frame = LONG.assign(g=["x"] * 9 + ["y"] * 8 + [None, " ", "z"])
    predicted = LONG["score"] + np.tile([0.3, -0.3, 0.1, 0.0], 5)
    data = essay_data(frame, SCALE, groups=("g",))
    [column] = report_of(data, predicted, least_n=8).fairness
    assert [(row.group, row.n) for row in column.groups] == [("x", 9), ("y", 8)]
    assert (
        column.left_out == {"(empty)": 2, "z": 1} and column.note is None and set(column.tests) == {"osa", "osd", "csd"}
    )
    [column] = report_of(data, predicted, least_n=9).fairness
    assert column.note == "Two groups of at least 9 essays are needed; x alone has so many." and not column.groups
    [column] = report_of(data, predicted).fairness
    assert column.note == "Two groups of at least 100 essays are needed; none has so many."
    [column] = report_of(data, [2.0] * 20, least_n=8).fairness
    assert column.note.startswith("On no prompt do human and predicted scores both vary")


def test_traits_are_measured_where_essays_have_scores_of_people():
    style = {"style": {"a": ScoreRange(1, 4)}, "voice": {"a": ScoreRange(1, 4)}}
    scorer = SimpleNamespace(**{**vars(SCORER), "trait_ranges": style, "score_ranges": SCALE})
    # The last essay has no human score of its style, and none has one of its voice.
    frame = constant_frame([0, 1, 2, 3, 4]).assign(style=[1.0, 2.0, 3.0, 4.0, None])
    data = essay_data(frame, SCALE, traits={"style": {"a": {"min_score": 1, "max_score": 4, "step": 1}}})
    predictions = predictions_of(data, frame["score"]).assign(
        predicted_style=[1.4, 2.0, 1.6, 9.0, 2.0], rounded_style=[1, 2, 2, 4, 2]
    )
    report = build_report(scorer, data, "test", predictions, ReportChoices())
    [row] = report.traits
    assert (row.trait, row.prompt_id, row.n) == ("style", "a", 4)
    # Scores of 1, 2, 2 and 4 (which is as high as there is), for 1 to 4.
    assert row.exact.value == 0.75 and row.adjacent.value == 1
    assert row.qwk.value == pytest.approx(cohen_kappa_score([1, 2, 3, 4], [1, 2, 2, 4], weights="quadratic"))
    assert row.smd.value == pytest.approx((1.4 + 2 + 1.6 + 4 - 10) / 4 / np.std([1, 2, 3, 4], ddof=1))
    assert row.qwk.low < row.qwk.value <= row.qwk.high and is_whole(report)
    assert [row["trait"] for row in report_tables(report)["traits"]] == ["style"]
    without = build_report(
        scorer, essay_data(LONG, SCALE), "test", predictions_of(essay_data(LONG, SCALE), LONG["score"]), ReportChoices()
    )
    assert not without.traits and any("no human scores of the scorer's traits" in limit for limit in without.limits)
    # A column of that name that was not named as a trait may hold anything.
    unnamed = essay_data(frame.assign(style="Red Cross"), SCALE)
    assert not build_report(scorer, unnamed, "test", predictions, ReportChoices()).traits


@pytest.mark.parametrize("name", ["length", "ridge", "predicted_score"])
def test_groups_may_be_called_like_what_a_report_works_out(name):
    cells = ["short"] * 9 + ["long"] * 11
    data = essay_data(LONG.assign(**{name: cells}), SCALE, groups=(name,), train=LONG.assign(essay="Some words."))
    predicted = LONG["score"] + np.tile([0.3, -0.3, 0.1, 0.0], 5)
    report = report_of(data, predicted, least_n=8)
    [column] = report.fairness
    assert [(row.group, row.n) for row in column.groups] == [("long", 11), ("short", 9)]
    plain = report_of(essay_data(LONG, SCALE, train=LONG.assign(essay="Some words.")), predicted)
    assert report.overall == plain.overall


def test_those_without_a_group_are_compared_with_the_others_and_a_name_is_no_formula(tmp_path):
    frame = LONG.assign(g=['=HYPERLINK("x")'] * 8 + [None] * 12)
    report = report_of(
        essay_data(frame, SCALE, groups=("g",)), LONG["score"] + np.tile([0.3, -0.3, 0.1, 0.0], 5), least_n=8
    )
    [column] = report.fairness
    assert [(row.group, row.is_reference) for row in column.groups] == [('=HYPERLINK("x")', True), ("(empty)", False)]
    write_tables(report, tmp_path)
    # A spreadsheet takes it for text.
    assert pd.read_csv(tmp_path / "groups.csv")["group"].tolist() == ['\'=HYPERLINK("x")', "(empty)"]


def test_a_group_column_that_is_not_there_is_refused():
    data = essay_data(LONG.assign(gender="F", region="N"), SCALE)
    with pytest.raises(InputError, match=r"`group_columns` gendr: .* has gender, region\. Did you mean 'gender'\?"):
        report_of(data, LONG["score"], group_columns=["gendr"])
    assert [column.column for column in report_of(data, LONG["score"], group_columns=["region"]).fairness] == ["region"]


def test_means_over_some_prompts_alone_are_said():
    frame = pd.concat([LONG, constant_frame([1] * 6, "b")], ignore_index=True)
    data = essay_data(frame, {**SCALE, "b": ScoreRange(0, 3)})
    report = report_of(data, frame["score"] + np.tile([0.3, -0.6], 13))
    assert report.overall["qwk"] == report.agreement[0].measures["qwk"]
    [said] = [sentence for sentence in report.limits if "means are over prompt a alone" in sentence]
    assert "QWK" in said and "exact" not in said


def test_predictions_fewer_than_essays_are_those_that_are_reported():
    data = essay_data(LONG, SCALE)
    assert predictions_of(data, LONG["score"]).shape[0] == 20
    from trm_aes.report.essays import report_essays

    assert report_essays(data, "test", predictions_of(data, LONG["score"]).head(12), 0).num_essays == 12


def test_shares_of_all_essays_or_none_have_intervals_of_other_essays():
    frame = pd.concat([LONG, constant_frame([0, 1, 2, 3], "b")])
    report = report_of(essay_data(frame, SCALE | {"b": SCALE["a"]}), [*LONG["score"], 3, 3, 0, 0])
    [a, b] = report.agreement
    # By Wilson's formula: z^2 / (n + z^2) lies outside the interval.
    assert a.measures["exact"] == Estimate(value=1.0, low=pytest.approx(20 / (20 + 1.96**2), abs=1e-4), high=1.0)
    assert b.measures["exact"] == Estimate(value=0.0, low=0.0, high=pytest.approx(1.96**2 / (4 + 1.96**2), abs=1e-4))
    assert report.overall["exact"] == Estimate(value=0.5)
    levels = {(flag.where, flag.measure): flag.level for flag in report.flags}
    assert levels["prompt b", "exact agreement"] == "red" and levels["prompt a", "adjacent agreement"] == "green"


def test_two_essays_that_are_a_point_off_miss_no_threshold_of_half_by_more_than_chance():
    report = report_of(essay_data(constant_frame([0, 1]), SCALE), [1, 2])
    assert [flag.level for flag in report.flags if flag.measure == "exact agreement"] == ["amber"]


def test_prompts_without_limits_of_advisories_are_said():
    frame = pd.concat([LONG, LONG.assign(prompt_id="adapted")], ignore_index=True)
    data = essay_data(frame, SCALE | {"adapted": SCALE["a"]})
    predictions = predictions_of(data, frame["score"]).assign(advisories=["Too Brief", *[""] * 39])
    known = next(rule.name for rule in ADVISORY_RULES if rule.advisory == "Too Brief")
    model = SimpleNamespace(config=SimpleNamespace(advisory_limits={"a": {known: 9.0}}, review_by=None))
    scorer = SimpleNamespace(**{**vars(SCORER), "model": model})

    def of(rows):
        return advisory_rows(rows, model), prompts_without_advisories(rows, model)

    [row], without = of(predictions)
    assert (row.name, row.n, without) == ("Too Brief", 1, ["adapted"])
    assert of(predictions[20:]) == ([], ["adapted"])
    said = build_report(scorer, data, "test", predictions, ReportChoices()).limits
    assert "The scorer gives no advisories for essays of these prompts: adapted." in said


def test_of_how_many_essays_the_raters_agreement_is(demo):
    frame, scales, predicted, _ = demo
    partly = frame.assign(rater2=frame["rater2"].where(np.arange(len(frame)) % 4 == 0))
    report = report_of(essay_data(partly, scales, ("rater1", "rater2")), predicted)
    [first, *_] = report.agreement
    twice = int((partly["prompt_id"].eq(first.prompt_id) & partly["rater2"].notna()).sum())
    assert 20 < twice < 30 and (first.n, first.num_rated_twice, first.rated_twice_in_part) == (100, twice, True)
    rows = [row for row in report_tables(report)["agreement"] if row["where"] == f"prompt {first.prompt_id}"]
    assert {row["n"] for row in rows} == {100, twice}
    measures = {row["measure"]: row["value"] for row in rows if row["n"] == twice}
    assert {"QWK of the raters", "degradation of QWK"} <= set(measures)
    # Scorer and raters are compared on the same essays.
    of_both = (partly["prompt_id"].eq(first.prompt_id) & partly["rater2"].notna()).to_numpy()
    there = report_of(
        essay_data(partly[of_both], scales, ("rater1", "rater2")), np.asarray(predicted)[of_both]
    ).agreement[0]
    assert first.measures["degradation_qwk"].value == pytest.approx(
        there.measures["rater_qwk"].value - there.measures["qwk"].value
    )
    assert first.measures["degradation_qwk"].value != pytest.approx(
        first.measures["rater_qwk"].value - first.measures["qwk"].value
    )
    assert f"of the essays that have two ratings: {twice} of prompt {first.prompt_id}" in render_page(report)
    assert "of the essays that have two ratings" not in render_page(made_up_report(prompt_ids=("1",)))


def test_that_the_scorer_was_fitted_to_these_essays_is_said(demo):
    frame, scales, predicted, _ = demo
    data = essay_data(frame, scales)
    data.splits["validation"] = data.splits["test"]
    for split, is_said in (("test", False), ("validation", True)):
        limits = build_report(SCORER, data, split, predictions_of(data, predicted), ReportChoices()).limits
        assert any("its prediction sets were fitted to them" in limit for limit in limits) is is_said
