"""What attacks do to scores, measured on a scorer whose scores are known."""

from types import SimpleNamespace

import numpy as np
import pytest

from trm_aes.attacks.effects import attack_effects
from trm_aes.attacks.registry import ATTACK_NAMES
from trm_aes.evaluation.bootstrap import Estimate
from trm_aes.model.score_scale import ScoreRange
from trm_aes.scoring.scorer import EssayScore, EssayScorer

ESSAYS = [
    f"Essay number {number} is on phones. It has a second sentence. " + "More words. " * number for number in range(30)
]
PROMPTS = ["a", "b", "b"] * 10


class CountingScorer:
    """Scores an essay by its words, and advises of those that start with a capital A."""

    def __init__(self, advises=True):
        config = SimpleNamespace(
            prompt_texts=None,
            score_ranges={"a": [0, 500], "b": [0, 500, 5]},
            advisory_limits={"a": {}} if advises else None,
        )
        self.model = SimpleNamespace(config=config)
        self.score_ranges = {"a": ScoreRange(0, 500), "b": ScoreRange(0, 500, 5)}
        self.scored = []

    def score(self, essays, prompt_ids):
        self.scored += essays
        return [
            EssayScore(len(essay.split()), 0, 0.5, 1, advisories=("Repetitious",) if len(essay.split()) > 60 else ())
            for essay in essays
        ]


def effect(names, scorer=None, **changes):
    given = {"gold_sd": {"a": 2.0, "b": 4.0}, "names": names, **changes}
    return attack_effects(scorer or CountingScorer(), ESSAYS, PROMPTS, **given)


def test_changes_are_in_standard_deviations_of_the_prompt():
    [doubled] = effect(["text duplicated"], max_essays=30)
    words = np.array([len(essay.split()) for essay in ESSAYS])
    expected = (words / np.where(np.array(PROMPTS) == "a", 2.0, 4.0)).mean()
    assert (doubled.n, doubled.should) == (30, "not rise")
    assert doubled.mean_change.value == pytest.approx(expected)
    assert doubled.mean_change.low < expected < doubled.mean_change.high
    # Wilson's interval: of other essays not all might rise.
    assert doubled.share_risen.value == 1 and doubled.share_risen.low == pytest.approx(1 / (1 + 1.96**2 / 30), abs=1e-4)
    assert doubled.share_advised == pytest.approx((2 * words > 60).mean())


def test_intervals_are_those_of_draws_within_prompts():
    [doubled] = effect(["text duplicated"], max_essays=30)
    words, prompts = np.array([len(essay.split()) for essay in ESSAYS]), np.array(PROMPTS)
    # Standard error of a mean of two strata, with the bootstrap's n in the denominator.
    variance = sum(
        (prompts == name).sum() * (words[prompts == name] / sd).var() for name, sd in (("a", 2.0), ("b", 4.0))
    )
    half_width = 1.96 * np.sqrt(variance) / 30
    assert doubled.mean_change.high - doubled.mean_change.low == pytest.approx(2 * half_width, rel=0.1)


def test_a_rise_is_more_than_a_tenth_of_a_step():
    """A word more is a step of prompt a, and a fifth of one of prompt b; what does not change a text is no attack."""
    [made] = effect(["sentences shuffled"], max_essays=30)
    assert made.mean_change.value == 0 and made.share_risen.value == 0
    [fillers] = effect(["disfluencies"], max_essays=30)
    assert fillers.share_risen.value == 1
    [expanded] = effect(["contractions expanded"])
    assert expanded.n == 0 and expanded.mean_change.value is None and expanded.share_risen.value is None
    assert expanded.share_advised is None


def test_the_seed_decides_and_other_attacks_do_not():
    alone = effect(["sentences repeated"], seed=5)
    assert alone == effect(["sentences repeated"], seed=5)
    assert alone[0] == effect(["words shuffled", "sentences repeated"], seed=5)[1]
    assert alone != effect(["sentences repeated"], seed=6)


def test_time_is_bounded_and_prompts_are_drawn_alike():
    scorer = CountingScorer()
    effect(["text duplicated"], scorer, max_essays=8)
    assert len(scorer.scored) == 16
    assert sorted(PROMPTS[ESSAYS.index(essay)] for essay in scorer.scored[:8]) == ["a"] * 4 + ["b"] * 4


def test_a_prompt_of_one_score_has_no_part_in_mean_changes():
    [doubled] = effect(["text duplicated"], gold_sd={"a": 0.0, "b": float("nan")})
    assert doubled.mean_change.value is None and doubled.share_risen.value == 1


def test_an_essay_alone_has_no_interval():
    [doubled] = attack_effects(CountingScorer(), ESSAYS[:1], ["a"], {"a": 2.0}, ["text duplicated"])
    assert doubled.mean_change == Estimate(value=len(ESSAYS[0].split()) / 2) and doubled.share_risen.low is None


def test_a_scorer_without_advisories_advises_nobody():
    [doubled] = effect(["text duplicated"], CountingScorer(advises=False))
    assert doubled.share_advised is None


def test_no_share_of_advisories_where_no_prompt_has_limits():
    scorer = CountingScorer()
    scorer.model.config.advisory_limits = {"elsewhere": {}}
    [doubled] = effect(["text duplicated"], scorer)
    assert doubled.share_advised is None


def test_a_single_prompt_is_padded_with_our_own_text():
    [padded] = attack_effects(CountingScorer(), ESSAYS, ["a"] * 30, {"a": 1.0}, ["off-topic text appended"])
    assert padded.n == 30 and padded.share_risen.value == 1


def test_a_trained_scorer_is_attacked(model_dir):
    scorer = EssayScorer.from_pretrained(model_dir, "cpu")
    essays = [f"Essay {number} is good good excellent." for number in range(4)]
    effects = attack_effects(scorer, essays, ["a", "b"] * 2, {"a": 1.0, "b": 1.0}, seed=1)
    assert [of_attack.name for of_attack in effects] == list(ATTACK_NAMES)
    for of_attack in effects:
        assert of_attack.n == 0 or np.isfinite(of_attack.mean_change.value)
