"""A run's choices, resolved: presets, a recipe file of one's own, options, and what is refused."""

import contextlib
import importlib.util
import json

import pytest
import torch
from helpers import options

from trm_aes import TRMConfig, TRMForEssayScoring
from trm_aes.checkpoints import DEFAULT_ENCODER
from trm_aes.cli import train
from trm_aes.errors import InputError
from trm_aes.presets import DEFAULT_RECIPE, hardware_names, load_hardware, load_recipe, recipe_names
from trm_aes.training.arguments import RunArguments, TRMTrainingArguments
from trm_aes.training.recipe import check_fields, parse_arguments, resolve_plan


def resolve(tmp_path, recipe="fast", model=None, training=None, **run):
    run = RunArguments(data="d", recipe=recipe, hardware="cpu", **run)
    return resolve_plan(run, model or {}, {"output_dir": str(tmp_path / "m"), **(training or {})})


def test_options_win_over_hardware_over_recipe(tmp_path):
    chosen = ["--data", "d", "--output-dir", str(tmp_path), "--recipe", "published", "--hardware", "cpu"]
    plan = parse_arguments(chosen)
    args = plan.training
    assert (args.learning_rate, args.per_device_train_batch_size, args.use_cpu) == (1e-5, 16, True)
    assert plan.model == load_recipe("published").model
    more = ["--learning-rate", "0.5", "--per-device-train-batch-size", "3", "--H-cycles", "7", "--pooling", "mean"]
    plan = parse_arguments([*chosen, *more])
    assert (plan.training.learning_rate, plan.training.per_device_train_batch_size) == (0.5, 3)
    assert plan.model == {**load_recipe("published").model, "H_cycles": 7, "pooling": "mean"}


def test_an_option_that_is_given_its_default_wins_too(tmp_path):
    chosen = ["--data", "d", "--output-dir", str(tmp_path), "--recipe", "fast", "--hardware", "cpu"]
    assert parse_arguments(chosen).training.ema_decay == 0.99
    assert parse_arguments([*chosen, "--ema-decay", "0.999"]).training.ema_decay == 0.999
    # Both dialects of options.
    assert parse_arguments([*chosen, "--ema_decay", "0.5", "--use_cpu", "true"]).training.ema_decay == 0.5


def _inputs(recipe):
    """What the configuration of a recipe's model takes from its encoder: here all-MiniLM-L6-v2's shape."""
    if not recipe.encoder:
        return {}
    shape = {"hidden_size": 384, "intermediate_size": 1536, "num_attention_heads": 12}
    encoder = {"model_type": "bert", "num_hidden_layers": recipe.encoder["layers"], **shape}
    return {"encoder": encoder, "num_convolutions": 0, "cls_token_id": 101, "sep_token_id": 102}


def test_every_preset_is_valid():
    assert set(recipe_names()) == {"published", "tiny", "baseline", "fast", "default"}
    assert set(hardware_names()) == {"cpu", "mps", "cuda", "h200"}
    assert load_hardware("mps").training["per_device_train_batch_size"] == 8
    h200 = load_hardware("h200").training
    assert h200["per_device_train_batch_size"] == 128 and h200["bf16"] is True
    sizes = {}
    for name in recipe_names():
        recipe = load_recipe(name)
        check_fields(recipe.name, recipe.model, recipe.training)
        config = TRMConfig(**recipe.model, **_inputs(recipe), score_ranges={"1": [2, 12]})
        with torch.device("meta"):
            sizes[name] = TRMForEssayScoring(config).num_parameters()
    assert max(sizes.values()) <= 40e6 and round(sizes["published"] / 1e6, 1) == 37.6
    assert sizes["baseline"] == sizes["default"] > sizes["fast"] > sizes["tiny"]
    published, baseline = (
        TRMConfig(**load_recipe("published").model),
        TRMConfig(**load_recipe("baseline").model, **_inputs(load_recipe("baseline")), score_ranges={"1": [0, 3]}),
    )
    assert (published.H_cycles, published.L_cycles) == (3, 4)
    assert (baseline.H_cycles, baseline.L_cycles, baseline.num_supervision_steps) == (1, 1, 1)


