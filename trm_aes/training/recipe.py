"""A training run's choices, resolved once: options over the hardware preset over the recipe over the defaults."""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from typing import Any, Literal, NoReturn, cast, get_args, get_origin, get_type_hints

import torch
from transformers import HfArgumentParser, get_scheduler
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from ..bounds import check_bounds
from ..checkpoints import DEFAULT_CHECKPOINT
from ..devices import available_device
from ..errors import InputError, one_line
from ..model.configuration_trm import TRMConfig
from ..presets import Hardware, Recipe, hardware_names, is_recipe_file, load_hardware, load_recipe, recipe_names
from ..typed_json import check_types, refuse_unknown
from .arguments import AUTO_HARDWARE, NO_COLUMNS, NO_EMBEDDINGS, RunArguments, TRMTrainingArguments
from .folder import check_is_named
from .idle import refuse_fixed, refuse_idle

REPORTERS = ("wandb", "trackio", "tensorboard")
# Follow from the data set and the tokenizer.
NOT_CHOSEN = ("vocab_size", "type_vocab_size", "pad_token_id", "problem_type", "score_ranges", "prompt_texts",
              "max_prompt_tokens", "encoder", "cls_token_id", "sep_token_id", "text_features",
              "skip_repetition", "traits", "auxiliary_targets", "advisory_limits", "review_by")  # fmt: skip
MODEL_FIELDS = {name: kind for name, kind in TRMConfig.__annotations__.items() if name not in NOT_CHOSEN}


@dataclass(frozen=True)
class TrainingPlan:
    """
    Everything that decides a training run. What comes after reads this alone, and no preset or option again.

    Args:
        data: folder of the data set.
        recipe: name of the recipe preset (`default`, where the user named none), or path of the user's own file.
        hardware: name of the hardware preset, never `auto`.
        model: fields of `TRMConfig`; the rest have its defaults or follow from the data set.
        embeddings: encoder whose word embeddings the model starts from (Hub name or folder); None for random ones, or
            where it reads an encoder's states.
        rescale_embeddings: whether those are scaled to a root mean square of 1.
        freeze_embeddings: whether those are kept out of training.
        encoder: pretrained encoder whose states the latents read (Hub name or folder); None for word embeddings.
        encoder_layers: how many of its layers; 0 without one.
        freeze_encoder: whether it is kept out of training.
        revision: commit, branch or tag on the Hub of `encoder` or `embeddings`; None for the main branch.
        text_features: whether the model is told what is countable in the essays' texts.
        shrink_recursion: whether few training essays lower the recursive head's share in the score. Not where the user
            gives a `lexical_share`.
        auxiliary_columns: columns of the data set that are learned beside the score, where
            `model["auxiliary_loss_weight"]` is above 0; None for the raters' own scores where there are any.
        traits: the data set's traits that the model scores, too; None for all of them, where the recipe can.
        training: the Trainer's arguments; `output_dir` is where the scorer goes.
        project_name: project for wandb or trackio.
        overwrite: whether an existing run in `output_dir` is replaced.
    """

    data: str
    recipe: str
    hardware: str
    model: dict[str, Any]
    embeddings: str | None
    rescale_embeddings: bool
    freeze_embeddings: bool
    encoder: str | None
    encoder_layers: int
    freeze_encoder: bool
    revision: str | None
    text_features: bool
    shrink_recursion: bool
    auxiliary_columns: tuple[str, ...] | None
    traits: tuple[str, ...] | None
    training: TRMTrainingArguments
    project_name: str | None = None
    overwrite: bool = False

    @property
    def choices(self) -> dict[str, Any]:
        """What is neither the model's nor the Trainer's, for the record of the run."""
        own = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in ("model", "training")}
        return {**own, "embeddings": NO_EMBEDDINGS if self.embeddings is None else self.embeddings}


