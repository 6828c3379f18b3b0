"""Scores of traits: both heads' formula written out, prompts that lack a trait, saved and loaded, refused."""

import pytest
import torch
from helpers import TRAITS, essay_batch, reading_model, registered_model, small_config, trait_model

from trm_aes import TRMConfig, TRMForEssayScoring
from trm_aes.model.traits_trm import pairs_of

BOTH = torch.tensor([0, 1, 0])


def standardized(model, outputs, inputs, row, trait, pair):
    """The score of a trait, in standard deviations, written out."""
    head = model.trait_head
    lexical = sum(
        share * head.words.weight[token, pair]
        for share, token in zip(inputs.shares[row], inputs.input_ids[row], strict=True)
    )
    lexical = lexical + inputs.counts[row] @ head.counts.weight[pair] + inputs.moments[row] @ head.states.weight[pair]
    target = model.config.auxiliary_targets.index(trait)
    share = model.config.lexical_share
    return share * lexical + (1 - share) * outputs.auxiliary_logits[row, target]


def test_both_heads_give_a_trait_in_the_scores_shares():
    model, batch = trait_model(lexical_share=0.3), essay_batch([20, 9, 13])
    assert pairs_of(model.config) == [("organization", "1"), ("organization", "2"), ("voice", "2")]
    with torch.no_grad():
        outputs = model(**batch, prompt_indices=BOTH)
        inputs = model.lexical_head.inputs_of(model.model.prepare_essays(**batch, prompt_indices=BOTH))
        for row, prompt in enumerate(["1", "2", "1"]):
            for column, trait in enumerate(TRAITS, start=1):
                found = outputs.logits[row, column]
                if prompt not in TRAITS[trait]:
                    assert found.isnan()
                    continue
                pair = pairs_of(model.config).index((trait, prompt))
                score = standardized(model, outputs, inputs, row, trait, pair)
                expected = model.trait_head.means[pair] + model.trait_head.stds[pair] * score
                torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    # Not the same for all essays of a prompt.
    assert (outputs.logits[0, 1] - outputs.logits[2, 1]).abs() > 1e-3


def test_the_score_is_that_of_a_model_without_traits():
    model, batch = trait_model(), essay_batch([20, 9, 13])
    without = reading_model(auxiliary_targets=["rater1", *TRAITS])
    without.load_state_dict(model.state_dict(), strict=False)
    with torch.no_grad():
        with_traits, alone = model(**batch), without(**batch)
    assert alone.logits.shape == (3, 1) and torch.equal(with_traits.logits[:, :1], alone.logits)
    assert torch.equal(with_traits.step_logits, alone.step_logits)


def test_a_model_of_one_head_gives_traits_by_it():
    batch = essay_batch([20, 9, 13])
    with torch.no_grad():
        lexical = trait_model(registered_model, lexical_share=0.3)
        recursive = trait_model(lexical_head=False)
        assert lexical.trait_head.targets is None and recursive.trait_head.words is None
        before = [model(**batch, prompt_indices=BOTH).logits[1, 1:] for model in (lexical, recursive)]
        outputs = recursive(**batch, prompt_indices=BOTH)
        expected = recursive.trait_head.means[1:] + recursive.trait_head.stds[1:] * outputs.auxiliary_logits[1, 1:]
        torch.testing.assert_close(outputs.logits[1, 1:], expected)
        # By the share of no other.
        for model in (lexical, recursive):
            model.config.lexical_share = 0.9
        after = [model(**batch, prompt_indices=BOTH).logits[1, 1:] for model in (lexical, recursive)]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_passages_unlike_the_training_essays_lower_traits_as_they_lower_the_score():
    model, batch = trait_model(passage_check=True), essay_batch([20, 9, 13])
    check, head = model.passage_check, model.trait_head
    check.limits.fill_(5.0)
    with torch.no_grad():
        before = model(**batch, prompt_indices=BOTH)
        check.penalties.fill_(0.5)
        after = model(**batch, prompt_indices=BOTH)
        penalty = check.penalty(after.unlike_shares, BOTH)
    assert penalty.min() > 0.1
    lost = before.logits - after.logits
    torch.testing.assert_close(lost[:, 0], model.model.prompt_bank.score_stds[BOTH] * penalty)
    torch.testing.assert_close(lost[:, 1], head.stds[torch.tensor([0, 1, 0])] * penalty)
    torch.testing.assert_close(lost[1, 2], head.stds[2] * penalty[1])


