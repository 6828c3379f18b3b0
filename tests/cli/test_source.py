"""What is read off the source is what the imported classes say, so that help and early refusals cannot drift from them."""

import argparse
import dataclasses
import importlib

import pytest
from transformers.hf_argparser import string_to_bool

from trm_aes.cli import source, train_options
from trm_aes.training import recipe

CLASSES = [train_options.RUN, train_options.MODEL, train_options.TRAINING, train_options.TRANSFORMERS]
CONSTANTS = [
    ("trm_aes.checkpoints", "DEFAULT_CHECKPOINT"),
    ("trm_aes.model.essay_tokens", "DEFAULT_MAX_TOKENS"),
    ("trm_aes.model.essay_tokens", "DEFAULT_MAX_PROMPT_TOKENS"),
    ("trm_aes.scoring.scorer", "DTYPES"),
    ("trm_aes.scoring.scorer", "DEFAULT_BATCH_TOKENS"),
    ("trm_aes.publishing.model_card", "DEFAULT_LICENSE"),
    ("trm_aes.training.recipe", "NOT_CHOSEN"),
    ("trm_aes.training.arguments", "AUTO_HARDWARE"),
    # Imported there, defined elsewhere.
    ("trm_aes.training.arguments", "DEFAULT_RECIPE"),
]


@pytest.mark.parametrize("module, name", CONSTANTS)
def test_constants(module, name):
    assert source.constant(module, name) == getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("module, name", CLASSES)
def test_fields_are_those_of_the_class(module, name):
    cls = getattr(importlib.import_module(module), name)
    read = source.fields(module, name)
    real = {field.name: field for field in dataclasses.fields(cls)}
    # Those of the class itself, without what it inherits.
    assert [field.name for field in read] == [name for name in cls.__annotations__ if name in real]
    num_known = 0
    for field in read:
        if field.default is not source.COMPUTED:
            assert field.default == real[field.name].default, field.name
            num_known += field.default is not dataclasses.MISSING
        for key, value in field.metadata.items():
            assert value is source.COMPUTED or value == real[field.name].metadata[key], field.name
    assert num_known >= len(read) - 4


def test_what_the_source_does_not_tell_is_not_guessed(tmp_path, monkeypatch):
    (tmp_path / "made_up.py").write_text(
        "import os\nfrom dataclasses import dataclass, field\nONE = 1\nNOW = os.getpid()\n"
        "@dataclass\nclass Made:\n    a: int\n    b: int = ONE\n    c: int = NOW\n    d: list = field(default_factory=list)\n"
        "    e: str = field(default='x', metadata={'help': 'a ' + 'b', 'choices': tuple(os.environ)})\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(source, "_path", lambda module: tmp_path / f"{module}.py")
    defaults = [field.default for field in source.fields("made_up", "Made")]
    assert defaults == [dataclasses.MISSING, 1, source.COMPUTED, source.COMPUTED, "x"]
    assert source.fields("made_up", "Made")[-1].metadata == {"help": "a b", "choices": source.COMPUTED}
    with pytest.raises(LookupError, match="no class 'Other'"):
        source.fields("made_up", "Other")
    with pytest.raises(LookupError, match="no constant 'TWO'"):
        source.constant("made_up", "TWO")


def test_every_argument_of_the_model_that_can_be_chosen_is_documented():
    docs = source.argument_docs(*train_options.MODEL)
    assert {field.name for field in source.fields(*train_options.MODEL)} - set(docs) <= set(recipe.NOT_CHOSEN)
    assert docs["num_hidden_layers"].startswith("Layers of the shared network.")


@pytest.fixture(scope="module")
def real_parser():
    """The parser that has the last word: over the dataclasses themselves."""
    parsers = []

    class Recorded(recipe.PlanParser):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            parsers.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "PlanParser", Recorded)
        recipe.parse_arguments(["--data", "x", "--output-dir", "y", "--hardware", "cpu"])
    return parsers[0]


def options(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    return {flag: action for action in parser._actions for flag in action.option_strings if "_" not in flag}


def test_the_early_parser_has_the_options_of_the_real_one(real_parser):
    assert options(train_options.build_parser()).keys() == options(real_parser).keys()


def test_the_early_parser_takes_what_the_real_one_takes(real_parser):
    early, real = options(train_options.build_parser()), options(real_parser)
    converted = {int: int, float: float, train_options.true_or_false: string_to_bool}
    num_checked = 0
    for flag, action in early.items():
        theirs = real[flag]
        assert (action.dest, action.nargs, action.const) == (theirs.dest, theirs.nargs, theirs.const), flag
        if action.type is not None:
            assert theirs.type is converted[action.type], flag
            num_checked += 1
        if action.choices is not None:
            assert list(action.choices) == list(theirs.choices), flag
        if theirs.type in converted.values():
            assert action.type is not None, flag
    assert num_checked > 100


@pytest.mark.parametrize("text", ["yes", "True", "t", "y", "1", "no", "FALSE", "f", "n", "0", "maybe", ""])
def test_true_and_false_are_what_they_are_for_transformers(text):
    def converted(convert):
        try:
            return convert(text)
        except argparse.ArgumentTypeError:
            return None

    assert converted(train_options.true_or_false) == converted(string_to_bool)
