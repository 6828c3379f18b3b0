"""Tiny Recursive Models that score essays, as Transformers models.

Importing the package registers the classes, so that `AutoConfig`, `AutoModel` and
`AutoModelForSequenceClassification` load a TRM without `trust_remote_code`, and adds the pipeline "essay-scoring".
"""

from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification
from transformers.pipelines import PIPELINE_REGISTRY

from .model.configuration_trm import TRMConfig
from .model.modeling_trm import TRMForEssayScoring, TRMModel
from .model.pipeline_trm import EssayScoringPipeline
from .version import __version__

AutoConfig.register(TRMConfig.model_type, TRMConfig)
AutoModel.register(TRMConfig, TRMModel)
AutoModelForSequenceClassification.register(TRMConfig, TRMForEssayScoring)

PIPELINE_REGISTRY.register_pipeline(
    "essay-scoring", EssayScoringPipeline, pt_model=AutoModelForSequenceClassification, type="text"
)

# What `save_pretrained` then copies beside the weights lets the auto classes load a model where this package is absent.
TRMConfig.register_for_auto_class()
TRMModel.register_for_auto_class("AutoModel")
TRMForEssayScoring.register_for_auto_class("AutoModelForSequenceClassification")

__all__ = ["EssayScoringPipeline", "TRMConfig", "TRMForEssayScoring", "TRMModel", "__version__"]
