"""What Transformers' own test-suite checks of every model, for these classes, under its names where there is one."""

import copy

import pytest
import torch
from helpers import (
    READING,
    essay_batch,
    prompted,
    reading_model,
    registered_model,
    small_config,
    small_model,
    trait_model,
)
from torch import nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils import is_flash_attn_2_available
from transformers.utils.generic import is_flash_attention_requested

from trm_aes import TRMConfig, TRMForEssayScoring, TRMModel

# NaN is like nothing else: tests/model/test_traits.py has traits that a prompt lacks.
TRAITS_OF_BOTH = {"voice": {"1": [1, 6], "2": [0, 3]}, "style": {"1": [1, 6], "2": [0, 3]}}
MODELS = {
    "tokens": lambda **changes: small_model(**changes).eval(),
    "latents": lambda **changes: registered_model(**changes),
    "states": lambda **changes: reading_model(**changes),
    "errors": lambda **changes: registered_model(review_by="predicted_error", **changes),
    "traits": lambda **changes: trait_model(traits=TRAITS_OF_BOTH, **changes),
}
models = pytest.mark.parametrize("kind", MODELS)


def test_config_round_trip(tmp_path):
    config = small_config(
        score_ranges={"1": [2, 12]}, prompt_texts={"1": "Write."}, num_latents=4, prompt_registers=True
    )
    config.save_pretrained(tmp_path)
    loaded = TRMConfig.from_pretrained(tmp_path)
    first, second = config.to_dict(), loaded.to_dict()
    assert {key: value for key, value in first.items() if key != "auto_map"} == {
        key: value for key, value in second.items() if key != "auto_map"
    }


def test_prompts_keep_their_places_when_saved(tmp_path):
    """JSON has names in alphabetic order, 10 before 2; a place decides whose weights score an essay."""
    ranges = {"b": [0, 1], "10": [0, 4], "2": [2, 12], "a": [0, 3]}
    config = small_config(score_ranges=ranges, num_latents=4, prompt_registers=True)
    config.save_pretrained(tmp_path)
    for one in (config, TRMConfig.from_pretrained(tmp_path)):
        assert list(one.score_ranges.items()) == [(name, ranges[name]) for name in ("2", "10", "a", "b")]


@models
def test_eager_matches_sdpa_inference(kind):
    model, batch = MODELS[kind](), essay_batch([9, 6, 12])
    outputs = []
    for implementation in ("eager", "sdpa"):
        model.set_attn_implementation(implementation)
        with torch.no_grad():
            outputs.append(model(**batch).logits)
    torch.testing.assert_close(*outputs, atol=1e-6, rtol=1e-5)


@models
def test_flash_attention_gets_what_it_wants(kind, monkeypatch):
    """A stand-in for the kernel, which is called as Transformers calls it: with the mask of a row a sequence, or none."""
    calls = []

    def stand_in(module, query, key, value, attention_mask, scaling=None, **kwargs):
        calls.append(attention_mask)
        assert query.shape == key.shape and not module.is_causal
        mask = None if attention_mask is None else attention_mask.bool()[:, None, None, :]
        output = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)
        return output.transpose(1, 2), None

    model, batch = MODELS[kind](), essay_batch([9, 6, 12])
    with torch.no_grad():
        expected = model(**batch).logits
        monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS, "flash_attention_2", stand_in)
        # Not by set_attn_implementation, which looks for the kernel.
        model.config._attn_implementation_internal = "flash_attention_2"
        assert is_flash_attention_requested(model.config)
        torch.testing.assert_close(model(**batch).logits, expected, atol=1e-6, rtol=1e-5)
    # The kernel takes masks of two dimensions: that of the padded tokens, and none where no latent is padding.
    expected_mask = None if kind != "tokens" else batch["attention_mask"].shape
    assert calls and all((None if mask is None else mask.shape) == expected_mask for mask in calls)