class PlanParser(HfArgumentParser):
    """The parser over the dataclasses themselves. What it refuses is an error of one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """
        Called by argparse where it would print its usage and exit.

        Raises:
            InputError: always.
        """
        raise InputError(f"{message.removeprefix('argument ')}. See {self.prog} --help")


def parse_arguments(argv: Sequence[str] | None) -> TrainingPlan:
    """
    The plan that a command line asks for; `None` reads the program's own.

    Raises:
        InputError: see [`resolve_plan`].
    """
    kinds: list[Any] = [RunArguments, _model_options(), TRMTrainingArguments]
    parser = PlanParser(
        kinds,
        prog="trm-aes train",
        description=f"Train a scorer. Recipes: {', '.join(recipe_names())}. Hardware: {', '.join(hardware_names())}.",
        allow_abbrev=False,
    )
    # In place of defaults, so that presets can stand in for what is not given.
    not_given = object()
    parser.set_defaults(**{item.name: not_given for kind in kinds[1:] for item in fields(kind)})
    chosen = vars(parser.parse_args(argv))
    run, model, training = (
        {item.name: chosen[item.name] for item in fields(kind) if chosen[item.name] is not not_given} for kind in kinds
    )
    return resolve_plan(RunArguments(**run), model, training)


def resolve_plan(run: RunArguments, model: dict[str, Any], training: dict[str, Any]) -> TrainingPlan:
    """
    Settles every choice of a run. What is given wins over the hardware preset, that over the recipe, that over the
    defaults of `TRMConfig` and `TRMTrainingArguments`.

    Args:
        run: the run's own arguments.
        model: fields of `TRMConfig` that the user gives.
        training: fields of `TRMTrainingArguments` that the user gives, `output_dir` among them.

    Raises:
        InputError: for presets that do not exist, recipe files that cannot be used, hardware and packages that are
            absent, and values that are out of range or contradict one another.
    """
    recipe, hardware = load_recipe(run.recipe), _find_hardware(run.hardware)
    if is_recipe_file(recipe.name):
        check_fields(recipe.name, recipe.model, recipe.training)
    check_bounds({**vars(run), **model, **training})
    plan = TrainingPlan(
        data=run.data,
        recipe=recipe.name,
        hardware=hardware.name,
        model={**recipe.model, **model},
        **_resolve_inputs(run, recipe),
        shrink_recursion="lexical_share" not in model,
        auxiliary_columns=_split_names(run.auxiliary_columns),
        traits=_split_names(run.traits),
        training=_training_arguments(recipe, hardware, training, run.project_name),
        project_name=run.project_name,
        overwrite=run.overwrite,
    )
    refuse_idle(plan, {**vars(run), **model, **training})
    return plan


def _resolve_inputs(run: RunArguments, recipe: Recipe) -> dict[str, Any]:
    """The part of a plan that says what the model is given to read: word embeddings or an encoder's states, and features."""
    encoder = run.encoder or recipe.encoder.get("name")
    layers = run.encoder_layers if run.encoder_layers is not None else recipe.encoder.get("layers")
    if encoder is None:
        for name in ("encoder_layers", "freeze_encoder"):
            if getattr(run, name) is not None:
                raise InputError(f"`{name}` needs an `encoder`: `recipe` {recipe.name} has none.")
    elif run.embeddings is not None:
        raise InputError(
            f"`embeddings` {run.embeddings}: with the `encoder` {encoder} the model has that encoder's embeddings. Leave "
            "`embeddings` out, or take a `recipe` without an encoder."
        )
    elif layers is None:
        raise InputError(f"`encoder` {encoder} needs `encoder_layers`: how many of its layers, from the first.")
    has_embeddings = encoder is None and run.embeddings != NO_EMBEDDINGS
    if not has_embeddings and run.freeze_embeddings:
        raise InputError("`freeze_embeddings` without `embeddings` would freeze random embeddings.")

    if run.revision is not None and encoder is None and not has_embeddings:
        raise InputError(f"`revision` {run.revision}: nothing is downloaded for a model with random embeddings.")

    def choose(given: bool | None, of_recipe: bool) -> bool:
        return of_recipe if given is None else given

    return {
        "embeddings": (run.embeddings or DEFAULT_CHECKPOINT) if has_embeddings else None,
        "rescale_embeddings": has_embeddings and choose(run.rescale_embeddings, recipe.rescale_embeddings),
        "freeze_embeddings": has_embeddings and choose(run.freeze_embeddings, recipe.freeze_embeddings),
        "encoder": encoder,
        "encoder_layers": layers if encoder is not None else 0,
        "freeze_encoder": encoder is not None and choose(run.freeze_encoder, recipe.encoder.get("freeze", True)),
        "revision": run.revision,
        "text_features": choose(run.text_features, recipe.text_features),
    }


