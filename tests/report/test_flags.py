"""Thresholds and colors, and the sentences that follow from them."""

import pytest

from trm_aes.attacks.effects import AttackEffect
from trm_aes.evaluation.bootstrap import Estimate
from trm_aes.evaluation.confidence import Confidence
from trm_aes.evaluation.review import ReviewPoint, ReviewRoute
from trm_aes.report.flags import (
    AGREEMENT_THRESHOLDS,
    DSM_THRESHOLD,
    Threshold,
    agreement_flags,
    attack_flags,
    drift_level,
    fairness_flags,
    in_order,
)
from trm_aes.report.record import Flag, GroupColumn, PromptAgreement
from trm_aes.report.sentences import summary_sentences

ENDS = ("value", "low", "high")
LEAST, MOST, SIZE = Threshold("x", least=0.7), Threshold("x", most=0.1), Threshold("x", most=0.15, in_size=True)


@pytest.mark.parametrize(
    "threshold, figure, level",
    [
        (LEAST, (0.7, 0.6, 0.8), "green"),
        (LEAST, (0.69, 0.6, 0.71), "amber"),
        (LEAST, (0.69, 0.66, 0.699), "red"),
        (LEAST, (0.69, None, None), "amber"),
        (MOST, (0.1, 0.0, 0.3), "green"),
        (MOST, (0.12, 0.09, 0.2), "amber"),
        (MOST, (0.12, 0.11, 0.2), "red"),
        (MOST, (-0.5, -0.6, -0.4), "green"),
        (SIZE, (-0.15, -0.3, 0.0), "green"),
        (SIZE, (-0.2, -0.3, -0.14), "amber"),
        (SIZE, (-0.2, -0.3, -0.16), "red"),
        (SIZE, (0.2, -0.1, 0.5), "amber"),
        (SIZE, (0.2, 0.16, 0.5), "red"),
    ],
)
def test_levels(threshold, figure, level):
    value, low, high = figure
    assert threshold.level(Estimate(value=value, low=low, high=high)) == level


def test_thresholds_in_words():
    assert [str(threshold) for threshold in (LEAST, MOST, SIZE)] == [
        "at least 0.70",
        "at most 0.10",
        "at most 0.15 in size",
    ]
    stated = {name: str(threshold) for name, threshold in AGREEMENT_THRESHOLDS.items()}
    assert stated["adjacent"] == "at least 95 %" and stated["exact"] == "at least 50 %"
    assert str(DSM_THRESHOLD) == "at most 0.10 in size"


def prompt(prompt_id, qwk):
    return PromptAgreement(
        prompt_id=prompt_id, n=9, measures={"qwk": Estimate(value=qwk), "rmse": Estimate(value=9.0)}, labels=[], confusion=[],
        scatter=[], by_level=[], by_length=[],
    )  # fmt: skip


def test_prompts_and_their_means_are_held_against_thresholds():
    flags = list(agreement_flags({"qwk": Estimate(value=0.75)}, [prompt("1", 0.6), prompt("2", 0.9)]))
    assert [(flag.where, flag.measure, flag.level) for flag in flags] == [
        ("all prompts", "QWK", "green"), ("prompt 1", "QWK", "amber"), ("prompt 2", "QWK", "green"),
    ]  # fmt: skip
    # The mean of one prompt says nothing new.
    assert [flag.where for flag in agreement_flags({"qwk": Estimate(value=0.6)}, [prompt("1", 0.6)])] == ["prompt 1"]


def test_psi_thresholds():
    assert [drift_level(psi, p=0.04) for psi in (0.0999, 0.1, 0.2499, 0.25)] == ["green", "amber", "amber", "red"]
    assert drift_level(0.5, p=0.05) == "green"


def flag(level, measure, where):
    return Flag(level=level, measure=measure, where=where, value=0.0, threshold="", source="")


def effect(should, change, risen):
    return AttackEffect(
        name=f"should {should}", should=should, what="", n=60, mean_change=Estimate(**dict(zip(ENDS, change, strict=True))),
        share_risen=Estimate(**dict(zip(ENDS, risen, strict=True))),
    )  # fmt: skip