def test_traits_have_no_part_in_the_scores_loss_and_missing_ones_none_in_their_own():
    model, batch = trait_model(auxiliary_loss_weight=0.5).train(), essay_batch([20, 9])
    nothing, labels = float("nan"), torch.tensor([0.2, 0.4])
    given = torch.tensor([[nothing, 4.0, nothing], [nothing, nothing, nothing]])
    loss = model(**batch, labels=labels, auxiliary_scores=given).loss
    loss.backward()
    assert loss.isfinite()
    weights = model.auxiliary_head.weights.weight.grad.view(2, 3, -1).abs().sum(-1)
    # Of the first prompt's organization alone.
    assert (weights > 0).tolist() == [[False, True, False], [False, False, False]]


def test_traits_keep_their_order_when_saved(tmp_path):
    traits = {name: {"2": [0, 3], "1": [0, 5.5, 0.5]} for name in ("voice", "style", "content")}
    model, batch = trait_model(traits=traits), essay_batch([20, 9])
    assert model.config.num_labels == 4
    assert model.config.id2label == {0: "score", 1: "voice", 2: "style", 3: "content"}
    model.save_pretrained(tmp_path)
    loaded = TRMForEssayScoring.from_pretrained(tmp_path)
    assert list(loaded.config.traits) == ["voice", "style", "content"]
    assert list(loaded.config.traits["voice"]) == ["1", "2"]
    assert loaded.config.id2label == model.config.id2label and loaded.config.num_labels == 4
    with torch.no_grad():
        assert torch.equal(loaded(**batch).logits, model(**batch).logits)
    # Two outputs are what Transformers takes for granted.
    small_config(**ONE_TRAIT).save_pretrained(tmp_path / "one")
    assert TRMConfig.from_pretrained(tmp_path / "one").id2label == {0: "score", 1: "voice"}


def test_words_of_traits_follow_the_vocabulary():
    model, batch = trait_model(lexical_share=1.0), essay_batch([20, 9])
    with torch.no_grad():
        before = model(**batch).logits
        model.resize_token_embeddings(70)
        assert model.trait_head.words.num_embeddings == 70
        torch.testing.assert_close(model(**batch).logits, before, equal_nan=True)


ONE_TRAIT = {
    "num_latents": 3, "prompt_registers": True, "lexical_head": True, "score_ranges": {"1": [2, 12]},
    "traits": {"voice": {"1": [1, 6]}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"traits": {"score": {"1": [1, 6]}}}, "a trait cannot be called 'score'"),
        ({"traits": {"error": {"1": [1, 6]}}}, "a trait cannot be called 'error'"),
        ({"traits": {"voice": {}}}, "no prompt has the trait 'voice'"),
        ({"traits": {"voice": {"2": [1, 6]}}}, "which '2' of 'voice' is not"),
        ({"traits": {"voice": {"1": [6, 1]}}}, "'voice' of prompt '1': 1 is not above 6"),
        ({"lexical_head": False}, "`traits` need a head"),
        ({"prompt_registers": False, "lexical_head": False}, "`traits` needs `prompt_registers`"),
        (
            {"traits": {"voice": {"1": [1, 6]}, "style": {"1": [1, 6]}}, "auxiliary_targets": ["voice"]},
            "must name all `traits` or none",
        ),
        ({"id2label": {0: "score", 1: "style"}}, "`id2label` must name the score and then the traits: voice"),
    ],
)
def test_what_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        small_config(**{**ONE_TRAIT, **changes})


def test_another_number_of_outputs_is_refused():
    with pytest.raises(ValueError, match="`num_labels` must be 2, got 3"):
        TRMForEssayScoring(small_config(**ONE_TRAIT, num_labels=3))
    with pytest.raises(ValueError, match="one output: `num_labels` must be 1, got 2"):
        TRMForEssayScoring(small_config(num_labels=2))
    assert small_config(**ONE_TRAIT, num_labels=2).id2label == {0: "score", 1: "voice"}
