"""What the card says of traits: their scales, a table of QWK, and entries of the model-index."""

import shutil
from dataclasses import replace

import pytest
from huggingface_hub import ModelCard

from trm_aes.cli import evaluate
from trm_aes.publishing.model_card import render_model_card
from trm_aes.records import EvaluationRecord


@pytest.fixture(scope="module")
def scorer(trait_model_dir, trait_data_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("card") / "scorer"
    shutil.copytree(trait_model_dir, folder, ignore=shutil.ignore_patterns("checkpoint-*"))
    evaluate.main(["--model", str(folder), "--data", str(trait_data_dir)])
    return folder


def card_of(folder):
    return render_model_card(folder, "user/scorer", folder / "evaluation-test" / "evaluation.json", "mit")


def test_traits_stand_in_the_model_index_beside_the_score(scorer):
    traits = EvaluationRecord.read(scorer / "evaluation-test").traits
    card = card_of(scorer)
    found = {(result.metric_name, result.dataset_config): result.metric_value for result in card.data.eval_results}
    for trait, by_prompt in traits.by_trait.items():
        for prompt_id, metrics in by_prompt.items():
            assert found[f"QWK, {trait}", f"prompt {prompt_id}"] == pytest.approx(metrics["qwk"], abs=1e-4)
    assert set(found) == {
        ("QWK", "prompt a"), ("QWK", "prompt b"), ("QWK, organization", "prompt a"), ("QWK, organization", "prompt b"),
        ("QWK, voice", "prompt a"),
    }  # fmt: skip
    # As the Hub reads it.
    again = ModelCard(str(card)).data.eval_results
    assert {(result.metric_name, result.dataset_config): result.metric_value for result in again} == found


def test_the_card_has_their_scales_and_figures(scorer):
    card, traits = str(card_of(scorer)), EvaluationRecord.read(scorer / "evaluation-test").traits
    assert "| organization | 0 to 3 by 0.5 (a); 1 to 6 (b) |" in card and "| voice | 1 to 4 (a) |" in card
    voice = f"{traits.by_trait['voice']['a']['qwk']:.3f}"
    assert "| trait | a | b | mean |\n|---|---|---|---|" in card and f"| voice | {voice} |  | {voice} |" in card
    assert f"Mean trait QWK: **{traits.mean_qwk:.3f}**" in card
    assert "of traits nothing tells how far they may be" in card


def test_an_evaluation_without_traits_gives_no_figures_of_them(scorer, tmp_path):
    folder = tmp_path / "scorer"
    shutil.copytree(scorer, folder)
    replace(EvaluationRecord.read(folder / "evaluation-test"), traits=None).write(folder / "evaluation-test")
    card = str(card_of(folder))
    assert "QWK of traits" not in card and "QWK, voice" not in card and "| voice | 1 to 4 (a) |" in card