def test_attacks_are_held_against_what_an_honest_score_does():
    rarely, often = (0.1, 0.05, 0.15), (0.5, 0.4, 0.6)
    effects = [
        effect("fall", (-0.6, -0.8, -0.4), often), effect("fall", (-0.05, -0.15, 0.05), rarely),
        effect("fall", (0.2, 0.1, 0.3), rarely), effect("not rise", (0.3, 0.2, 0.4), rarely),
        effect("not rise", (-0.3, -0.4, -0.2), often), effect("stay", (0.05, 0.0, 0.1), often),
        effect("stay", (-0.3, -0.4, -0.2), rarely), effect("fall", (None, None, None), rarely),
    ]  # fmt: skip
    found = [(flag.where, flag.level, flag.threshold) for flag in attack_flags(effects)]
    assert found == [
        ("attack: should fall", "green", "at most −0.10"),
        ("attack: should fall", "amber", "at most −0.10"),
        ("attack: should fall", "red", "at most −0.10"),
        ("attack: should not rise", "green", "at most 20 %"),
        ("attack: should not rise", "red", "at most 20 %"),
        ("attack: should stay", "green", "at most 0.10 in size"),
        ("attack: should stay", "red", "at most 0.10 in size"),
    ]


def test_flags_red_first():
    flags = [
        flag(level, measure, "") for level, measure in (("green", "1"), ("red", "2"), ("amber", "3"), ("red", "4"))
    ]
    assert [each.measure for each in in_order(flags)] == ["2", "4", "3", "1"]


def test_a_sentence_names_four_places():
    said = summary_sentences({}, None, [flag("red", "QWK", f"prompt {number}") for number in range(6)], 100)[2]
    assert said.count("prompt") == 4 and said.endswith("; and 2 more.")


def test_what_needs_a_look():
    flags = [
        flag("red", "QWK", "prompt 4"),
        flag("red", "SMD", "prompt 4"),
        flag("amber", "DSM", "sex = F"),
        flag("green", "QWK", "prompt 1"),
    ]
    assert summary_sentences({}, None, flags, 100)[2] == (
        "These need a look: prompt 4 (QWK, SMD). These may need one: sex = F (DSM)."
    )
    assert summary_sentences({}, None, flags[3:], 100)[2] == "No prompt and no group misses a threshold."


@pytest.mark.parametrize(
    "low, high, said",
    [
        (0.02, 0.08, "it agrees with people less than they agree with each other, by 0.05"),
        (-0.02, 0.1, "no difference between the two is shown"),
        (None, None, "the two differ by 0.05, and whether by chance is not known"),
    ],
)
def test_scorer_and_people(low, high, said):
    overall = {
        "qwk": Estimate(value=0.75, low=0.7, high=0.8),
        "rater_qwk": Estimate(value=0.8),
        "degradation_qwk": Estimate(value=0.05, low=low, high=high),
    }
    [sentence, *_] = summary_sentences(overall, None, [], 100)
    assert sentence == (
        "The scorer agrees with the human scores with a QWK of 0.75 (0.70 to 0.80), two human raters with each other with "
        f"0.80: {said}."
    )
    del overall["degradation_qwk"]
    assert summary_sentences(overall, None, [], 100)[0].endswith("how far people agree with each other is not known.")


def test_scorer_and_people_are_compared_on_the_same_prompts():
    def prompt(name, qwk, **of_raters):
        measures = {key: Estimate(value=value) for key, value in {"qwk": qwk, **of_raters}.items()}
        return PromptAgreement(
            prompt_id=name, n=50, measures=measures, labels=[], confusion=[], scatter=[], by_level=[], by_length=[]
        )

    prompts = [prompt("1", 0.6, rater_qwk=0.7, degradation_qwk=0.1), prompt("2", 0.96)]
    overall = {"qwk": 0.78, "rater_qwk": 0.7, "degradation_qwk": 0.1}
    estimates = {name: Estimate(value=value, low=value - 0.05, high=value + 0.05) for name, value in overall.items()}
    assert summary_sentences(estimates, None, [], 100, prompts)[0] == (
        "The scorer agrees with the human scores with a QWK of 0.78 (0.73 to 0.83). On the 1 of 2 prompts that two people rated it "
        "has 0.60, and they have 0.70 (0.65 to 0.75) with each other: it agrees with people less than they agree with each other, "
        "by 0.10."
    )


