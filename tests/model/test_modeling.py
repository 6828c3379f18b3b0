"""The recursion against a plain loop, and what must never change a score."""

import copy
import math

import pytest
import torch
from helpers import MODEL_CODE, essay_batch, prompted, registered_model, small_config, small_model
from torch import nn

from trm_aes import TRMConfig, TRMForEssayScoring
from trm_aes.model.latents_trm import TRMPacking
from trm_aes.model.layers_trm import rms_norm
from trm_aes.model.supervision_trm import supervision_loss


def net(model, hidden_states, cos, sin):
    """The shared network, written out for one unpadded essay: post-norm blocks of attention and SwiGLU."""

    def rotate(x):
        half = x.shape[-1] // 2
        return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin

    for layer in model.model.layers:
        tokens, width = hidden_states.shape
        heads = model.config.num_attention_heads
        query, key, value = (hidden_states @ layer.self_attn.qkv_proj.weight.T).split(width, dim=-1)
        query, key, value = (part.view(tokens, heads, -1).transpose(0, 1) for part in (query, key, value))
        weights = (rotate(query) @ rotate(key).transpose(1, 2) / (width // heads) ** 0.5).softmax(dim=-1)
        attended = (weights @ value).transpose(0, 1).reshape(tokens, width) @ layer.self_attn.o_proj.weight.T
        hidden_states = hidden_states + attended
        hidden_states = hidden_states / (hidden_states.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        gate, up = (hidden_states @ layer.mlp.gate_up_proj.weight.T).chunk(2, dim=-1)
        hidden_states = hidden_states + (nn.functional.silu(gate) * up) @ layer.mlp.down_proj.weight.T
        hidden_states = hidden_states / (hidden_states.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return hidden_states


def test_recursion_and_its_gradient_match_a_plain_loop():
    model = small_model(H_cycles=3, L_cycles=2, num_supervision_steps=2)
    batch = essay_batch([7])
    labels = torch.tensor([0.3])
    reference = copy.deepcopy(model)

    embeddings = reference.model.embeddings
    x = embeddings.word_embeddings(batch["input_ids"][0])
    x = x + embeddings.token_type_embeddings(batch["token_type_ids"][0])
    frequencies = 10000.0 ** -(torch.arange(0, 8, 2) / 8)
    angles = torch.outer(torch.arange(7.0), frequencies).repeat(1, 2)
    z_H = reference.model.initial_z_H.expand(7, -1)
    z_L = reference.model.initial_z_L.expand(7, -1)
    losses = []
    for _ in range(2):
        z_H, z_L = z_H.detach(), z_L.detach()
        for cycle in range(3):
            with torch.set_grad_enabled(cycle == 2):
                for _ in range(2):
                    z_L = net(reference, z_L + z_H + x, angles.cos(), angles.sin())
                z_H = net(reference, z_H + z_L, angles.cos(), angles.sin())
        pooled = z_H.mean(0)
        score, halt = reference.score_head(pooled), reference.halt_head(pooled)
        is_right = ((score - labels[0]).abs() < 0.5 / 10).float().detach()
        bce = nn.functional.binary_cross_entropy_with_logits(halt, is_right)
        losses.append((score - labels[0]) ** 2 + 0.5 * bce)
    loss = torch.stack(losses).mean()
    loss.backward()

    outputs = model(**batch, labels=labels, score_spans=torch.tensor([10.0]))
    outputs.loss.backward()
    torch.testing.assert_close(outputs.loss, loss)
    torch.testing.assert_close(outputs.logits.squeeze(), score)
    torch.testing.assert_close(outputs.carry[0][0], z_H.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(outputs.carry[0][1], z_L.detach(), atol=1e-5, rtol=1e-5)
    for (name, weight), (_, expected) in zip(model.named_parameters(), reference.named_parameters(), strict=True):
        torch.testing.assert_close(weight.grad, expected.grad, atol=1e-6, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("mixed_precision", [False, True])
@pytest.mark.parametrize("num_latents", [0, 3])
def test_gradients_reach_exactly_the_trained_weights(num_latents, mixed_precision):
    """In mixed precision too: weights that autocast has cast in a cycle without gradient must not serve the last one."""
    model = small_model(embedding_size=8, num_latents=num_latents)
    model.get_input_embeddings().weight.requires_grad_(False)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed_precision):
        loss = model(**essay_batch([6, 9]), labels=torch.tensor([0.1, 0.9])).loss
    loss.backward()
    reached = {name for name, weight in model.named_parameters() if weight.grad is not None and weight.grad.any()}
    assert reached == {name for name, _ in model.named_parameters()} - {"model.embeddings.word_embeddings.weight"}
    # The initial states are drawn once and never trained.
    assert {"model.initial_z_H", "model.initial_z_L"} <= {name for name, _ in model.named_buffers()}


def test_earlier_cycles_carry_no_gradient():
    model = small_model(H_cycles=3, num_supervision_steps=1)
    calls = []
    model.model.layers[0].register_forward_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    model(**essay_batch([5]))
    # Three H cycles of two L steps and one H step; the last cycle alone with gradient.
    assert calls == [False] * 6 + [True] * 3


@pytest.mark.parametrize("num_latents", [0, 3])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_padding_and_batch_mates_change_no_score(num_latents, pooling, side, attention):
    model = small_model(num_latents=num_latents, pooling=pooling, embedding_size=8).eval()
    model.set_attn_implementation(attention)
    lengths = [3, 12, 7, 1]
    batch = essay_batch(lengths)
    # What stands in the padding must not matter.
    batch["input_ids"] = torch.where(batch["attention_mask"] == 0, 42, batch["input_ids"])
    if side == "left":
        rolls = [12 - length for length in lengths]
        batch = {name: torch.stack([row.roll(n) for row, n in zip(t, rolls, strict=True)]) for name, t in batch.items()}
    together = model(**batch)
    for row, length in enumerate(lengths):
        alone = model(
            **{
                name: tensor[row : row + 1][batch["attention_mask"][row : row + 1] == 1][None]
                for name, tensor in batch.items()
            }
        )
        assert alone.carry.shape[2] == (num_latents or length)
        torch.testing.assert_close(together.step_logits[row], alone.step_logits[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(together.halt_logits[row], alone.halt_logits[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("num_latents", [0, 3])
def test_steps_can_be_taken_one_at_a_time(num_latents):
    model = small_model(num_supervision_steps=3, num_latents=num_latents).eval()
    batch = essay_batch([5, 8])
    at_once = model(**batch)
    carry, scores = None, []
    for _ in range(3):
        outputs = model(**batch, carry=carry, num_supervision_steps=1)
        carry = outputs.carry
        scores.append(outputs.logits.squeeze(-1))
    torch.testing.assert_close(at_once.step_logits, torch.stack(scores, dim=1))
    assert not carry.requires_grad
    assert len(set(at_once.step_logits[0].tolist())) == 3


def test_latents_read_the_tokens_with_what_they_know():
    """One L step by hand: the query is z_L + z_H and a latent's own embedding with the length, what is read is normalized."""
    model = small_model(num_latents=3, H_cycles=1, L_cycles=1, num_supervision_steps=1, num_convolutions=1)
    batch = essay_batch([6])
    reader, base = model.model.reader, model.model
    calls = []
    reader.mixer.register_forward_hook(lambda *_: calls.append(1))
    outputs = model(**batch)

    x = base.embeddings(batch["input_ids"], batch["token_type_ids"])[0]
    padded = nn.functional.pad(x, (0, 0, 2, 2))
    kernel = reader.mixer.convolutions[0].weight
    mixed = torch.stack([torch.einsum("kw,owk->o", padded[t : t + 5], kernel) for t in range(6)])
    x = x + nn.functional.silu(mixed) @ reader.mixer.projections[0].weight.T
    x = rms_norm(x, 1e-5)
    z_H = base.initial_z_H.expand(3, -1)
    z_L = base.initial_z_L.expand(3, -1)
    key, value = (x @ reader.kv_proj.weight.T).split(16, dim=-1)
    is_essay = batch["token_type_ids"] == 1
    knows = reader.latents + math.log(is_essay.sum() / 256) * reader.length
    query = (z_L + z_H + knows) @ reader.q_proj.weight.T
    heads = [
        (query[:, part] @ key[:, part].T / 8**0.5).softmax(dim=-1) @ value[:, part]
        for part in (slice(0, 8), slice(8, 16))
    ]
    read = knows + rms_norm(torch.cat(heads, dim=-1) @ reader.o_proj.weight.T, 1e-5)
    frequencies = 10000.0 ** -(torch.arange(0, 8, 2) / 8)
    angles = torch.outer(torch.arange(3.0), frequencies).repeat(1, 2)
    z_L = net(model, z_L + z_H + read, angles.cos(), angles.sin())
    z_H = net(model, z_H + z_L, angles.cos(), angles.sin())
    torch.testing.assert_close(outputs.carry[0][0], z_H.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(outputs.logits[0], model.score_head(z_H.mean(0)).reshape(1), atol=1e-5, rtol=1e-5)
    # However often the network is called, the tokens are encoded once.
    model.config.H_cycles, model.config.L_cycles = 3, 4
    calls.clear()
    model(**batch)
    assert len(calls) == 1


def test_labels_never_reach_the_prediction():
    model = small_model()
    batch = essay_batch([5, 8])
    without = model(**batch)
    for labels in ([0.0, 0.0], [1.0, 0.2]):
        outputs = model(**batch, labels=torch.tensor(labels), score_spans=torch.tensor([4.0, 4.0]))
        assert torch.equal(outputs.step_logits, without.step_logits)
        assert torch.equal(outputs.step_halt_logits, without.step_halt_logits)
        assert outputs.steps_used.tolist() == [2, 2]


def test_loss_by_hand():
    model = small_model(halting_loss_weight=0.5)
    scores = torch.tensor([[0.5, 0.7], [0.1, 0.0]])
    halts = torch.zeros(2, 2)
    loss = supervision_loss(model.config, scores, halts, torch.tensor([0.6, 0.0]), torch.tensor([4.0, 10.0]))
    # Errors -0.1, 0.1, 0.1, 0; every halting logit of 0 costs ln 2, right or wrong.
    assert loss.item() == pytest.approx((0.01 + 0.01 + 0.01 + 0) / 4 + 0.5 * 0.693147, abs=1e-5)
    # "Right" is within half a point: 0.125 of a range of 4, 0.05 of a range of 10.
    confident = torch.tensor([[50.0, 50.0], [-50.0, 50.0]])
    loss = supervision_loss(model.config, scores, confident, torch.tensor([0.6, 0.0]), torch.tensor([4.0, 10.0]))
    assert loss.item() == pytest.approx(0.0075, abs=1e-6)


def test_halted_essays_leave_the_batch():
    model = small_model(num_supervision_steps=4, halt_at_inference=True).eval()
    batch = essay_batch([5, 8, 6, 9])
    logits = model(**batch).step_halt_logits[:, 0].detach()
    # A threshold between the essays' own first logits: some halt after a step, some go on.
    model.config.halting_threshold = float(logits.sigmoid().median())
    rows_seen = []
    model.model.register_forward_hook(lambda _, __, output: rows_seen.append(len(output.last_hidden_state)))
    outputs = model(**batch)
    assert rows_seen[0] == 4 and rows_seen[1] < 4
    assert outputs.steps_used.min() == 1
    plain = small_model(num_supervision_steps=4).eval()
    steps = plain(**batch).step_logits
    for row, used in enumerate(outputs.steps_used.tolist()):
        torch.testing.assert_close(outputs.logits[row, 0], steps[row, used - 1], atol=1e-5, rtol=0)
    # All at once: no step is taken any more, and there are as many columns.
    model.config.halting_threshold = 0.0
    rows_seen.clear()
    outputs = model(**batch)
    assert rows_seen == [4] and outputs.steps_used.tolist() == [1] * 4 and outputs.step_halt_logits.shape == (4, 4)
    torch.testing.assert_close(outputs.step_logits, steps[:, :1].expand(4, 4), atol=1e-5, rtol=0)


def test_places_of_tokens_are_for_a_model_whose_states_are_tokens():
    batch = essay_batch([5, 8])
    places = torch.arange(batch["input_ids"].shape[1]).expand_as(batch["input_ids"])
    small_model()(**batch, position_ids=places)
    with pytest.raises(ValueError, match="this one has `num_latents`"):
        small_model(num_latents=3)(**batch, position_ids=places)


def test_a_score_beyond_the_scale_is_right_where_the_scale_ends():
    model = small_model(halting_loss_weight=1.0)
    gold, sure = torch.tensor([1.0, 0.0]), torch.tensor([[9.0], [9.0]])
    beyond, squared = torch.tensor([[1.3], [-0.2]]), (0.3**2 + 0.2**2) / 2
    loss = supervision_loss(model.config, beyond, sure, gold, torch.tensor([60.0, 60.0]))
    assert loss.item() == pytest.approx(squared + math.log1p(math.exp(-9)), abs=1e-6)


def test_zero_initialization_makes_extra_recursion_harmless():
    """Untrained, a residual branch that starts at zero moves the answer less from step to step than one that does not."""
    movement = {}
    for initialization in ("zeros", "lecun"):
        model = small_model(residual_initialization=initialization, num_supervision_steps=3).eval()
        outputs = [model(**essay_batch([12] * 8), num_supervision_steps=steps).carry[:, 0] for steps in (1, 3)]
        movement[initialization] = (outputs[0] - outputs[1]).square().mean().item()
    assert movement["zeros"] < 0.5 * movement["lecun"]
    layer = small_model(residual_initialization="zeros").model.layers[0]
    assert not layer.self_attn.o_proj.weight.any() and not layer.mlp.down_proj.weight.any()


def test_every_weight_starts_as_configured():
    """Transformers passes over modules of custom code that hold no weight of their own."""
    model = small_model(
        hidden_size=128,
        embedding_size=64,
        vocab_size=4000,
        residual_initialization="lecun",
        embedding_initializer_range=0.7,
    )
    assert model.score_head.bias.item() == 0.5 and model.halt_head.bias.item() == -5.0
    embeddings = model.model.embeddings
    assert not embeddings.token_type_embeddings.weight.any()
    assert embeddings.word_embeddings.weight.std().item() == pytest.approx(0.7, rel=0.02)
    # A normal distribution cut at two deviations has 0.88 of the deviation.
    for layer in model.model.layers:
        for linear in (layer.self_attn.qkv_proj, layer.self_attn.o_proj, layer.mlp.gate_up_proj, layer.mlp.down_proj):
            assert linear.weight.std().item() == pytest.approx(0.88 / linear.in_features**0.5, rel=0.03)
    assert embeddings.projection.weight.std().item() == pytest.approx(0.88 / 64**0.5, rel=0.03)
    assert model.score_head.weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert model.model.initial_z_H.abs().max() <= 2 and model.model.initial_z_H.std() > 0.5


def test_default_configuration_has_the_published_size():
    with torch.device("meta"):
        model = TRMForEssayScoring(TRMConfig())
    config = model.config
    assert (config.hidden_size, config.num_attention_heads, config.num_hidden_layers) == (768, 12, 2)
    assert (config.intermediate_size, config.vocab_size, config.max_position_embeddings) == (2048, 30522, 1024)
    core = 2 * (4 * 768 * 768 + 3 * 768 * 2048)
    assert model.num_parameters() == 30522 * 768 + core + 2 * 768 + 2 * (768 + 1)
    assert round(model.num_parameters() / 1e6, 1) == 37.6


@pytest.mark.parametrize("num_latents", [0, 3])
def test_saved_and_loaded_scores_are_equal_to_the_bit(tmp_path, num_latents):
    model = small_model(embedding_size=8, num_latents=num_latents, score_ranges={"1": [2, 12]}).eval()
    batch = essay_batch([5, 9])
    expected = model(**batch)
    model.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors", *MODEL_CODE}
    loaded = TRMForEssayScoring.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded(**batch).step_logits, expected.step_logits)
    assert loaded.config.score_ranges == {"1": [2, 12]}
    # Another seed must not redraw the initial states.
    torch.manual_seed(99)
    again = TRMForEssayScoring.from_pretrained(tmp_path)
    assert torch.equal(again.model.initial_z_H, model.model.initial_z_H)


def test_bfloat16_stays_close():
    model = small_model(residual_initialization="zeros").eval()
    batch = essay_batch([5, 9])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = model(**batch).logits
    torch.testing.assert_close(low.float(), model(**batch).logits, atol=5e-3, rtol=0)


def test_wrong_calls_say_what_is_wrong():
    model = small_model()
    with pytest.raises(ValueError, match="40 tokens, more than `max_position_embeddings` \\(32\\)"):
        model(**essay_batch([40]))
    with pytest.raises(ValueError, match="exactly one"):
        model(attention_mask=torch.ones(1, 3))
    with pytest.raises(ValueError, match="exactly one"):
        model(**essay_batch([4]), inputs_embeds=torch.ones(1, 4, 16))
    with pytest.raises(ValueError, match=r"`prompt_indices` must have the shape \(1,\)"):
        registered_model()(**essay_batch([4]), prompt_indices=torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="`prompt_indices` must lie in 0 to 1, got \\[2\\]"):
        registered_model()(**essay_batch([4]), prompt_indices=torch.tensor([2]))
    with pytest.raises(ValueError, match="keeps no prompts apart"):
        model(**essay_batch([4]), prompt_indices=torch.tensor([0]))
    with pytest.raises(ValueError, match="`attention_mask` must be"):
        model(input_ids=torch.ones(1, 3, dtype=torch.long), attention_mask=torch.ones(1, 1, 3, 3))
    with pytest.raises(ValueError, match="at least 1"):
        model(**essay_batch([4]), num_supervision_steps=0)


def test_misspelled_arguments_are_refused():
    model = small_model()
    for call in (model, model.model):
        with pytest.raises(TypeError, match="no argument 'num_supervison_steps'. Is it misspelled"):
            call(**essay_batch([4]), num_supervison_steps=1)
    with pytest.raises(ValueError, match="`num_latent` is no argument of TRMConfig. Did you mean `num_latents`"):
        small_config(num_latent=3)

    class WiderConfig(TRMConfig):
        pass

    with pytest.raises(ValueError, match="Did you mean `num_supervision_steps`"):
        WiderConfig(num_supervison_steps=1)


def test_embeddings_without_words_are_refused_where_half_of_the_score_is_of_words():
    model = registered_model()
    batch = prompted([5, 6, 7], [11, 12, 13, 14])
    embeds = model.get_input_embeddings()(batch["input_ids"])
    segments = batch["token_type_ids"]
    with pytest.raises(ValueError, match="pass `input_ids` beside `inputs_embeds`"):
        model(inputs_embeds=embeds, token_type_ids=segments)
    expected = model(**batch).logits
    torch.testing.assert_close(model(**batch, inputs_embeds=embeds).logits, expected)
    # The recursive part takes the embeddings that are given.
    assert (model(**batch, inputs_embeds=embeds.flip(-1)).logits - expected).abs() > 1e-4


def test_named_prompts_are_not_guessed():
    model = registered_model()
    essay = [11, 12, 13, 14]
    by_text = [model(**prompted(text, essay)).logits.item() for text in ([5, 6, 7], [8, 9])]
    for text in ([5, 6, 7], [8, 9], [20]):
        by_index = [
            model(**prompted(text, essay), prompt_indices=torch.tensor([place])).logits.item() for place in (0, 1)
        ]
        assert by_index == pytest.approx(by_text, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 18, "num_attention_heads": 4}, "heads of even width"),
        ({"H_cycles": 0}, "`H_cycles` must be at least 1"),
        ({"hidden_dropout_prob": 1.0}, r"\[0, 1\)"),
        ({"halting_threshold": 0.0}, "probability"),
        ({"score_ranges": {"1": [5, 5]}}, "prompt '1'"),
        ({"pooling": "max"}, "pooling"),
    ],
)
def test_contradictory_configurations_are_refused(changes, message):
    # @strict wraps what it finds wrong with a type in an error of its own.
    with pytest.raises(Exception, match=message):
        small_config(**changes)


def test_rms_norm_by_hand():
    torch.testing.assert_close(rms_norm(torch.tensor([[3.0, 4.0]]), 0.0), torch.tensor([[3.0, 4.0]]) / 12.5**0.5)


def test_prompts_are_recognized_by_their_first_tokens_alone():
    model = registered_model()
    essay = [8, 9, 8, 9, 20]
    assert model.model.prepare_essays(**prompted([5, 6, 7], essay)).prompt_indices.tolist() == [0]
    assert model.model.prepare_essays(**prompted([8, 9], essay)).prompt_indices.tolist() == [1]
    # What comes after `max_prompt_tokens` may have been cut.
    long = [8, 9, 8, 9]
    assert model.model.prepare_essays(**prompted(long + [5, 6, 7] * 4, essay)).prompt_indices.tolist() == [1]
    # A model that was never told its prompts cannot recognize them.
    untold = small_model(num_latents=3, prompt_registers=True, score_ranges={"1": [2, 12], "2": [0, 4]})
    with pytest.raises(ValueError, match="has not been told its prompts' texts .* Pass `prompt_indices`"):
        untold(**prompted([5, 6, 7], essay))
    assert untold(**prompted([5, 6, 7], essay), prompt_indices=torch.tensor([1])).logits.isfinite().all()


def test_a_text_that_is_no_prompts_is_never_taken_for_one():
    model, essay = registered_model(), [8, 9, 8, 9, 20]
    batch = essay_batch([9, 6])
    with torch.no_grad():
        expected = model(**batch).logits
        # Half precision moves words, not prompts.
        assert model.bfloat16().model.prepare_essays(**batch).prompt_indices.tolist() == [0, 1]
    model = registered_model()
    # Another text, and an essay alone, as the stock pipeline passes it, whatever its words are.
    for inputs in (prompted([5, 6, 8], essay), {"input_ids": torch.tensor([essay])}):
        with pytest.raises(ValueError, match="Essay 0 of the batch comes without a prompt .* scores several: 1, 2"):
            model(**inputs)
    batch["input_ids"][1, 0] = 30
    with pytest.raises(ValueError, match="Essay 1 of the batch"):
        model(**batch)
    told = model(**batch, prompt_indices=torch.tensor([0, 1])).logits
    torch.testing.assert_close(told[0], expected[0])
    # Where there is one prompt, there is one scale.
    only = registered_model(score_ranges={"1": [2, 12]}, known=1)
    assert only.model.prepare_essays(torch.tensor([essay])).prompt_indices.tolist() == [0]


def test_the_prompt_decides_scale_and_register_but_its_text_is_not_read():
    model = registered_model()
    essay = [11, 12, 13, 14]
    first, second = (model(**prompted(prompt, essay)).logits.item() for prompt in ([5, 6, 7], [8, 9]))
    assert abs(first - second) > 0.05
    # Another order of the first prompt's words: same score.
    assert model(**prompted([7, 5, 6], essay)).logits.item() == pytest.approx(first, abs=1e-6)


def test_lexical_score_by_hand():
    model = registered_model(score_ranges={"1": [2, 12], "2": [0, 4]})
    essay = [11, 12, 11, 11, 13]
    batch = prompted([8, 9], essay)
    with torch.no_grad():
        final = model(**batch).logits.item()
        recursive = registered_model(lexical_head=False)
        missing, _ = recursive.load_state_dict(model.state_dict(), strict=False)
        assert not missing
        alone = recursive(**batch).logits.item()
    words, (constant, length, distinct) = model.lexical_head.words.weight[:, 1], model.lexical_head.counts.weight[1]
    z = words[11] * (1 + math.log(3)) + words[12] + words[13]
    z = z + constant + length * (math.log(5 / 256) - math.log(8 / 256)) / 0.5 + distinct * 3 / 100
    lexical = 0.3 + 0.2 * z.item()
    assert final == pytest.approx((lexical + alone) / 2, abs=1e-5)


def test_each_head_has_a_loss_of_its_own_in_units_of_the_prompts_spread():
    model = registered_model(halting_loss_weight=0.0)
    scores, lexical = torch.tensor([[0.5], [0.2]]), torch.tensor([[0.7], [0.4]])
    unit = torch.tensor([[0.1], [0.2]])
    loss = supervision_loss(model.config, scores, torch.zeros(2, 1), torch.tensor([0.6, 0.0]), None, lexical, unit)
    assert loss.item() == pytest.approx((1 + 1) / 2 + (1 + 4) / 2, abs=1e-5)


def test_packing_changes_nothing(monkeypatch):
    """One row without padding, essay after essay, gives what padded rows give."""
    model = registered_model()
    batch = essay_batch([9, 6, 12])
    packed = model(**batch)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    padded = model(**batch)
    torch.testing.assert_close(packed.logits, padded.logits, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(packed.carry, padded.carry, atol=1e-5, rtol=1e-5)


def test_packed_batches_have_few_shapes():
    """What a CPU's library compiles for each shape must not pile up over a million essays."""
    shapes = set()
    for tokens in range(1, 5000, 7):
        packing = TRMPacking(torch.ones(1, tokens, dtype=torch.bool), gap=2)
        assert tokens + 4 <= packing.length <= (tokens + 4) * 9 / 8 + 1 and packing.width >= tokens
        shapes.add((packing.length, packing.width))
    assert len(shapes) < 200


def test_gradients_reach_what_belongs_to_the_essays_prompt():
    model = registered_model().train()
    model(**prompted([8, 9], [11, 12, 13]), labels=torch.tensor([0.9])).loss.backward()
    for weights in (
        model.model.prompt_bank.registers,
        model.model.prompt_bank.score_weights,
        model.lexical_head.counts,
    ):
        assert weights.weight.grad[1].abs().sum() > 0 and weights.weight.grad[0].abs().sum() == 0
    of_words = model.lexical_head.words.weight.grad
    assert set(of_words.nonzero()[:, 0].tolist()) == {11, 12, 13}


def test_cycles_with_gradient():
    """With as many as there are, the gradient is that of the whole unrolled recursion: earlier cycles change it."""
    gradients = []
    for cycles in (1, 2, 5):
        model = small_model(H_cycles=2, num_supervision_steps=1, num_gradient_cycles=cycles)
        model(**essay_batch([6]), labels=torch.tensor([0.9])).loss.backward()
        gradients.append(model.model.layers[0].mlp.gate_up_proj.weight.grad)
    assert not torch.allclose(gradients[0], gradients[1], rtol=1e-3)
    torch.testing.assert_close(gradients[1], gradients[2])


def test_word_dropout_zeroes_words_in_training_alone():
    model = small_model(word_dropout_prob=0.5)
    words = model.model.embeddings
    ids = torch.full((1, 400), 7)
    assert (words.train()(ids).abs().sum(-1) == 0).float().mean().item() == pytest.approx(0.5, abs=0.1)
    assert (words.eval()(ids).abs().sum(-1) > 0).all()


def test_halted_essays_leave_the_latents_reading_too():
    """Scores of steps taken by a part of the batch are those of that part alone."""
    model = registered_model(num_supervision_steps=4, halt_at_inference=True)
    batch = essay_batch([9, 6, 12, 7])
    logits = model(**batch, num_supervision_steps=1).halt_logits.detach()
    model.config.halting_threshold = float(logits.median().sigmoid())
    outputs = model(**batch)
    assert len(set(outputs.steps_used.tolist())) > 1
    for row in range(4):
        alone = model(**{name: tensor[row : row + 1] for name, tensor in batch.items()})
        torch.testing.assert_close(outputs.logits[row], alone.logits[0], atol=1e-5, rtol=1e-5)
        assert outputs.steps_used[row] == alone.steps_used[0]