def _split_names(names: str | None) -> tuple[str, ...] | None:
    """Names between commas; none of them for `none`."""
    if names is None:
        return None
    if names.strip() == NO_COLUMNS:
        return ()
    return tuple(name.strip() for name in names.split(",") if name.strip())


def _training_arguments(
    recipe: Recipe, hardware: Hardware, given: dict[str, Any], project_name: str | None
) -> TRMTrainingArguments:
    check_is_named(given.get("output_dir"))
    if project_name and given.get("project", project_name) != project_name:
        raise InputError(f"`project_name` {project_name} and `project` {given['project']} differ: give one of them.")
    project = {"project": project_name} if project_name else {}
    try:
        args = TRMTrainingArguments(**{**recipe.training, **hardware.training, **project, **given})
    except (ValueError, ImportError) as error:
        raise InputError(one_line(error)) from None
    refuse_fixed({**recipe.training, **given})
    _check_schedule(args)
    for reporter in args.report_to or []:
        if reporter not in INTEGRATION_TO_CALLBACK:
            known = ", ".join(["none", *REPORTERS, *sorted(set(INTEGRATION_TO_CALLBACK) - set(REPORTERS))])
            raise InputError(f"`report_to` {reporter}: no such tracker; there are {known}.")
        if reporter in REPORTERS and importlib.util.find_spec(reporter) is None:
            raise InputError(f"`report_to` {reporter} needs a package: pip install 'trm-aes[{reporter}]'")
    return args


def _check_schedule(args: TRMTrainingArguments):
    """The Trainer itself builds the schedule when training begins, after the essays have been read."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=args.learning_rate)
    try:
        get_scheduler(args.lr_scheduler_type, optimizer, 1, 10, cast(dict | None, args.lr_scheduler_kwargs))
    except (ValueError, TypeError, AttributeError) as error:
        kind = getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type)
        raise InputError(
            f"`lr_scheduler_type` {kind} with `lr_scheduler_kwargs` {args.lr_scheduler_kwargs or {}}: {one_line(error)}"
        ) from None


def _find_hardware(wanted: str) -> Hardware:
    there = available_device()
    hardware = load_hardware(there if wanted == AUTO_HARDWARE else wanted)
    if hardware.device not in ("cpu", there):
        raise InputError(
            f"`hardware` {wanted} needs {hardware.device.upper()}, which is absent here (PyTorch finds {there}). "
            f"Use `hardware` {there}."
        )
    return hardware


def check_fields(name: str, model: Mapping[str, Any], training: Mapping[str, Any]) -> None:
    """
    Checks what is chosen of a recipe, as JSON has it.

    Args:
        name: of the recipe, for the message.
        model, training: fields of `TRMConfig` and `TRMTrainingArguments`.

    Raises:
        InputError: for a field that there is not, and a value of another type or out of its bounds.
    """
    training_fields = get_type_hints(TRMTrainingArguments)
    for section, values, types in (
        ("model", model, MODEL_FIELDS),
        ("training", training, {item.name: training_fields[item.name] for item in fields(TRMTrainingArguments)}),
    ):
        where = f"{name}, {section}"
        refuse_unknown(values, types, where)
        check_types(values, types, where)
        check_bounds(values, where)


def _model_options() -> type:
    """A dataclass of the fields of `TRMConfig` that a user chooses, all optional."""
    return make_dataclass(
        "ModelOptions",
        [
            (name, _option_type(annotation) | None, field(default=None, metadata={"help": "See TRMConfig."}))
            for name, annotation in MODEL_FIELDS.items()
        ],
    )


def _option_type(annotation: Any) -> Any:
    """The one type that a command line gives for a field: `float` for `float | int`, `int` for `int | None`."""
    if get_origin(annotation) is Literal:
        return annotation
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)] or [annotation]
    return float if float in kinds else kinds[0]
