"""What the page says in words: of a score's doubt, of advisories, and of what went wrong."""

import logging
import re
import traceback
from pathlib import Path

from ..errors import TRMError, explain
from ..model.advisories_trm import ADVISORY_RULES
from ..model.score_scale import ScoreRange
from ..report.formats import percent
from ..scoring.scorer import EssayScore

logger = logging.getLogger(__name__)

HUMAN_READER = "No score should matter to a person without a human who reads the essay."
WAS_CUT = "The essay is longer than this scorer reads. Its end was not read, and has no part in the score."
# Parameters of the library, as the fields of the page are called.
FIELDS = {
    "columns.essay": "Essays",
    "columns.prompt_id": "Prompts",
    "columns.prompt": "Prompts",
    "prompt_id": "Prompts",
    "prompt": "Prompts",
    "sheet": "Sheet",
    "encoding": "Encoding",
    "delimiter": "Delimiter",
}
# Advice of the library for which the page has no field.
NOT_ON_THE_PAGE = (
    ", or set `encoding_errors` to replace",
    " Or choose what becomes of such essays with `unknown_prompt`.",
)


def set_in_words(result: EssayScore, score_range: ScoreRange) -> str | None:
    """The 90 % range of a score as a sentence; None for a scorer without an error model."""
    if result.score_low is None or result.score_high is None:
        return None
    ends = (result.score_low, result.score_high)
    if ends[0] == ends[1]:
        return f"With a probability of 90 %, a person would give {ends[0]}, too."
    said = f"With a probability of 90 %, a person would give a score from {ends[0]} to {ends[1]}"
    if ends == (score_range.shown(score_range.min_score), score_range.shown(score_range.max_score)):
        return f"{said}: that is the whole scale, so this score says next to nothing."
    return f"{said}."


def confidence_in_words(result: EssayScore) -> str:
    """The confidence of a score as a sentence."""
    return f"Confidence {percent(result.confidence, 0)}: how likely it is that a person would give exactly {result.rounded_score}."


def advisories_in_words(result: EssayScore) -> list[tuple[str, list[str]]]:
    """The advisories of an essay, each with the sentences of the rules that may have led to it."""
    return [
        (advisory, [rule.sentence for rule in ADVISORY_RULES if rule.advisory == advisory])
        for advisory in result.advisories
    ]


def problem_in_words(error: Exception) -> str:
    """
    What went wrong, for a visitor: fields of the page in the place of parameters of the library. Of a fault of ours the log
    gets the kind and the place alone, since its message may quote an essay.
    """
    message = str(error) if isinstance(error, TRMError) else explain(error)
    if message is None:
        place = traceback.extract_tb(error.__traceback__)[-1]
        logger.error("%s in %s, line %s", type(error).__name__, Path(place.filename).name, place.lineno)
        return "Something went wrong in the scorer, and it is not your fault. Nothing was scored."
    for advice in NOT_ON_THE_PAGE:
        message = message.replace(advice, "")
    return re.sub(r"`([\w.]+)`", lambda match: f"“{FIELDS.get(match[1], match[1])}”", message)
