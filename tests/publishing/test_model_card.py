"""The card is made from the records beside a scorer, and from nothing else."""

import json
import shutil

import pytest

from trm_aes.errors import InputError
from trm_aes.publishing.model_card import render_model_card
from trm_aes.version import MIN_TRANSFORMERS_WITHOUT_PACKAGE


@pytest.fixture
def scorer(model_dir, tmp_path):
    """A copy of a trained scorer, whose record a test may change."""
    folder = tmp_path / "scorer"
    shutil.copytree(model_dir, folder, ignore=shutil.ignore_patterns("checkpoint-*"))
    return folder


def change_record(folder, edit):
    path = folder / "run.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def card_of(folder):
    return str(render_model_card(folder, "user/scorer", None, "mit"))


def test_the_card_names_the_lowest_transformers(scorer):
    assert f"With Transformers {MIN_TRANSFORMERS_WITHOUT_PACKAGE} or newer" in card_of(scorer)


@pytest.mark.parametrize("recipe", ["fast", "default", "tiny"])
def test_the_card_of_ones_own_essays_has_no_figures_of_other_essays(scorer, recipe):
    change_record(scorer, lambda content: content["run"].update(recipe=recipe))
    card = card_of(scorer)
    assert f"Recipe `{recipe}`" in card and "essays.csv" in card and "ASAP" not in card


def test_of_a_recipe_file_the_card_gives_the_last_name(scorer):
    change_record(scorer, lambda content: content["run"].update(recipe="/home/someone/recipes/mine.json"))
    card = card_of(scorer)
    assert "Recipe `mine.json`" in card and "someone" not in card


def test_a_record_from_before_there_was_a_version_gives_the_same_card(scorer):
    card = card_of(scorer)
    change_record(scorer, lambda content: content.pop("format_version"))
    assert card_of(scorer) == card


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda content: content.pop("machine"), "run.json lacks 'machine'.*trm-aes train` wrote"),
        (lambda content: content["run"].pop("recipe"), "run.json, run lacks 'recipe'"),
        (lambda content: content.update(format_version=99), "format version 99"),
    ],
)
def test_a_record_that_is_not_ours_is_one_clear_error(scorer, edit, message):
    change_record(scorer, edit)
    with pytest.raises(InputError, match=message):
        card_of(scorer)
