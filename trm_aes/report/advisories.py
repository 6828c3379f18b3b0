"""How often the essays of an evaluation got an advisory."""

import pandas as pd

from ..model.advisories_trm import ADVISORY_RULES, names_in_cell
from ..model.configuration_trm import sort_prompt_ids
from ..model.modeling_trm import TRMForEssayScoring
from .record import AdvisoryRow


def advisory_rows(predictions: pd.DataFrame, model: TRMForEssayScoring) -> list[AdvisoryRow]:
    """
    A row for each advisory that the model can give, those that no essay got among them, in the order of `ADVISORY_RULES`;
    none where the model has limits for none of the essays' prompts.

    Args:
        predictions: of an evaluation, with the columns `prompt_id` and `advisories`.
        model: that gave them.
    """
    limits = model.config.advisory_limits or {}
    named = {rule_name for prompt_id in predictions["prompt_id"].unique() for rule_name in limits.get(prompt_id, ())}
    if not named:
        return []
    sentences: dict[str, list[str]] = {}
    for rule in ADVISORY_RULES:
        if rule.name in named:
            sentences.setdefault(rule.advisory, []).append(rule.sentence)
    given = [names_in_cell(cell) for cell in predictions["advisories"].fillna("")]
    counts = {name: sum(name in of_essay for of_essay in given) for name in sentences}
    return [
        AdvisoryRow(name=name, rule=" Or: ".join(rules), n=counts[name], share=counts[name] / max(len(given), 1))
        for name, rules in sentences.items()
    ]


def prompts_without_advisories(predictions: pd.DataFrame, model: TRMForEssayScoring) -> list[str]:
    """Prompts of the essays for which the model has no limits, such as those that it was adapted to."""
    return sort_prompt_ids(set(predictions["prompt_id"]) - set(model.config.advisory_limits or {}))
