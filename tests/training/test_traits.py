"""Traits in training: which are learned, the closed form, calibration, and what they leave alone."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import dense_inputs, options, seal

from trm_aes.cli import train
from trm_aes.data.dataset import load_essay_dataset
from trm_aes.data.sources.own import load_own_table
from trm_aes.errors import InputError
from trm_aes.files import read_json
from trm_aes.model.essay_tokens import EssayCollator
from trm_aes.model.score_scale import ScoreRange
from trm_aes.scoring.scorer import EssayScorer
from trm_aes.training.adapt import adapt_scorer
from trm_aes.training.arguments import RunArguments
from trm_aes.training.fit.auxiliary import set_auxiliary_statistics
from trm_aes.training.fit.calibration import calibrate_traits
from trm_aes.training.fit.lexical import fit_lexical_head
from trm_aes.training.recipe import resolve_plan
from trm_aes.training.untrained import Pretrained, build_model

SMALL = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 48, "embedding_size": 16}
ORGANIZATION = {"a": [0.0, 3.0, 0.5], "b": [1.0, 6.0]}


def untrained(data_dir, recipe="tiny", traits=None, **model):
    data = load_essay_dataset(data_dir)
    run = RunArguments(data=str(data_dir), recipe=recipe, hardware="cpu", embeddings="none", traits=traits)
    plan = resolve_plan(run, {**SMALL, **model}, {"output_dir": "not written"})
    return build_model(plan, data, data.load_tokenizer(), Pretrained(None, None)).eval(), data


# ---- Which are learned


def test_a_data_sets_traits_are_learned_unless_others_are_named(trait_data_dir):
    model, data = untrained(trait_data_dir, auxiliary_loss_weight=0.5)
    assert model.config.traits == {"organization": ORGANIZATION, "voice": {"a": [1.0, 4.0]}}
    assert model.config.auxiliary_targets == ["rater1", "rater2", "organization", "voice"]
    assert model.config.id2label == {0: "score", 1: "organization", 2: "voice"}
    model, _ = untrained(trait_data_dir, traits="organization")
    assert model.config.traits == {"organization": ORGANIZATION}
    # Without a loss beside the score's, in closed form alone.
    assert model.config.auxiliary_targets is None and model.trait_head.lexical_share == 1
    model, _ = untrained(trait_data_dir, traits="none", auxiliary_loss_weight=0.5)
    assert model.config.traits is None and model.config.auxiliary_targets == ["rater1", "rater2"]
    # A recipe that keeps no prompts apart leaves them out, unless they are asked for.
    model, _ = untrained(trait_data_dir, recipe="published")
    assert model.config.traits is None and model.config.num_labels == 1


def test_raters_who_always_give_one_score_ask_for_nothing(trait_data_dir):
    model, data = untrained(trait_data_dir, auxiliary_loss_weight=0.5)
    train = data.splits["train"]
    constant = train.remove_columns("rater1").add_column("rater1", [3.3] * len(train))
    data = replace(data, splits={**data.splits, "train": constant})
    head, place = model.auxiliary_head, model.config.auxiliary_targets.index("rater1")
    head.target_stds.fill_(1)
    set_auxiliary_statistics(model, data)
    assert head.target_means[:, place].tolist() == pytest.approx([3.3, 3.3])
    assert head.target_stds[:, place].tolist() == [1, 1]
    other = model.config.auxiliary_targets.index("rater2")
    assert (head.target_stds[:, other] > 0).all() and (head.target_stds[:, other] != 1).all()


@pytest.mark.parametrize(
    ("traits", "recipe", "message"),
    [
        ("voices", "tiny", "`traits`: .* has no trait 'voices'; it has organization, voice. Did you mean 'voice'"),
        ("voice", "published", "`traits` are learned by prompt, and `recipe` published keeps no prompts apart"),
    ],
)
def test_what_cannot_be_learned_is_refused(trait_data_dir, traits, recipe, message):
    with pytest.raises(InputError, match=message):
        untrained(trait_data_dir, recipe, traits)


def test_a_prompt_without_two_training_scores_of_a_trait_lacks_it(trait_data_dir, tmp_path):
    data = load_essay_dataset(trait_data_dir)
    data.splits["train"] = data.splits["train"].map(
        lambda row: {"organization": 2.0 if row["prompt_id"] == "a" else row["organization"]}, keep_in_memory=True
    )
    data.splits.save_to_disk(tmp_path / "data")
    for name in ("dataset_card.json", "tokenizer"):
        (tmp_path / "data" / name).symlink_to(trait_data_dir / name)
    (tmp_path / "data" / "dataset_card.json").unlink()
    (tmp_path / "data" / "dataset_card.json").write_text(json.dumps(data.card), encoding="utf-8")
    seal(tmp_path / "data")
    model, _ = untrained(tmp_path / "data")
    assert model.config.traits == {"organization": {"b": [1.0, 6.0]}, "voice": {"a": [1.0, 4.0]}}


# ---- The closed form


def dense_ridge(essays, targets, vocab_size):
    """Of words and lengths, solved with dense matrices: the weights of [`WORDS_ALONE`]."""
    features = dense_inputs(essays, vocab_size)
    kernel = features @ features.T
    dual = np.linalg.solve(kernel + 0.3 * np.eye(len(essays)), targets - targets.mean())
    return targets.mean() + kernel @ dual


@pytest.mark.parametrize(("trait", "prompt_id"), [("organization", "b"), ("voice", "a")])
def test_a_trait_is_a_ridge_regression_on_the_essays_that_have_a_score_of_it(trait_data_dir, trait, prompt_id):
    model, data = untrained(trait_data_dir)
    by_having_seen = fit_lexical_head(model, data)
    rows = [place for place, row in enumerate(data.splits["train"]) if row["prompt_id"] == prompt_id]
    rows = [place for place in rows if data.splits["train"][place][trait] is not None]
    missing = sum(row["prompt_id"] == prompt_id and row[trait] is None for row in data.splits["train"])
    assert (missing > 0) == (trait == "voice")
    essays = data.splits["train"].select(rows)
    scale = data.trait_ranges[trait][prompt_id]
    targets = scale.normalize(essays[trait][:])
    batch = EssayCollator.for_model(data.load_tokenizer(), model.config)(essays.remove_columns("score").to_list())
    column = 1 + list(model.config.traits).index(trait)
    with torch.no_grad():
        found = model(**batch).logits[:, column]
    np.testing.assert_allclose(found.numpy(), dense_ridge(essays, targets, model.config.vocab_size), atol=2e-3)
    assert not any(weight.requires_grad for weight in model.trait_head.parameters())
    # Only essays with a score have taught it anything.
    taught = np.flatnonzero(np.isfinite(by_having_seen[:, column]))
    assert set(rows) <= set(taught) and by_having_seen.shape[1] == 3
    assert (np.abs(by_having_seen[rows, column]) > 1e-4).any()


# ---- A whole run


def test_traits_are_on_the_scale_of_the_validation_essays(trait_model_dir, trait_data_dir):
    scorer, data = EssayScorer.from_pretrained(trait_model_dir, "cpu"), load_essay_dataset(trait_data_dir)
    record = read_json(trait_model_dir / "run.json")
    lines = record["calibration"]["traits"]
    assert list(lines) == ["organization", "voice"] and set(lines["organization"]) == {"a", "b"}
    assert set(lines["voice"]) == {"a"}
    raw = scorer.score_tokens(scorer.rows(data.splits["validation"]))
    rows = data.splits["validation"].to_pandas()
    assert np.isnan(raw.traits[rows["prompt_id"] == "b", 1]).all()
    # A word tells the score of these essays, but for a point or two.
    for column, trait in enumerate(scorer.trait_ranges):
        for prompt_id, scale in scorer.trait_ranges[trait].items():
            known = ((rows["prompt_id"] == prompt_id) & rows[trait].notna()).to_numpy()
            predicted = scale.denormalize(raw.traits[known, column])
            assert np.corrcoef(predicted, rows[trait][known])[0, 1] > 0.75


def test_calibration_gives_traits_the_mean_and_spread_of_human_scores(trait_data_dir):
    model, data = untrained(trait_data_dir)
    fit_lexical_head(model, data)
    scorer = EssayScorer(model, data.load_tokenizer(), "x")
    split = data.splits["train"]
    rows, essays = scorer.rows(split), split.select_columns(["prompt_id", "organization", "voice"]).to_pandas()
    # Thirty of them are enough.
    rows, essays = rows * 3, pd.concat([essays] * 3, ignore_index=True)
    changed = calibrate_traits(scorer, scorer.score_tokens(rows), essays)
    assert set(changed["organization"]) == {"a", "b"} and set(changed["voice"]) == {"a"}
    raw = scorer.score_tokens(rows)
    for column, trait in enumerate(scorer.trait_ranges):
        for prompt_id, scale in scorer.trait_ranges[trait].items():
            known = ((essays["prompt_id"] == prompt_id) & essays[trait].notna()).to_numpy()
            gold, predicted = scale.normalize(essays[trait][known]), raw.traits[known, column]
            np.testing.assert_allclose([predicted.mean(), predicted.std()], [gold.mean(), gold.std()], atol=1e-4)
    # Few essays leave the scale as it is.
    few = [place for place, prompt_id in enumerate(essays["prompt_id"]) if prompt_id == "a"][:20]
    raw = scorer.score_tokens([rows[place] for place in few])
    assert calibrate_traits(scorer, raw, essays.iloc[few]) == {"organization": {}, "voice": {}}


def test_in_closed_form_alone_traits_leave_the_score_as_it_is(trait_data_dir, tmp_path):
    scores = []
    for traits in ("none", "organization,voice"):
        output = tmp_path / traits
        train.main([*options(trait_data_dir, output), "--traits", traits, "--num_train_epochs", "1"])
        scorer = EssayScorer.from_pretrained(output, "cpu")
        scores.append(scorer.score_tokens(scorer.rows(load_essay_dataset(trait_data_dir).splits["test"])))
    assert scores[0].traits is None and scores[1].traits.shape[1] == 2
    np.testing.assert_array_equal(scores[0].normalized, scores[1].normalized)
    np.testing.assert_array_equal(scores[0].intervals, scores[1].intervals)


def test_a_prompt_that_is_added_has_no_traits_and_the_others_keep_theirs(trait_model_dir, tmp_path):
    scorer = EssayScorer.from_pretrained(trait_model_dir, "cpu")
    essays = [f"Essay {number} is {word}." for number, word in enumerate(["bad", "fair", "good"] * 3)]
    rows = "".join(f"{essay},{number % 3}\n" for number, essay in enumerate(essays))
    (tmp_path / "few.csv").write_text(f"essay,score\n{rows}", encoding="utf-8")
    # Before the others, in the model's order of prompts.
    table = load_own_table(tmp_path / "few.csv", score_ranges={None: ScoreRange(0, 2)}, prompt_id="1")
    adapted, _ = adapt_scorer(scorer, table)
    assert list(adapted.score_ranges) == ["1", "a", "b"] and adapted.trait_ranges == scorer.trait_ranges
    before, after = (model.score(essays[:2], ["a", "b"]) for model in (scorer, adapted))
    assert [score.traits for score in before] == [score.traits for score in after] and before[0].traits
    assert adapted.score(essays[:1], ["1"])[0].traits == {}