@models
@pytest.mark.skipif(
    not (torch.cuda.is_available() and is_flash_attn_2_available()), reason="needs a GPU and the package flash-attn"
)
def test_flash_matches_sdpa_on_a_gpu(kind):
    model = MODELS[kind]().to("cuda", torch.bfloat16)
    batch = {name: tensor.to("cuda") for name, tensor in essay_batch([9, 6, 12]).items()}
    outputs = []
    for implementation in ("sdpa", "flash_attention_2"):
        model.set_attn_implementation(implementation)
        with torch.no_grad():
            outputs.append(model(**batch).logits)
    torch.testing.assert_close(*outputs, atol=2e-2, rtol=2e-2)


@models
def test_training_gradient_checkpointing(kind):
    """Equal gradients, and the layers' inner activations are not kept."""
    gradients, saved = [], []
    for checkpointing in (False, True):
        model = MODELS[kind](num_gradient_cycles=2).train()
        if checkpointing:
            model.gradient_checkpointing_enable()
        sizes = []

        def keep(tensor, sizes=sizes):
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = model(**essay_batch([9, 12]), labels=torch.tensor([0.2, 0.9])).loss
        loss.backward()
        saved.append(sum(sizes))
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-6, rtol=1e-4)
    assert saved[1] < 0.8 * saved[0]


@models
def test_hidden_states_and_attentions(kind):
    """One entry for every call of every layer of the last step, in order; asking for them changes no score."""
    model, batch = MODELS[kind](), essay_batch([9])
    model.set_attn_implementation("eager")
    calls = model.config.num_hidden_layers * model.config.H_cycles * (model.config.L_cycles + 1)
    states = model.config.num_latents or 9
    with torch.no_grad():
        plain = model(**batch)
        outputs = model(**batch, output_hidden_states=True, output_attentions=True)
    assert plain.hidden_states is None and plain.attentions is None
    torch.testing.assert_close(outputs.logits, plain.logits)
    assert len(outputs.attentions) == calls and len(outputs.hidden_states) in (calls, calls + 1)
    assert outputs.hidden_states[-1].shape == (1, states, 16)
    assert outputs.attentions[0].shape == (1, 2, states, states)
    torch.testing.assert_close(outputs.attentions[0].sum(-1), torch.ones(1, 2, states))


@models
def test_model_outputs_equivalence(kind):
    """Tuples hold what the output object holds."""
    model, batch = MODELS[kind](), essay_batch([9, 6])
    with torch.no_grad():
        outputs, as_tuple = model(**batch), model(**batch, return_dict=False)
    assert len(as_tuple) == len(outputs.to_tuple())
    for first, second in zip(as_tuple, outputs.to_tuple(), strict=True):
        torch.testing.assert_close(first, second)


@models
def test_inputs_embeds(kind):
    """Embeddings in place of ids give the same states; the lexical head needs words and stays out, and so does an encoder."""
    if kind in ("states", "traits"):
        with pytest.raises(ValueError, match="takes `input_ids`, no `inputs_embeds`"):
            reading_model()(inputs_embeds=torch.zeros(1, 4, 8), input_ids=torch.ones(1, 4, dtype=torch.long))
        return
    changes = {} if kind == "tokens" else {"lexical_head": False}
    model, batch = MODELS[kind](**changes), essay_batch([9, 6])
    embeds = model.get_input_embeddings()(batch["input_ids"])
    rest = {name: tensor for name, tensor in batch.items() if name != "input_ids"}
    with torch.no_grad():
        torch.testing.assert_close(model(inputs_embeds=embeds, **rest).logits, model(**batch).logits)


@models
def test_resize_token_embeddings(kind, tmp_path):
    model = MODELS[kind]()
    batch = essay_batch([9, 6])
    with torch.no_grad():
        before = model(**batch).logits
        model.resize_token_embeddings(64)
        assert model.config.vocab_size == 64 and model.get_input_embeddings().weight.shape[0] == 64
        torch.testing.assert_close(model(**batch).logits, before)
        new = {name: tensor.clone() for name, tensor in batch.items()}
        new["input_ids"][0, 4] = 63
        assert torch.isfinite(model(**new).logits).all()
    model.save_pretrained(tmp_path)
    loaded = TRMForEssayScoring.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(loaded(**batch).logits, before)


