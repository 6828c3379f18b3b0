"""What a model reads of a pretrained encoder: windows, states computed before, their mean and spread."""

import pytest
import torch
from helpers import READING, SMALL_ENCODER, essay_batch, prompted, reading_model, small_config
from transformers import AutoModel

from trm_aes import TRMForEssayScoring
from trm_aes.model.encoder_trm import EncoderStates
from trm_aes.model.essays_trm import EssayBatch
from trm_aes.model.layers_trm import rms_norm

WINDOW = SMALL_ENCODER["max_position_embeddings"] - 2


def read(model, *pairs):
    """The encoder's own states of essays, by prompt and essay."""
    longest = max(len(prompt) + len(essay) for prompt, essay in pairs)
    batch = {name: torch.zeros(len(pairs), longest, dtype=torch.long) for name in ("input_ids", "token_type_ids")}
    batch["attention_mask"] = torch.zeros(len(pairs), longest, dtype=torch.long)
    for row, (prompt, essay) in enumerate(pairs):
        length = len(prompt) + len(essay)
        for name, values in prompted(prompt, essay).items():
            batch[name][row, :length] = values
        batch["attention_mask"][row, :length] = 1
    essays = EssayBatch.from_tensors(**batch)
    return model.model.encoder.read(essays), model.model.encoder(essays)


def test_an_essay_is_read_in_windows_between_cls_and_sep_and_without_its_prompt():
    model = reading_model()
    essay = [11, 12, 13, 14, 15, 16, 17, 18, 19, 20]
    with torch.no_grad():
        # The separator at its end (2) is no word piece.
        states, normalized = read(model, ([1, 5, 6, 2], [*essay, 2]), ([8], [9, 10]))
        windows = [
            model.model.encoder.transformer(torch.tensor([[1, *window, 2]])).last_hidden_state[0, 1:-1]
            for window in (essay[:WINDOW], essay[WINDOW:], [9, 10])
        ]
    torch.testing.assert_close(states[0], torch.cat(windows[:2]))
    torch.testing.assert_close(states[1, :2], windows[2])
    assert normalized.is_state.sum(dim=1).tolist() == [10, 2]
    torch.testing.assert_close(normalized.states[0], rms_norm(torch.cat(windows[:2]), 1e-5))


def test_padding_on_either_side_and_companions_change_no_score():
    model = reading_model()
    batch = essay_batch([20, 9, 13])
    flipped = {name: values.roll(11, dims=1)[1:2] for name, values in batch.items()}
    assert flipped["attention_mask"][0].tolist() == [0] * 11 + [1] * 9
    with torch.no_grad():
        scores = model(**batch, prompt_indices=torch.tensor([0, 1, 0])).logits
        alone = model(**flipped, prompt_indices=torch.tensor([1])).logits
    torch.testing.assert_close(alone[0], scores[1])


def test_states_computed_before_give_the_same_scores():
    model, batch = reading_model(), essay_batch([20, 9])
    essays = EssayBatch.from_tensors(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])
    with torch.no_grad():
        states = model.model.encoder.read(essays)
        expected = model(**batch).logits
        torch.testing.assert_close(model(**batch, encoder_states=states).logits, expected)
        half = model(**batch, encoder_states=states.half()).logits
        assert not torch.equal(half, expected)
        torch.testing.assert_close(half, expected, atol=2e-3, rtol=0)
        with pytest.raises(ValueError, match="has 9 states for essays of up to 17 word pieces"):
            model(**batch, encoder_states=states[:, :9])
        other = model(**batch, encoder_states=states.flip(0)).logits
        assert not torch.allclose(other, expected)
        # Those of a batch whose longest essay has left it.
        rest = {name: tensor[1:] for name, tensor in batch.items()}
        assert states.shape[1] == 17
        torch.testing.assert_close(model(**rest, encoder_states=states[1:]).logits, expected[1:])


def test_word_order_is_read():
    model = reading_model(lexical_head=False)
    with torch.no_grad():
        first, second = (model(**prompted([5, 6, 7], essay)).logits for essay in ([11, 12, 13], [12, 11, 13]))
    assert (first - second).abs().item() > 1e-4