def test_where_no_recipe_is_named_it_is_one_with_a_name(tmp_path):
    chosen = ["--data", "d", "--output-dir", str(tmp_path), "--hardware", "cpu"]
    plans = [parse_arguments([*chosen, *more]) for more in ([], ["--recipe", DEFAULT_RECIPE])]
    assert {plan.recipe for plan in plans} == {DEFAULT_RECIPE}
    assert {plan.choices["recipe"] for plan in plans} == {DEFAULT_RECIPE}
    assert plans[0].model == plans[1].model == load_recipe(DEFAULT_RECIPE).model


def test_an_encoder_is_what_the_recipe_says_unless_told_otherwise(tmp_path):
    plan = resolve(tmp_path, "default")
    assert (plan.encoder, plan.encoder_layers, plan.freeze_encoder) == (DEFAULT_ENCODER, 4, True)
    assert plan.text_features and plan.embeddings is None and plan.auxiliary_columns is None
    plan = resolve(
        tmp_path, "default", encoder="mine", encoder_layers=2, freeze_encoder=False, text_features=False,
        auxiliary_columns="rater1, style",
    )  # fmt: skip
    assert (plan.encoder, plan.encoder_layers, plan.freeze_encoder) == ("mine", 2, False)
    assert not plan.text_features and plan.auxiliary_columns == ("rater1", "style")
    assert resolve(tmp_path, "default", auxiliary_columns="none").auxiliary_columns == ()
    # Words become states.
    plan = resolve(tmp_path, "fast", encoder="mine", encoder_layers=2)
    assert (plan.encoder, plan.freeze_encoder, plan.embeddings) == ("mine", True, None)
    words = resolve(tmp_path, "fast")
    assert (words.encoder, words.encoder_layers, words.freeze_encoder) == (None, 0, False)
    for name, chosen, message in (
        ("fast", {"encoder": "mine"}, "`encoder` mine needs `encoder_layers`"),
        ("fast", {"encoder_layers": 2}, "`encoder_layers` needs an `encoder`"),
        ("fast", {"freeze_encoder": False}, "`freeze_encoder` needs an `encoder`"),
        ("default", {"embeddings": "bert-base-uncased"}, "Leave `embeddings` out"),
    ):
        with pytest.raises(InputError, match=message):
            resolve(tmp_path, name, **chosen)


@pytest.mark.parametrize(
    "recipe, run, model, training, message",
    [
        ("default", {"rescale_embeddings": True}, {}, {}, "`rescale_embeddings` True has no effect: no word embeddings"),
        ("default", {}, {"embedding_dropout_prob": 0.1}, {}, "`embedding_dropout_prob` 0.1 has no effect"),
        ("default", {}, {}, {"embedding_learning_rate": 1e-4}, "the word embeddings are not trained"),
        ("fast", {}, {}, {"embedding_learning_rate": 1e-4}, "the word embeddings are not trained"),
        ("published", {"freeze_embeddings": True}, {}, {"embedding_learning_rate": 1e-4}, "are not trained"),
        ("published", {}, {"lexical_share": 0.5}, {}, "`lexical_share` 0.5 has no effect: the model has no `lexical_head`"),
        ("default", {}, {"H_cycles": 1, "num_gradient_cycles": 2}, {}, "no more than the 1 `H_cycles`"),
        ("default", {}, {}, {"eval_every_epochs": 2, "eval_strategy": "steps", "save_strategy": "steps"},
         "`eval_every_epochs` 2 has no effect"),
        ("fast", {}, {"halting_tolerance": 0.1}, {}, "`halting_tolerance` 0.1 has no effect: in training half a step"),
        ("default", {}, {"convolution_size": 3}, {}, "`convolution_size` 3 has no effect: the model has no convolutions"),
        ("published", {}, {"num_convolutions": 1}, {}, "`num_convolutions` 1 has no effect"),
        ("fast", {}, {"num_convolutions": 0, "convolution_size": 3}, {}, "`convolution_size` 3 has no effect"),
        ("fast", {}, {"embedding_initializer_range": 0.5}, {}, "has no effect: the word embeddings are copied"),
        ("default", {}, {}, {"neftune_noise_alpha": 5.0}, "the `encoder` is frozen"),
        ("default", {}, {}, {"halt_exploration_prob": 0.5}, "there is one supervision step"),
        ("default", {}, {}, {"batch_eval_metrics": True}, "it is always False"),
        ("default", {}, {}, {"lr_scheduler_type": "cosine_with_min_lr"}, "`lr_scheduler_type` cosine_with_min_lr"),
        ("default", {}, {}, {"lr_scheduler_type": "warmup_stable_decay"}, "`lr_scheduler_kwargs`.*num_decay_steps"),
        ("default", {}, {}, {"lr_scheduler_kwargs": {"no_such": 1}}, "no_such"),
        ("default", {}, {}, {"label_smoothing_factor": 0.1}, "it is always 0.0"),
        ("default", {}, {}, {"dataloader_drop_last": True}, "it is always False"),
        ("default", {}, {}, {"train_sampling_strategy": "group_by_length"}, "it is always random"),
        ("default", {}, {}, {"hub_model_id": "me/mine"}, "no effect without `push_to_hub`"),
    ],
)  # fmt: skip
def test_what_would_have_no_effect_is_refused(tmp_path, recipe, run, model, training, message):
    with pytest.raises(InputError, match=message):
        resolve(tmp_path, recipe, **run, model=model, training=training)


