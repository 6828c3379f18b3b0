"""Tiny Recursive Models that score essays, as Transformers models.

Importing the package registers the classes, so that `AutoConfig`, `AutoModel` and
`AutoModelForSequenceClassification` load a TRM without `trust_remote_code`, and adds the pipeline "essay-scoring".
The names below are imported when they are first used (PEP 562): neither this package nor its command line should make
anyone wait for torch who does not need it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from .registration import register_when_imported
from .version import __version__

if TYPE_CHECKING:
    from .errors import InputError, TRMError
    from .model.configuration_trm import TRMConfig
    from .model.modeling_trm import TRMForEssayScoring, TRMModel
    from .model.pipeline_trm import EssayScoringPipeline
    from .scoring.scorer import EssayScore, EssayScorer
    from .training.arguments import TRMTrainingArguments
    from .training.trainer import TRMTrainer

_MODULES = {
    "EssayScore": "scoring.scorer",
    "EssayScorer": "scoring.scorer",
    "EssayScoringPipeline": "model.pipeline_trm",
    "InputError": "errors",
    "TRMConfig": "model.configuration_trm",
    "TRMError": "errors",
    "TRMForEssayScoring": "model.modeling_trm",
    "TRMModel": "model.modeling_trm",
    "TRMTrainer": "training.trainer",
    "TRMTrainingArguments": "training.arguments",
}

__all__ = [
    "EssayScore",
    "EssayScorer",
    "EssayScoringPipeline",
    "InputError",
    "TRMConfig",
    "TRMError",
    "TRMForEssayScoring",
    "TRMModel",
    "TRMTrainer",
    "TRMTrainingArguments",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    # Found without this function from now on.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


register_when_imported()
