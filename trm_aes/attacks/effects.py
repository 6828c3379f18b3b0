"""What attacks do to a scorer's scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from tqdm import tqdm

from ..evaluation.bootstrap import Estimate, draw_times_by_prompt, estimate, means
from ..evaluation.reliability import sampled_share
from ..model.essay_tokens import known_prompt_texts, stand_in_text
from ..scoring.scorer import EssayScore, EssayScorer
from .registry import ATTACK_NAMES, Attack, Should, find_attacks
from .rewriting import Surroundings
from .texts import OFF_TOPIC, own_texts

# In all, so that the time does not grow with the prompts: `tiny` takes 25 seconds on one core, `default` some minutes.
MAX_ESSAYS = 60
# Scores are floats whose last digits depend on what else is in a batch, and a change below a tenth of a step hardly ever
# changes a rounded score: neither is a rise.
LEAST_RISE = 0.1


@dataclass(frozen=True, kw_only=True)
class AttackEffect:
    """
    What an attack did to the scores.

    Args:
        name: in words, such as "words shuffled".
        should: what an honest score does: `fall`, `not rise` or `stay`.
        what: a sentence on what is done to the text.
        n: essays attacked.
        mean_change: of the score, in standard deviations of the prompt's human scores.
        share_risen: share of essays (0-1) whose score rises by more than a tenth of a step.
        share_advised: share of the attacked essays that get an advisory; None for a scorer without.
    """

    name: str
    should: Should
    what: str
    n: int
    mean_change: Estimate
    share_risen: Estimate
    share_advised: float | None = None


@dataclass(frozen=True)
class _Attacked:
    """Essays as they were written: texts, prompts, scores, and what lies around each."""

    essays: list[str]
    prompt_ids: list[str]
    scores: list[EssayScore]
    surroundings: list[Surroundings]


def attack_effects(
    scorer: EssayScorer,
    essays: Sequence[str],
    prompt_ids: Sequence[str],
    gold_sd: Mapping[str, float],
    names: Sequence[str] = ATTACK_NAMES,
    seed: int = 0,
    max_essays: int = MAX_ESSAYS,
) -> list[AttackEffect]:
    """
    Attacks essays and compares the scores with those that they have as written, with a progress bar. Intervals are of the
    percentile bootstrap over the essays of each prompt; those of shares of all or none are Wilson's.

    Args:
        scorer: what is attacked.
        essays, prompt_ids: of a split, and the prompt that each answers.
        gold_sd: `prompt_id -> standard deviation` of the human scores, the unit of a change; a prompt whose essays all have
            one score has no part in mean changes.
        names: the attacks, some of `ATTACK_NAMES`.
        seed: of all draws. What an attack does to an essay does not depend on which other attacks there are.
        max_essays: that are attacked, drawn at random, as many of each prompt.

    Raises:
        InputError: if there is no attack of a name.
    """
    attacks = find_attacks(names)
    places = _draw(prompt_ids, max_essays, np.random.default_rng(seed))
    with tqdm(total=(len(attacks) + 1) * len(places), desc="Attacking", unit="essay", disable=None) as bar:
        attacked = _as_written(scorer, essays, prompt_ids, places)
        bar.update(len(places))
        effects = []
        for attack in attacks:
            effects.append(_effect_of(attack, attacked, scorer, gold_sd, seed))
            bar.update(len(places))
    return effects


def _draw(prompt_ids: Sequence[str], max_essays: int, rng: np.random.Generator) -> list[int]:
    """Places of essays, as many of each prompt as there are and are allowed."""
    waiting = {
        name: list(rng.permutation(np.flatnonzero(np.array(prompt_ids) == name))) for name in sorted(set(prompt_ids))
    }
    drawn: list[int] = []
    while len(drawn) < max_essays and any(waiting.values()):
        drawn += [int(of_prompt.pop()) for of_prompt in waiting.values() if of_prompt][: max_essays - len(drawn)]
    return sorted(drawn)


def _as_written(
    scorer: EssayScorer, essays: Sequence[str], prompt_ids: Sequence[str], places: Sequence[int]
) -> _Attacked:
    # What stands for a text that is not known is no text to copy.
    texts = {
        name: "" if text == stand_in_text(name) else text
        for name, text in known_prompt_texts(scorer.model.config).items()
    }
    others = {
        name: [essay for essay, other in zip(essays, prompt_ids, strict=True) if other != name]
        or own_texts()[OFF_TOPIC]
        for name in set(prompt_ids)
    }
    chosen, prompts = [essays[place] for place in places], [prompt_ids[place] for place in places]
    surroundings = [Surroundings(texts[name], others[name]) for name in prompts]
    return _Attacked(chosen, prompts, scorer.score(chosen, prompts), surroundings)


def _effect_of(
    attack: Attack, attacked: _Attacked, scorer: EssayScorer, gold_sd: Mapping[str, float], seed: int
) -> AttackEffect:
    rng = np.random.default_rng([seed, crc32(attack.name.encode())])
    texts = [
        attack.rewrite(essay, rng, around) for essay, around in zip(attacked.essays, attacked.surroundings, strict=True)
    ]
    # One that holds no contraction, say, is not attacked by writing them out.
    changed = [i for i, text in enumerate(texts) if text.strip() and text != attacked.essays[i]]
    prompt_ids = np.array([attacked.prompt_ids[i] for i in changed])
    scores = scorer.score([texts[i] for i in changed], list(prompt_ids))
    changes = np.array([score.score - attacked.scores[i].score for score, i in zip(scores, changed, strict=True)])
    steps = np.array([scorer.score_ranges[name].step for name in prompt_ids])
    units = np.array([gold_sd.get(name, 0.0) for name in prompt_ids])
    has_unit = units > 0
    advised = None
    # Prompts that a scorer was adapted to have no limits.
    if set(prompt_ids) & set(scorer.model.config.advisory_limits or {}):
        advised = sum(bool(score.advisories) for score in scores) / len(scores)
    return AttackEffect(
        name=attack.name,
        should=attack.should,
        what=attack.what,
        n=len(changed),
        mean_change=_mean(changes[has_unit] / units[has_unit], prompt_ids[has_unit], seed),
        share_risen=_share(changes > LEAST_RISE * steps, prompt_ids, seed),
        share_advised=advised,
    )


def _share(are: np.ndarray, prompt_ids: np.ndarray, seed: int) -> Estimate:
    """Share of essays, with an interval that holds for other essays where all or none are."""
    if not len(are):
        return Estimate(value=None)
    samples = means(are.astype(float), draw_times_by_prompt(prompt_ids, seed))
    return sampled_share(samples, len(are)) if len(are) > 1 else Estimate(value=float(samples[0]))


def _mean(values: np.ndarray, prompt_ids: np.ndarray, seed: int) -> Estimate:
    """Mean of essays' values, those of each prompt drawn apart for its interval."""
    if not len(values):
        return Estimate(value=None)
    return estimate(means(values, draw_times_by_prompt(prompt_ids, seed)))