def test_mean_and_spread():
    states = torch.tensor([[[1.0, 4.0], [3.0, 4.0], [9.0, 9.0]], [[2.0, 0.0], [0.0, 0.0], [0.0, 0.0]]])
    is_state = torch.tensor([[True, True, False], [True, False, False]])
    expected = torch.tensor([[2.0, 4.0, 1.0, 0.0], [2.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(EncoderStates(states, is_state).moments(), expected)


def test_a_single_state_has_a_spread_of_0_and_gradients_that_are_numbers():
    states = torch.tensor([[[1.0, 4.0], [0.0, 0.0]], [[1.0, 4.0], [3.0, 4.5]]], requires_grad=True)
    moments = EncoderStates(states, torch.tensor([[True, False], [True, True]])).moments()
    torch.testing.assert_close(moments.detach(), torch.tensor([[1.0, 4.0, 0.0, 0.0], [2.0, 4.25, 1.0, 0.25]]))
    (0 * moments).sum().backward()
    assert (states.grad == 0).all()


@pytest.mark.parametrize("kind", ["electra", "albert"])
def test_an_encoder_whose_word_embeddings_are_narrower_than_its_states(kind):
    encoder = {**SMALL_ENCODER, "model_type": kind, "hidden_size": 16, "embedding_size": 8}
    model = reading_model(encoder=encoder, embedding_size=None)
    batch = {name: values[:1] for name, values in essay_batch([12, 9]).items()}
    with torch.no_grad():
        words = model.get_input_embeddings()(batch["input_ids"])
        signatures = model.model.prompt_bank.signatures
        assert words.shape[-1] == signatures.shape[-1] == 8 and model.config.embedding_size == 16
        assert model(**batch, prompt_indices=torch.tensor([1])).logits.isfinite().all()


def test_states_are_dropped_but_for_the_first():
    torch.manual_seed(0)
    is_state = torch.ones(2, 2000, dtype=torch.bool)
    is_state[1, 1:] = False
    dropped = EncoderStates(torch.zeros(2, 2000, 1), is_state).drop(0.75).is_state
    assert dropped[:, 0].all() and dropped[1].sum() == 1
    assert 0.2 < dropped[0].float().mean() < 0.3
    # In training alone.
    model, batch = reading_model(word_dropout_prob=0.5, num_supervision_steps=1), essay_batch([20])
    assert torch.equal(model(**batch).logits, model(**batch).logits)
    assert not torch.equal(model.train()(**batch).logits, model(**batch).logits)


def test_a_frozen_encoder_takes_no_gradient_and_no_dropout():
    model, batch = reading_model(num_supervision_steps=1), essay_batch([20, 9])
    labels = torch.tensor([0.2, 0.4])
    model.train()
    assert model.model.encoder.training
    model(**batch, labels=labels).loss.backward()
    weights = list(model.model.encoder.transformer.encoder.parameters())
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in weights)
    model.zero_grad()
    model.model.encoder.requires_grad_(False)
    model.train()
    assert not model.model.encoder.training and model.model.reader.training
    model(**batch, labels=labels).loss.backward()
    assert all(weight.grad is None for weight in weights)
    assert model.model.reader.kv_proj.weight.grad.abs().sum() > 0


def test_what_is_learned_beside_the_score():
    model, batch = reading_model(num_supervision_steps=1, auxiliary_loss_weight=0.5), essay_batch([20, 9, 8])
    head = model.auxiliary_head
    head.target_means[:] = torch.tensor([3.0, 10.0])
    head.target_stds[:] = torch.tensor([2.0, 5.0])
    labels, nothing = torch.tensor([0.1, 0.5, 0.9]), float("nan")
    given = torch.tensor([[3.0, nothing], [5.0, 15.0], [nothing, nothing]])
    with torch.no_grad():
        alone = model(**batch, labels=labels)
        together = model(**batch, labels=labels, auxiliary_scores=given)
    errors = together.auxiliary_logits - torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    expected = (errors[0, 0] ** 2 + errors[1].square().sum()) / 3
    torch.testing.assert_close(together.loss - alone.loss, 0.5 * expected)
    with pytest.raises(ValueError, match=r"must have the shape \(3, 2\)"):
        model(**batch, labels=labels, auxiliary_scores=given[:, :1])
    with pytest.raises(ValueError, match="this one has none"):
        reading_model(auxiliary_targets=None)(**batch, labels=labels, auxiliary_scores=given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_latents": 0, "prompt_registers": False, "auxiliary_targets": None}, "needs `num_latents`"),
        ({"num_convolutions": 2}, "`num_convolutions` must be 0"),
        ({"embedding_size": 12}, r"`embedding_size` \(12\) must be the encoder's width \(8\)"),
        ({"vocab_size": 61}, r"`vocab_size` \(61\) must be the encoder's \(60\)"),
        ({"cls_token_id": None}, "needs `cls_token_id` and `sep_token_id`"),
        ({"prompt_registers": False}, "`auxiliary_targets` needs `prompt_registers`"),
        ({"auxiliary_loss_weight": -1.0}, "must not be negative"),
    ],
)
def test_configurations_that_contradict_themselves(changes, message):
    settings = {"num_latents": 3, "prompt_registers": True, "score_ranges": {"1": [2, 12]}, **READING}
    with pytest.raises(ValueError, match=message):
        small_config(**{**settings, **changes})


def test_text_features_reach_both_heads():
    model, batch = reading_model(text_features=["first", "second"]), essay_batch([20, 9])
    bank = model.model.prompt_bank
    bank.feature_means[:], bank.feature_stds[:] = torch.tensor([1.0, 2.0]), torch.tensor([0.5, float("inf")])
    features = torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    with torch.no_grad():
        at_mean = model(**batch, text_features=features).logits
        for weights in (model.lexical_head.features, model.model.reader.features):
            weights.weight[:] = 1.0
            assert torch.equal(model(**batch, text_features=features).logits, at_mean)
            # What never varied in training is left out.
            assert torch.equal(model(**batch, text_features=features + torch.tensor([0.0, 5.0])).logits, at_mean)
            more, most = (model(**batch, text_features=features + torch.tensor([by, 0.0])).logits for by in (2.0, 20.0))
            assert not torch.allclose(more, at_mean)
            # Four standard deviations at most.
            assert torch.equal(more, most)
            weights.weight[:] = 0.0
        with pytest.raises(ValueError, match="takes `text_features`"):
            model(**batch)
        with pytest.raises(ValueError, match=r"must have the shape \(2, 2\), and has \(2, 3\)"):
            model(**batch, text_features=torch.zeros(2, 3))
        with pytest.raises(ValueError, match="must have the shape"):
            reading_model()(**batch, text_features=features)


def test_saved_whole_in_one_folder(tmp_path):
    model, batch = reading_model(), essay_batch([20, 9])
    model.save_pretrained(tmp_path)
    loaded, info = TRMForEssayScoring.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    with torch.no_grad():
        assert torch.equal(loaded.eval()(**batch).logits, model(**batch).logits)
    base = AutoModel.from_pretrained(tmp_path)
    assert torch.equal(base.encoder.transformer.embeddings.word_embeddings.weight, model.get_input_embeddings().weight)
