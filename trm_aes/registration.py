"""Makes the classes known to Transformers, as soon as both are imported and not before.

`import trm_aes` alone must be enough for `AutoModel.from_pretrained` and `pipeline("essay-scoring")`, and must not itself
import torch and transformers, which take seconds. So nothing is imported here: hooks wait for the modules they name.

1. Transformers' auto classes or pipelines are imported (or were before us): our classes are imported, too.
2. Our classes are imported, for that reason or by a program's own import: they are registered with Transformers.

All registering is done in step 2. It may happen in the midst of step 1, or set step 1 off. Where one of our modules is
imported first, and Transformers' on its behalf, step 1 waits until ours is whole: a module cannot be imported in the
midst of another that it needs.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType

from wrapt import when_imported

MODEL_PACKAGE = f"{__package__}.model"
# What Transformers imports, and which of our modules has to be there then.
FOLLOWERS = {
    "transformers.models.auto.configuration_auto": f"{MODEL_PACKAGE}.configuration_trm",
    "transformers.models.auto.modeling_auto": f"{MODEL_PACKAGE}.modeling_trm",
    "transformers.pipelines": f"{MODEL_PACKAGE}.pipeline_trm",
}
OUR_MODULES = tuple(f"{MODEL_PACKAGE}.{file.stem}" for file in (Path(__file__).parent / "model").glob("[!_]*.py"))


def register_when_imported():
    """Sets the hooks. Where Transformers' modules are imported already, they fire at once."""
    # Ours first: the others may import our modules here and now.
    when_imported(f"{MODEL_PACKAGE}.configuration_trm")(_register_configuration)
    when_imported(f"{MODEL_PACKAGE}.modeling_trm")(_register_models)
    when_imported(f"{MODEL_PACKAGE}.pipeline_trm")(_register_pipeline)
    for module in [*FOLLOWERS, *OUR_MODULES]:
        when_imported(module)(_import_followers)


def _import_followers(imported: ModuleType):
    """Imports what follows the modules of Transformers that are there, unless one of ours is only half imported."""
    if any(_is_half_imported(name) for name in OUR_MODULES if name != imported.__name__):
        return
    for theirs, ours in FOLLOWERS.items():
        if theirs in sys.modules and (theirs == imported.__name__ or not _is_half_imported(theirs)):
            importlib.import_module(ours)


def _is_half_imported(name: str) -> bool:
    """What the import system itself goes by, where a module is imported that is being imported already."""
    return name in sys.modules and getattr(sys.modules[name].__spec__, "_initializing", False)


# `register_for_auto_class` makes `save_pretrained` write the code beside the weights, and its names into config.json.


def _register_configuration(module: ModuleType):
    from transformers import AutoConfig

    AutoConfig.register(module.TRMConfig.model_type, module.TRMConfig)
    module.TRMConfig.register_for_auto_class()


def _register_models(module: ModuleType):
    from transformers import AutoModel, AutoModelForSequenceClassification

    AutoModel.register(module.TRMConfig, module.TRMModel)
    AutoModelForSequenceClassification.register(module.TRMConfig, module.TRMForEssayScoring)
    module.TRMModel.register_for_auto_class("AutoModel")
    module.TRMForEssayScoring.register_for_auto_class("AutoModelForSequenceClassification")


def _register_pipeline(module: ModuleType):
    from transformers import AutoModelForSequenceClassification
    from transformers.pipelines import PIPELINE_REGISTRY

    PIPELINE_REGISTRY.register_pipeline(
        "essay-scoring", module.EssayScoringPipeline, pt_model=AutoModelForSequenceClassification, type="text"
    )
