"""A report put together: a scorer's predictions for a split, measured, held against thresholds, and said in sentences."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ..data.dataset import EssayDataset
from ..evaluation.distributions import length_distributions, score_distributions
from ..evaluation.fairness import LEAST_N
from ..model.score_scale import ScoreRange
from ..records import Distribution, package_versions
from ..scoring.scorer import EssayScorer
from .agreement import AgreementSections
from .drift import Reference, drift_section
from .essays import ReportEssays, check_group_columns, report_essays
from .flags import agreement_flags, drift_flags, fairness_flags, in_order
from .groups import fairness_section
from .record import Report, Subject
from .sentences import summary_sentences

# What no figure of a report says.
STANDING_LIMITS = (
    "Intervals say what other essays of the same kind would change, not what another training run or other writers would.",
    "Agreement with human scores is not by itself a reason to use the scores: it says nothing of what the scores are used for.",
)
NO_GROUPS = "No column tells groups of writers: fairness was not measured. Name columns with `--group-columns`."
NO_CONFIDENCE = "The scorer's confidence was not measured."
NO_ATTACKS = "No attack was run: how the scorer takes tampered texts was not measured."
NO_ADVISORIES = "The scorer gives no advisories."


@dataclass(frozen=True)
class ReportChoices:
    """
    What the person who asks for a report decides.

    Args:
        group_columns: that tell groups of writers; None for those that were named when the data set was built.
        least_n: essays that a group needs to be measured.
        reference: an earlier administration to compare with, or None.
        seed: of all draws.
        command: the words of the command line.
    """

    group_columns: Sequence[str] | None = None
    least_n: int = LEAST_N
    reference: Reference | None = None
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
        InputError: if a group column is not there.
    """
    columns = check_group_columns(data, split, choices.group_columns)
    essays = report_essays(data, split, predictions, choices.seed)
    agreement = AgreementSections(essays)
    overall, by_prompt = agreement.overall(), agreement.by_prompt()
    fairness = fairness_section(essays, columns, choices.least_n)
    distributions = _distributions(essays, data.score_ranges)
    drift, not_compared = None, list[str]()
    if choices.reference is not None:
        drift, not_compared = drift_section(choices.reference, distributions, [], essays.num_essays)
    flags = in_order([*agreement_flags(overall, by_prompt), *fairness_flags(fairness), *drift_flags(drift)])
    return Report(
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        subject=_subject(scorer, data, split, essays),
        sentences=summary_sentences(overall, None, flags),
        flags=flags,
        overall=overall,
        agreement=by_prompt,
        raters=agreement.raters(),
        fairness=fairness,
        drift=drift,
        distributions=distributions,
        limits=[
            *agreement.limits(),
            *([] if columns else [NO_GROUPS]),
            NO_CONFIDENCE,
            NO_ATTACKS,
            NO_ADVISORIES,
            *not_compared,
            *STANDING_LIMITS,
        ],
        packages=package_versions(),
        command=list(choices.command),
    )


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
    )


def _distributions(essays: ReportEssays, score_ranges: dict[str, ScoreRange]) -> list[Distribution]:
    frame = pd.concat([prompt.frame for prompt in essays.prompts])
    return score_distributions(frame, score_ranges) + length_distributions(frame)