def test_what_has_an_effect_is_taken(tmp_path):
    assert resolve(tmp_path, "fast", model={"convolution_size": 3}).model["convolution_size"] == 3
    many = resolve(tmp_path, "fast", model={"num_supervision_steps": 4}, training={"halt_exploration_prob": 0.5})
    assert many.training.halt_exploration_prob == 0.5
    assert resolve(tmp_path, "fast", training={"neftune_noise_alpha": 5.0}).training.neftune_noise_alpha == 5.0
    floor = {"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr_rate": 0.1}}
    assert resolve(tmp_path, "fast", training=floor).training.lr_scheduler_kwargs == {"min_lr_rate": 0.1}
    # The lowest rate is held against that of the run.
    for rate, is_fine in ((3e-3, True), (1e-4, False)):
        falling = {"learning_rate": rate, "lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"lr_end": 1e-3}}
        with contextlib.nullcontext() if is_fine else pytest.raises(InputError, match="`lr_scheduler_type` polynomial"):
            resolve(tmp_path, "fast", training=falling)


def test_what_a_recipe_says_of_a_part_that_is_taken_back_is_no_fault(tmp_path):
    assert resolve(tmp_path, "default", model={"H_cycles": 1}).model["num_gradient_cycles"] == 2
    assert resolve(tmp_path, "fast", encoder="mine", encoder_layers=2).model["embedding_dropout_prob"] == 0.15
    with pytest.raises(InputError, match="`remove_unused_columns` True"):
        resolve(tmp_path, write_recipe(tmp_path, {"training": {"remove_unused_columns": True}}))


def test_a_project_has_one_name(tmp_path, monkeypatch):
    for name in ("project_name", "project", "run_name"):
        of_run = {"project_name": "y"} if name == "project_name" else {"training": {name: "y"}}
        with pytest.raises(InputError, match=f"`{name}` has no effect without `report_to`"):
            resolve(tmp_path, **of_run)
    monkeypatch.setattr("trm_aes.training.idle.TRACKING_OPTIONS", ())
    assert resolve(tmp_path, project_name="y").training.project == "y"
    assert resolve(tmp_path, project_name="y", training={"project": "y"}).training.project == "y"
    # The user's name wins over the recipe's, as every option does.
    path = write_recipe(tmp_path, {"training": {"project": "x"}})
    assert resolve(tmp_path, path, project_name="y").training.project == "y"
    with pytest.raises(InputError, match="`project_name` y and `project` x differ"):
        resolve(tmp_path, project_name="y", training={"project": "x"})


def test_an_error_without_words_is_named(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise ValueError

    monkeypatch.setattr("trm_aes.training.recipe.TRMTrainingArguments", fail)
    with pytest.raises(InputError, match="^ValueError$"):
        resolve(tmp_path)


def test_embeddings_are_treated_as_the_recipe_says_unless_told_otherwise(tmp_path):
    fast, published = (resolve(tmp_path, recipe) for recipe in ("fast", "published"))
    assert (fast.rescale_embeddings, fast.freeze_embeddings) == (True, True)
    assert (published.rescale_embeddings, published.freeze_embeddings) == (False, False)
    plan = resolve(tmp_path, "fast", rescale_embeddings=False, freeze_embeddings=False)
    assert (plan.rescale_embeddings, plan.freeze_embeddings) == (False, False)
    # Random ones are trained, whatever a recipe says of copied ones.
    plan = resolve(tmp_path, "fast", embeddings="none")
    assert (plan.embeddings, plan.freeze_embeddings, plan.choices["embeddings"]) == (None, False, "none")
    with pytest.raises(InputError, match="would freeze random embeddings"):
        resolve(tmp_path, "fast", embeddings="none", freeze_embeddings=True)


# ---- A recipe file of one's own


def write_recipe(folder, content, name="mine.json"):
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def test_a_recipe_file_has_the_shape_of_a_preset(tmp_path):
    recipe = load_recipe("tiny")
    sections = ("description", "model", "training", "embeddings", "text_features")
    path = write_recipe(tmp_path, {name: getattr(recipe, name) for name in sections})
    mine, tiny = resolve(tmp_path, path), resolve(tmp_path, "tiny")
    assert mine.recipe == path and mine.model == tiny.model
    assert (mine.rescale_embeddings, mine.freeze_embeddings) == (tiny.rescale_embeddings, tiny.freeze_embeddings)
    assert mine.training.to_dict() == tiny.training.to_dict()


def test_what_a_recipe_file_leaves_out_has_the_classes_defaults(tmp_path):
    plan = resolve(tmp_path, write_recipe(tmp_path, {"model": {"H_cycles": 2}, "training": {"weight_decay": 0}}))
    assert plan.model == {"H_cycles": 2} and plan.training.weight_decay == 0
    # Neither those of a preset nor of another file.
    assert plan.training.ema_decay == 0.999 and plan.training.metric_for_best_model == "mean_qwk"
    assert (plan.rescale_embeddings, plan.freeze_embeddings) == (True, False)
    assert resolve(tmp_path, write_recipe(tmp_path, {})).model == {}


def test_options_win_over_a_recipe_file(tmp_path):
    path = write_recipe(tmp_path, {"model": {"H_cycles": 2, "L_cycles": 5}, "training": {"learning_rate": 1}})
    plan = resolve(tmp_path, path, model={"H_cycles": 9}, training={"learning_rate": 0.1})
    assert plan.model == {"H_cycles": 9, "L_cycles": 5} and plan.training.learning_rate == 0.1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"modle": {}},
            "mine.json: unknown key 'modle'; known are description, embeddings, encoder, model, text_features, training",
        ),
        ({"model": {"H_cycle": 2}}, "mine.json, model: unknown key 'H_cycle'; known are H_cycles"),
        ({"model": {"score_ranges": {}}}, "mine.json, model: unknown key 'score_ranges'"),
        ({"training": {"learning_rte": 2}}, "mine.json, training: unknown key 'learning_rte'"),
        ({"encoder": {"name": "mine"}}, "mine.json, encoder: give both `name` and `layers`"),
        (
            {"encoder": {"name": "mine", "layers": "4"}},
            "mine.json, encoder: 'layers' must be a whole number, not \"4\"",
        ),
        ({"embeddings": {"frozen": True}}, "mine.json, embeddings: unknown key 'frozen'; known are freeze, rescale"),
        ({"model": {"H_cycles": 2.5}}, "mine.json, model: 'H_cycles' must be a whole number, not 2.5"),
        ({"model": {"pooling": "max"}}, "mine.json, model: 'pooling' must be one of .*, not \"max\""),
        (
            {"training": {"learning_rate": "5e-4"}},
            "mine.json, training: 'learning_rate' must be a number, not \"5e-4\"",
        ),
        ({"training": {"bf16": "yes"}}, "mine.json, training: 'bf16' must be true or false, not \"yes\""),
        (
            {"embeddings": {"freeze": 1}},
            "mine.json, embeddings: 'freeze' must be true or false, not 1",
        ),
        (
            {"training": {"learning_rate": float("nan")}},
            "mine.json, training: 'learning_rate' must be a number, not NaN",
        ),
        ({"model": {"num_latents": -1}}, "mine.json, model: `num_latents` must be at least 0, got -1"),
        ({"encoder": {"name": "mine", "layers": 0}}, "mine.json, encoder: `encoder_layers` must be at least 1, got 0"),
        ({"model": [1]}, "mine.json: 'model' must be an object, not \\[1\\]"),
        ([1], "mine.json: a recipe is a JSON object"),
        ('{"model": {', "mine.json is not valid JSON"),
    ],
)
def test_a_recipe_file_is_refused_by_file_and_key(tmp_path, content, message):
    path = write_recipe(tmp_path, content)
    with pytest.raises(InputError, match=message) as caught:
        resolve(tmp_path, path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("path", ["nowhere.json", "folder/nowhere", "."])
def test_a_recipe_file_that_is_missing(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    message = "no such preset" if path == "." else f"{path}: there is no such file"
    with pytest.raises(InputError, match=message):
        resolve(tmp_path, path)


def test_a_run_with_a_recipe_file(data_dir, tmp_path):
    path = write_recipe(
        tmp_path,
        {
            "model": {"num_latents": 4, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24,
                      "num_supervision_steps": 1, "H_cycles": 1, "L_cycles": 1},
            "training": {"num_train_epochs": 1, "learning_rate": 0.003},
        },
    )  # fmt: skip
    chosen = ["--data", str(data_dir), "--hardware", "cpu", "--output-dir", str(tmp_path / "m")]
    train.main([*chosen, "--recipe", path, "--embeddings", "none", "--disable-tqdm", "true"])
    record = json.loads((tmp_path / "m" / "run.json").read_text(encoding="utf-8"))
    assert record["run"]["recipe"] == path and record["run"]["embeddings"] == "none"
    assert record["training"]["learning_rate"] == 0.003
    config = TRMConfig.from_pretrained(tmp_path / "m")
    assert (config.num_latents, config.hidden_size, config.lexical_head) == (4, 16, False)


# ---- What is refused


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--recipe", "huge"], "^--recipe huge: no such preset; there are baseline, default, fast, published, tiny"),
        (["--hardware", "abacus"], "^--hardware abacus: no such preset"),
        (["--hardware", "cuda"], "^--hardware cuda needs CUDA, which is absent here"),
        (["--hardware", "mps"], "^--hardware mps needs MPS, which is absent here"),
        (["--num-attention-heads", "5"], "heads of even width"),
        (["--max-position-embeddings", "16"], "sequences of up to 64 tokens, the model takes 16"),
        (["--embedding-size", "100"], "leave --embedding-size out, or give 384"),
        (["--embeddings", "no-such/encoder"], "is no folder, is not in the Hub's cache"),
        (["--report-to", "wandb"], "pip install 'trm-aes\\[wandb\\]'"),
        (["--ema-decay", "2"], r"^--ema-decay must lie in \[0, 1\)"),
        (["--resume-from-checkpoint", "last"], "holds no checkpoint to resume from"),
        (
            ["--hidden-size", "8000000"],
            r"would have 1,536,0\d\d,\d{3},\d{3},\d{3} parameters, and this machine has memory for",
        ),
        (["--save-strategy", "no"], "save and eval strategy to match"),
        (["--output-dir", ""], "^--output-dir is needed"),
        (["--project", "x", "--project-name", "y"], "^--project-name y and --project x differ: give one of them"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(data_dir, tmp_path, more, message):
    if ("cuda" in more and torch.cuda.is_available()) or ("mps" in more and torch.backends.mps.is_available()):
        pytest.skip("the absent device is present")
    if "wandb" in more and importlib.util.find_spec("wandb"):
        pytest.skip("wandb is installed")
    with pytest.raises(InputError, match=message):
        train.main(options(data_dir, tmp_path / "m", *more))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("metric", "greater"),
    [
        ("mean_qwk", True),
        ("mean_rmse", False),
        ("prompt_a_mae", False),
        ("eval_loss", False),
        ("loss", False),
        ("mean_rmse_continuous", False),
        ("mean_qwk_continuous", True),
    ],
)
def test_of_errors_and_losses_the_smallest_is_best(tmp_path, metric, greater):
    args = TRMTrainingArguments(str(tmp_path), metric_for_best_model=metric, use_cpu=True)
    assert args.greater_is_better is greater
    told = TRMTrainingArguments(
        str(tmp_path), metric_for_best_model=metric, greater_is_better=not greater, use_cpu=True
    )
    assert told.greater_is_better is not greater
