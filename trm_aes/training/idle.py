"""Options of a training run that would have no effect, or end it in its midst: they are refused before it begins."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..model.configuration_trm import TRMConfig

if TYPE_CHECKING:
    from .recipe import TrainingPlan

# Options of Transformers that leave no choice here, with their values.
ALWAYS: dict[str, Any] = {
    "do_train": True, "do_predict": False, "prediction_loss_only": False, "remove_unused_columns": False,
    "label_names": ["labels"], "label_smoothing_factor": 0.0, "train_sampling_strategy": "random",
    "batch_eval_metrics": False,
    "dataloader_drop_last": False, "dataloader_in_order": True, "dataloader_multiprocessing_context": None,
    # The Trainer would leave the model in that precision, and so would it be saved.
    "bf16_full_eval": False, "fp16_full_eval": False,
}  # fmt: skip
HUB_OPTIONS = ("hub_model_id", "hub_token", "hub_private_repo", "hub_revision", "hub_strategy", "hub_always_push")
TRACKING_OPTIONS = ("project_name", "project", "run_name")


def refuse_fixed(training: Mapping[str, Any]) -> None:
    """
    Refuses options of Transformers that this package leaves no choice of.

    Args:
        training: what recipe and user give for fields of `TRMTrainingArguments`.

    Raises:
        InputError: for the first of them.
    """
    for name, value in ALWAYS.items():
        if training.get(name, value) != value:
            raise InputError(
                f"`{name}` {training[name]}: in the training of a scorer it is always {value}. Leave it out."
            )


def refuse_idle(plan: "TrainingPlan", given: Mapping[str, Any]) -> None:
    """
    Refuses options that have no effect in what the plan trains. What stands in a preset is not held against a user who takes
    another part of it back.

    Args:
        plan: settled but for this.
        given: options that the user gives, of the run, the model and the training together; None where there is none.

    Raises:
        InputError: for the first of them.
    """
    for name in () if plan.training.push_to_hub else HUB_OPTIONS:
        if given.get(name) is not None:
            raise InputError(f"`{name}` has no effect without `push_to_hub` true.")
    for name in () if plan.training.report_to else TRACKING_OPTIONS:
        if given.get(name) is not None:
            raise InputError(f"`{name}` has no effect without `report_to`: wandb, trackio or tensorboard.")
    convolves = plan.encoder is None and bool(plan.model.get("num_latents", TRMConfig.num_latents))
    no_convolutions = "the model has no convolutions"
    words_are_fixed = plan.freeze_encoder if plan.encoder else plan.freeze_embeddings
    h_cycles = plan.model.get("H_cycles", TRMConfig.H_cycles)
    idle = {
        "rescale_embeddings": (plan.embeddings is None, "no word embeddings are copied"),
        "embedding_dropout_prob": (plan.encoder is not None, f"the words are those of the `encoder` {plan.encoder}"),
        "embedding_initializer_range": (
            plan.encoder is not None or plan.embeddings is not None, "the word embeddings are copied"
        ),
        "neftune_noise_alpha": (
            plan.freeze_encoder, "the `encoder` is frozen, and reads the essays once"
        ),
        "num_convolutions": (not convolves, no_convolutions),
        "convolution_size": (not convolves or plan.model.get("num_convolutions") == 0, no_convolutions),
        "halting_tolerance": (True, "in training half a step of the prompt's scale is what counts as right"),
        "halt_exploration_prob": (
            plan.model.get("num_supervision_steps", TRMConfig.num_supervision_steps) == 1,
            "there is one supervision step, which no essay leaves earlier",
        ),
        "embedding_learning_rate": (words_are_fixed, "the word embeddings are not trained"),
        "lexical_share": (not plan.model.get("lexical_head"), "the model has no `lexical_head`"),
        "eval_every_epochs": (
            plan.training.eval_strategy != "epoch", f"`eval_strategy` is {plan.training.eval_strategy}"
        ),
    }  # fmt: skip
    for name, (has_no_effect, reason) in idle.items():
        if given.get(name) and has_no_effect:
            raise InputError(f"`{name}` {given[name]} has no effect: {reason}. Leave it out.")
    cycles = given.get("num_gradient_cycles")
    if cycles is not None and cycles > h_cycles:
        raise InputError(f"`num_gradient_cycles` {cycles}: there are no more than the {h_cycles} `H_cycles`.")
