"""Advisories fitted to the demo corpus: what they catch, and how seldom they are given to essays in order."""

import math

import numpy as np
import pandas as pd
import pytest
from helpers import untrained_scorer

from trm_aes.attacks.effects import attack_effects
from trm_aes.attacks.registry import find_attacks
from trm_aes.attacks.rewriting import Surroundings
from trm_aes.data.dataset import load_essay_dataset
from trm_aes.model.advisories_trm import ADVISORY_RULES, AdvisoryRule
from trm_aes.report.advisories import advisory_rows
from trm_aes.training.fit.advisories import fit_advisories, limits_of
from trm_aes.training.fit.passages import fit_passage_check
from trm_aes.training.fit.transfer import with_prompts

RULE = AdvisoryRule("rule", "Advisory", "measure", 1, 0.0, math.inf, "A sentence.")


@pytest.fixture(scope="module")
def demo(demo_dir):
    data = load_essay_dataset(demo_dir)
    scorer = untrained_scorer(data)
    fit_passage_check(scorer.model, data)
    shares = scorer.score_tokens(scorer.rows(data.splits["validation"])).unlike_shares
    fit_advisories(scorer, data, shares)
    return scorer, data.splits["test"].select_columns(["prompt_id", "essay", "score"]).to_pandas(), data


def advised(scorer, essays, prompt_ids):
    return [score.advisories for score in scorer.score(list(essays), list(prompt_ids))]


def test_held_out_essays_hardly_ever_get_one(demo):
    scorer, test, data = demo
    validation = data.splits["validation"].select_columns(["prompt_id", "essay"]).to_pandas()
    essays = pd.concat([validation, test])
    given = advised(scorer, essays["essay"], essays["prompt_id"])
    # 2 % of 240 essays.
    assert sum(map(bool, given)) <= 4


@pytest.mark.parametrize(
    ("attack", "advisory", "share"),
    [
        ("text duplicated", "Repetitious", 1.0),
        ("prompt copied", "Restatement of the Prompt", 1.0),
        ("essay of another prompt", "Unexpected Topic", 0.98),
        ("random words", "Non-Essay", 0.98),
        ("in Spanish", "Non-Essay", 1.0),
        ("in German", "Non-Essay", 1.0),
        ("in French", "Non-Essay", 1.0),
        ("words shuffled", "Unidentifiable Organization", 0.98),
        ("all capitals", "Excessive Number of Problems", 1.0),
        ("first sentences only", "Too Brief", 0.9),
    ],
)
def test_each_is_given_to_text_of_its_own_kind(demo, attack, advisory, share):
    scorer, test, _ = demo
    [attack] = find_attacks([attack])
    rng, texts = np.random.default_rng(0), scorer.model.config.prompt_texts
    attacked = [
        attack.rewrite(
            row.essay, rng, Surroundings(texts[row.prompt_id], list(test[test["prompt_id"] != row.prompt_id]["essay"]))
        )
        for row in test.itertuples()
    ]
    given = advised(scorer, attacked, test["prompt_id"])
    assert np.mean([advisory in of_essay for of_essay in given]) >= share


def test_length_and_sentences(demo):
    scorer, test, _ = demo
    essays, prompt_ids = list(test["essay"][:3]), list(test["prompt_id"][:3])
    # Of words that differ, so that nothing is repeated.
    long = [" ".join(f"{word}{number}" for word in essay.split()) for number in range(4) for essay in essays[:1]]
    assert "Excessive Length" in advised(scorer, [" ".join(long)], prompt_ids[:1])[0]
    without_ends = ["".join(letter for letter in essay if letter not in ".!?\n") for essay in essays]
    for of_essay in advised(scorer, without_ends, prompt_ids):
        assert "Unidentifiable Organization" in of_essay


def test_attacks_say_what_share_is_advised(demo):
    scorer, test, _ = demo
    shuffled, doubled = attack_effects(
        scorer, list(test["essay"]), list(test["prompt_id"]), test.groupby("prompt_id")["score"].std().to_dict(),
        ["text duplicated", "sentences shuffled"], max_essays=30,
    )  # fmt: skip
    assert doubled.share_advised == 1 and shuffled.share_advised < 0.1


