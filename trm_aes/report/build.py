"""A report put together: a scorer's predictions for a split, measured, held against thresholds, and said in sentences."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..attacks.effects import AttackEffect, attack_effects
from ..data.dataset import EssayDataset
from ..evaluation.confidence import confidence_section
from ..evaluation.distributions import length_distributions, score_distributions
from ..evaluation.fairness import LEAST_N
from ..evaluation.traits import told_ranges
from ..model.score_scale import ScoreRange
from ..records import Distribution, package_versions
from ..scoring.scorer import EssayScorer
from .advisories import advisory_rows, prompts_without_advisories
from .agreement import AgreementSections
from .drift import Reference, drift_section
from .essays import ReportEssays, check_group_columns, report_essays
from .flags import agreement_flags, attack_flags, drift_flags, fairness_flags, in_order
from .groups import fairness_section
from .record import AdvisoryRow, Report, Subject
from .sentences import summary_sentences
from .traits import traits_section

# What no figure of a report says.
STANDING_LIMITS = (
    "Intervals say what other essays of the same kind would change, not what another training run or other writers would.",
    "The share that could be released is the largest that was good enough among these very essays: of others it may be less.",
    "Agreement with human scores is not by itself a reason to use the scores: it says nothing of what the scores are used for.",
)
# Of the splits that training uses.
SEEN_IN_TRAINING = {
    "train": (
        "These are training essays. If the scorer was trained on them, all figures are better than of essays that it has not seen."
    ),
    "validation": (
        "These are validation essays. If they are those of the scorer's training, its epoch, its scale, its confidence, its "
        "predicted errors and its prediction sets were fitted to them, and the figures are better than of essays that it has not "
        "seen."
    ),
}
NO_GROUPS = "No column tells groups of writers: fairness was not measured. Name columns with --group-columns."
NO_TRAITS = "The essays have no human scores of the scorer's traits: how far those agree with people was not measured."
NO_ATTACKS = "No attack was run: how the scorer takes tampered texts was not measured."
NO_ADVISORIES = "The scorer gives no advisories for these essays."
NO_ERROR_MODEL = "The scorer has no error model: it predicts neither errors nor prediction sets."


@dataclass(frozen=True)
class ReportChoices:
    """
    What the person who asks for a report decides.

    Args:
        group_columns: that tell groups of writers; None for those that were named when the data set was built.
        least_n: essays that a group needs to be measured.
        reference: an earlier administration to compare with, or None.
        attacks: names of attacks to run on the split's essays, of [`ATTACK_NAMES`].
        seed: of all draws.
        command: the words of the command line.
    """

    group_columns: Sequence[str] | None = None
    least_n: int = LEAST_N
    reference: Reference | None = None
    attacks: Sequence[str] = ()
    seed: int = 0
    command: Sequence[str] = ()


def build_report(
    scorer: EssayScorer, data: EssayDataset, split: str, predictions: pd.DataFrame, choices: ReportChoices
) -> Report:
    """
    The report on a scorer's predictions.

    Args:
        scorer: that predicted.
        data, split: the essays.
        predictions: those of an evaluation of the split by the scorer, with or without columns that ride along.
        choices: what is to be measured.

    Raises:
        InputError: if a group column or an attack is not there.
    """
    columns = check_group_columns(data, split, choices.group_columns)
    essays = report_essays(data, split, predictions, choices.seed)
    agreement = AgreementSections(essays)
    overall, by_prompt = agreement.overall(), agreement.by_prompt()
    traits = traits_section(essays, predictions, told_ranges(scorer, data))
    fairness = fairness_section(essays, columns, choices.least_n)
    confidence = confidence_section(predictions, data.score_ranges, choices.seed, scorer.model.config.review_by)
    advisories = advisory_rows(predictions, scorer.model)
    robustness = _robustness(scorer, essays, choices)
    distributions = _distributions(essays, data.score_ranges)
    drift, not_compared = None, list[str]()
    if choices.reference is not None:
        drift, not_compared = drift_section(choices.reference, distributions, advisories, essays.num_essays)
    of_people = [*agreement_flags(overall, by_prompt), *fairness_flags(fairness)]
    return Report(
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        subject=_subject(scorer, data, split, essays),
        sentences=summary_sentences(overall, confidence, in_order(of_people), essays.num_essays, by_prompt),
        flags=in_order([*of_people, *attack_flags(robustness), *drift_flags(drift)]),
        overall=overall,
        agreement=by_prompt,
        raters=agreement.raters(),
        traits=traits,
        fairness=fairness,
        confidence=confidence,
        robustness=robustness,
        advisories=advisories,
        drift=drift,
        distributions=distributions,
        limits=[
            *agreement.limits(),
            *([NO_TRAITS] if scorer.trait_ranges and not traits else []),
            *([] if columns else [NO_GROUPS]),
            *([] if confidence.sets else [NO_ERROR_MODEL]),
            *([] if robustness else [NO_ATTACKS]),
            *_about_advisories(advisories, prompts_without_advisories(predictions, scorer.model)),
            *not_compared,
            *([SEEN_IN_TRAINING[split]] if split in SEEN_IN_TRAINING else []),
            *STANDING_LIMITS,
        ],
        packages=package_versions(),
        command=list(choices.command),
    )


def _about_advisories(advisories: Sequence[AdvisoryRow], without: Sequence[str]) -> list[str]:
    if not advisories:
        return [NO_ADVISORIES]
    return [f"The scorer gives no advisories for essays of these prompts: {', '.join(without)}."] if without else []


def _subject(scorer: EssayScorer, data: EssayDataset, split: str, essays: ReportEssays) -> Subject:
    card: dict[str, Any] = data.card
    return Subject(
        model=scorer.name,
        commit=scorer.commit,
        data=card["source"],
        data_sha256=card["source_sha256"],
        split=split,
        n=essays.num_essays,
        scales={prompt.prompt_id: str(prompt.scores.scale) for prompt in essays.prompts},
        seed=essays.seed,
        weights_sha256=scorer.checksums()["weights_sha256"],
    )


def _robustness(scorer: EssayScorer, essays: ReportEssays, choices: ReportChoices) -> list[AttackEffect]:
    """What the chosen attacks do to the scores of the essays."""
    if not choices.attacks:
        return []
    frame = pd.concat([prompt.frame for prompt in essays.prompts])
    spreads = {
        prompt.prompt_id: float(np.std(prompt.scores.gold, ddof=1)) if len(prompt.scores.gold) > 1 else 0.0
        for prompt in essays.prompts
    }
    return attack_effects(
        scorer, list(frame["essay"]), list(frame["prompt_id"]), spreads, choices.attacks, choices.seed
    )


def _distributions(essays: ReportEssays, score_ranges: dict[str, ScoreRange]) -> list[Distribution]:
    frame = pd.concat([prompt.frame.assign(predicted_score=prompt.scores.predicted) for prompt in essays.prompts])
    return score_distributions(frame, score_ranges) + length_distributions(frame)
