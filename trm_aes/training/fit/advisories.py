"""From where on an essay gets an advisory: hardly any essay that the scorer was trained with lies beyond these limits."""

import numpy as np
import pandas as pd

from ...data.dataset import EssayDataset
from ...model.advisories_trm import ADVISORY_RULES, MODEL_MEASURES, AdvisoryRule
from ...model.essay_tokens import measure_texts
from ...scoring.scorer import EssayScorer

# The share of essays in order that a rule may give an advisory to: nine rules at once stay below 2 %.
FALSE_ALARMS = 0.002
# Of a prompt: from so many on its own furthest essay is its limit, which another essay exceeds in one of 301 cases. That is
# a little more than the share above, and far better than the limit of all prompts where one of them has the odd essays.
LEAST_OF_OWN = 300
# Of fewer, in all, nothing is said of how far essays may lie from one another.
LEAST_ESSAYS = 30
# Of a prompt: what more of them would say is not worth the time.
MOST_ESSAYS = 1000


def fit_advisories(scorer: EssayScorer, data: EssayDataset, unlike_shares: np.ndarray | None = None, seed: int = 0):
    """
    Sets `advisory_limits` of the scorer's configuration: for each prompt and each rule of [`ADVISORY_RULES`], the value
    beyond which an essay gets the advisory.

    Texts are measured on the training essays, 1,000 a prompt at most. What the model itself measures is measured on the
    validation essays, since those that the passage check was fitted to look more alike than others. A limit lies as far from
    the prompt's median as it takes for at most [`FALSE_ALARMS`] of such essays to lie beyond it: of the prompt's own essays
    where there are enough ([`LEAST_OF_OWN`]; below 499 it lies at the furthest of them), else of all prompts' essays, each
    held against the median of its prompt. Where these are fewer than 499 in all, it lies half a standard deviation beyond
    the furthest of them. A rule has bounds for that distance.

    Args:
        scorer: calibrated; its configuration is changed.
        data: with the essays' texts.
        unlike_shares: what the scorer's passage check says of the validation essays, `(essays, 2)`, as
            [`EssayScorer.score_tokens`] gives it; None for a scorer without one.
        seed: of the draw of training essays.
    """
    # No limit of an earlier fit has a part in this one.
    scorer.model.config.advisory_limits = None
    of_texts = _measure_training_texts(scorer, data, seed)
    of_model = pd.DataFrame({"prompt_id": data.splits["validation"]["prompt_id"][:]})
    if unlike_shares is not None:
        of_model = of_model.assign(**dict(zip(MODEL_MEASURES, unlike_shares.T, strict=True)))
    limits: dict[str, dict[str, float]] = {prompt_id: {} for prompt_id in scorer.score_ranges}
    for rule in ADVISORY_RULES:
        measured = of_model if rule.measure in MODEL_MEASURES else of_texts
        if rule.measure in measured and len(measured) >= LEAST_ESSAYS:
            for prompt_id, limit in limits_of(rule, measured).items():
                limits[prompt_id][rule.name] = limit
    scorer.model.config.advisory_limits = limits


def limits_of(rule: AdvisoryRule, measured: pd.DataFrame) -> dict[str, float]:
    """`prompt_id -> limit` of one rule, from the columns `prompt_id` and the rule's measure of essays that are in order."""
    values = measured[rule.measure].to_numpy()
    by_prompt = measured.groupby("prompt_id")
    medians, places = by_prompt[rule.measure].median(), by_prompt.indices
    deviations = rule.direction * (values - measured["prompt_id"].map(medians).to_numpy())
    pooled = _furthest(deviations)
    limits = {}
    for prompt_id, median in medians.items():
        own = deviations[places[prompt_id]]
        furthest = np.sort(own)[-max(_allowed(own), 1)] if len(own) >= LEAST_OF_OWN else pooled
        limits[str(prompt_id)] = float(median + rule.direction * min(max(furthest, rule.least), rule.most))
    return limits


def _allowed(deviations: np.ndarray) -> int:
    """
    How many of n essays may lie at a limit or beyond, so that another one does so in [`FALSE_ALARMS`] of all cases: the
    k-th furthest of n is exceeded by one more with a probability of k / (n + 1), whatever the distribution.
    """
    return int(FALSE_ALARMS * (len(deviations) + 1))


def _furthest(deviations: np.ndarray) -> float:
    allowed = _allowed(deviations)
    if allowed:
        return float(np.sort(deviations)[-allowed])
    return float(deviations.max() + deviations.std() / 2)


def _measure_training_texts(scorer: EssayScorer, data: EssayDataset, seed: int) -> pd.DataFrame:
    train = data.splits["train"]
    # The texts of those that are drawn alone are read, however many there are.
    drawn = train.select_columns("prompt_id").to_pandas().sample(frac=1, random_state=seed)
    drawn = drawn.groupby("prompt_id").head(MOST_ESSAYS)
    prompt_ids, essays = drawn["prompt_id"].to_list(), train.select(drawn.index)["essay"][:]
    measures = measure_texts(scorer.tokenizer, scorer.model.config, prompt_ids, essays)
    return pd.DataFrame(measures).assign(prompt_id=prompt_ids)