def test_the_report_counts_them(demo):
    scorer, *_ = demo
    given = ["Too Brief; Repetitious", "", "Too Brief", None]
    predictions = pd.DataFrame({"prompt_id": next(iter(scorer.score_ranges)), "advisories": given})
    rows = {row.name: row for row in advisory_rows(predictions, scorer.model)}
    assert list(rows) == list(dict.fromkeys(rule.advisory for rule in ADVISORY_RULES))
    assert (rows["Too Brief"].n, rows["Too Brief"].share) == (2, 0.5)
    assert (rows["Repetitious"].n, rows["Non-Essay"].n) == (1, 0)
    # Two rules, two sentences.
    assert " Or: " in rows["Unidentifiable Organization"].rule


def test_a_new_prompt_has_none_and_the_known_ones_keep_theirs(demo):
    scorer, *_ = demo
    grown = with_prompts(scorer.model, scorer.tokenizer, {"new": [0, 4]}, {"new": "Write about a river."})
    assert grown.config.advisory_limits == scorer.model.config.advisory_limits


# ---- Limits


def frame(**values):
    return pd.DataFrame(
        [{"prompt_id": name, "measure": value} for name, of_prompt in values.items() for value in of_prompt]
    )


def test_a_prompt_of_many_essays_has_the_limit_of_its_own():
    """Of 1,000 essays two may reach it: a new one lies beyond it once in 500 times."""
    rng = np.random.default_rng(0)
    many, few = rng.permutation(1000) / 1000, rng.permutation(100) / 10
    limits = limits_of(RULE, frame(many=many, few=few))
    assert limits["many"] == pytest.approx(0.998)
    # All 1,100 deviations from the medians; the few essays, ten times as far apart, have the two largest of them.
    assert limits["few"] == pytest.approx(np.median(few) + np.sort(few - np.median(few))[-2])
    below = limits_of(RULE._replace(direction=-1), frame(many=many, few=few))
    assert below["many"] == pytest.approx(0.001)


def test_so_many_essays_lie_beyond_a_limit_as_is_said():
    """The share of new essays beyond it, over draws of 499 training essays, of which the furthest is the limit."""
    rng = np.random.default_rng(1)
    # Uniform, so that the limit less the least is the share below it.
    shares = [1 - limits_of(RULE, frame(a=rng.random(499)))["a"] for _ in range(600)]
    assert np.mean(shares) == pytest.approx(1 / 500, rel=0.15)


def test_odd_essays_of_one_prompt_excuse_those_of_no_other():
    """From 300 essays on, a prompt's own furthest is its limit, whatever others hold."""
    rng = np.random.default_rng(2)
    odd = np.concatenate((rng.random(300), np.full(20, 50.0)))
    own = rng.permutation(300) / 300
    limits = limits_of(RULE, frame(odd=odd, own=own, few=own[:299]))
    assert limits["own"] == pytest.approx(own.max())
    assert limits["few"] > 40 and limits["odd"] == pytest.approx(50)
    # A new essay lies beyond the furthest of 300 once in 301 times.
    shares = [1 - limits_of(RULE, frame(a=rng.random(300)))["a"] for _ in range(600)]
    assert np.mean(shares) == pytest.approx(1 / 301, rel=0.15)


def test_few_essays_in_all_leave_room():
    values = np.arange(100) / 100
    limit = limits_of(RULE, frame(a=values))["a"]
    assert limit == pytest.approx(values.max() + values.std() / 2)


def test_a_limit_is_neither_too_near_nor_too_far():
    alike, odd = np.zeros(600), np.concatenate((np.zeros(590), np.ones(10)))
    bounded = RULE._replace(least=0.1, most=0.4)
    assert limits_of(bounded, frame(a=alike)) == {"a": pytest.approx(0.1)}
    assert limits_of(bounded, frame(a=odd)) == {"a": pytest.approx(0.4)}