def test_scorer_and_people_are_compared_on_the_same_essays():
    def prompt(name, twice):
        measures = {
            "qwk": Estimate(value=0.6),
            "rater_qwk": Estimate(value=0.36),
            "degradation_qwk": Estimate(value=0.04),
        }
        return PromptAgreement(
            prompt_id=name, n=50, measures=measures, labels=[], confusion=[], scatter=[], by_level=[], by_length=[],
            num_rated_twice=twice,
        )  # fmt: skip

    values = {"qwk": 0.68, "rater_qwk": 0.36, "degradation_qwk": 0.04}
    overall = {name: Estimate(value=value, low=value - 0.05, high=value + 0.05) for name, value in values.items()}
    said = summary_sentences(overall, None, [], 100, [prompt("1", 20), prompt("2", 50)])[0]
    assert said.endswith(
        "On the 70 of 100 essays that two people rated it has 0.32, and they have 0.36 (0.31 to 0.41) with each other: no "
        "difference between the two is shown."
    )
    assert "On the" not in summary_sentences(overall, None, [], 100, [prompt("1", 50), prompt("2", 50)])[0]


@pytest.mark.parametrize(("p_of_all", "level"), [(0.3, "amber"), (0.01, "red"), (None, "amber")])
def test_a_conditional_difference_alone_is_no_red_flag(p_of_all, level):
    tests = {"csd": {"r2": 0.1, "p": 0.001, "p_adjusted": 0.003}}
    if p_of_all is not None:
        tests["osd"] = {"r2": 0.1, "p": p_of_all, "p_adjusted": p_of_all}
    column = GroupColumn(column="sex", least_n=1, groups=[], left_out={}, tests=tests)
    levels = {flag.measure: flag.level for flag in fairness_flags([column])}
    assert levels["p of conditional score difference"] == level


def route(name, *points):
    made = [ReviewPoint(share_released=share, qwk=qwk, exact=0.7, adjacent=adjacent) for share, adjacent, qwk in points]
    return ReviewRoute(name=name, points=made, area=Estimate(value=0.5))


def confidence(*routes):
    nothing = Estimate(value=None)
    return Confidence(
        reliability=[], ece=nothing, brier=nothing, log_loss=nothing, sets=[], routes=list(routes), targets=[]
    )


def test_what_could_be_released_is_the_largest_share_that_agrees():
    chosen = route("predicted error", (0.2, 1.0, None), (0.6, 58 / 60, 0.8), (1.0, 0.9, 0.7))
    others = (route("confidence", (1.0, 1.0, 1.0)), route("random", (1.0, 1.0, 1.0)))
    said = summary_sentences({}, confidence(route("oracle", (1.0, 1.0, 1.0)), chosen, *others), [], 100)[1]
    assert said == (
        "60 % of the essays, chosen by predicted error, could be released without a second reading: of these 60 essays, "
        "97 % (89 to 99) are within one step of the scale of the human score and 70 % equal to it, with a QWK of 0.80."
    )
    few = summary_sentences({}, confidence(chosen), [], 29)[1]
    assert few.endswith("cannot be said: that takes at least 30 essays, and there are 29.")
    assert summary_sentences({}, confidence(chosen), [], 1)[0].endswith("cannot be said: there is one essay.")
    assert summary_sentences({}, confidence(route("confidence", (1.0, 0.9, 0.7))), [], 100)[1].startswith(
        "No share of the essays"
    )
    assert summary_sentences({}, confidence(route("oracle", (1.0, 1.0, 1.0))), [], 100)[1].endswith("was not measured.")