@models
def test_compiled_without_graph_breaks(kind):
    model, batch = MODELS[kind](num_supervision_steps=2), essay_batch([9, 6])
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(**batch).logits, model(**batch).logits, atol=1e-5, rtol=1e-4)


@models
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_close(kind, dtype):
    model, batch = MODELS[kind](), essay_batch([9, 6])
    with torch.no_grad():
        exact = model(**batch).logits
        half = copy.deepcopy(model).to(dtype)(**batch).logits
    torch.testing.assert_close(half.float(), exact, atol=0.06, rtol=0.06)


@models
def test_deterministic_under_a_seed(kind):
    first, second, other = (MODELS_UNTRAINED[kind](seed=seed) for seed in (1, 1, 2))
    for (name, a), b in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    name = "model.layers.0.self_attn.qkv_proj.weight"
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


REGISTERED_CONFIG = {"num_latents": 3, "prompt_registers": True, "lexical_head": True, "score_ranges": {"1": [2, 12]}}
HEADS = ("score_head", "halt_head", "lexical_head", "auxiliary_head", "trait_head", "error_model")
READING_CONFIG = {**REGISTERED_CONFIG, **READING}
MODELS_UNTRAINED = {
    "tokens": small_model,
    "latents": lambda seed: small_model(seed, **REGISTERED_CONFIG),
    "states": lambda seed: small_model(seed, **READING_CONFIG),
    "errors": lambda seed: small_model(seed, **REGISTERED_CONFIG, review_by="confidence"),
    "traits": lambda seed: small_model(seed, **REGISTERED_CONFIG, traits={"voice": {"1": [1, 6]}}),
}


@models
def test_can_init_all_missing_weights(kind, tmp_path):
    """A base model's checkpoint gives a scorer whose heads are initialized, not left as they lay in memory."""
    model = MODELS[kind]()
    base = TRMModel(model.config)
    base.load_state_dict(model.model.state_dict())
    base.save_pretrained(tmp_path)
    loaded, info = TRMForEssayScoring.from_pretrained(tmp_path, output_loading_info=True)
    assert all(key.split(".")[0] in HEADS for key in info["missing_keys"])
    assert loaded.halt_head.bias.item() == -5.0
    assert loaded.score_head.bias.item() == (0.5 if kind == "tokens" else 0.0)
    assert 0 < loaded.score_head.weight.std() < 0.1
    torch.testing.assert_close(loaded.model.initial_z_H, model.model.initial_z_H)


@models
def test_device_map_and_low_memory(kind, tmp_path):
    model, batch = MODELS[kind](), essay_batch([9, 6])
    model.save_pretrained(tmp_path)
    loaded = TRMForEssayScoring.from_pretrained(tmp_path, device_map="auto").eval()
    with torch.no_grad():
        torch.testing.assert_close(
            loaded(**{k: v.to(loaded.device) for k, v in batch.items()}).logits.cpu(), model(**batch).logits
        )


@models
def test_determinism_and_batch_of_one_token(kind):
    model = MODELS[kind]()
    with torch.no_grad():
        batch = prompted([5, 6, 7], [11])
        first, second = model(**batch).logits, model(**batch).logits
        known = {} if kind == "tokens" else {"prompt_indices": torch.tensor([0])}
        lone = model(input_ids=torch.tensor([[11]]), **known).logits
    assert torch.equal(first, second)
    assert lone.shape == (1, 3 if kind == "traits" else 1) and torch.isfinite(lone).all()
    with pytest.raises(ValueError, match="more than `max_position_embeddings`"):
        model(input_ids=torch.ones(1, 33, dtype=torch.long))
