"""The passage check of a model: numbers by hand, and no matter how essays are batched."""

import math

import pytest
import torch
from helpers import essay_batch, registered_model
from torch import nn

from trm_aes.model.passages_trm import NO_LIMIT, PASSAGE_SIZE, number_passages, pair_kinds

BATCH = essay_batch([300, 700, 40], seed=4)
PROMPTS = torch.tensor([0, 1, 1])


def checked_model(**changes):
    """A model whose check knows something of every word and of every pair, with limits about half of the passages are below."""
    model = registered_model(passage_check=True, max_position_embeddings=1024, **changes)
    check = model.passage_check
    torch.manual_seed(5)
    for table in (check.words, check.pairs):
        nn.init.normal_(table.weight)
    check.limits.copy_(torch.tensor([[0.1, 0.0], [0.0, 0.1]]))
    check.spreads.copy_(torch.tensor([[0.2, 0.3], [0.4, 0.5]]))
    check.penalties.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    return model


def without_check(model):
    """The same model without the check."""
    free = registered_model(max_position_embeddings=1024)
    free.load_state_dict({name: w for name, w in model.state_dict().items() if not name.startswith("passage_check")})
    return free


def score(model, batch, prompts=PROMPTS):
    with torch.no_grad():
        return model(**batch, prompt_indices=prompts)


def test_passages_are_as_long_as_one_another():
    is_essay = torch.zeros(3, 1000, dtype=torch.bool)
    is_essay[0, 10:500] = True  # 490 tokens: 8 passages
    is_essay[1, :95] = True  # One passage, for less than half of a second is too little.
    is_essay[2, :96] = True
    passages = number_passages(is_essay)
    sizes = [torch.bincount(passages[row][is_essay[row]]).tolist() for row in range(3)]
    assert sizes == [[62, 61, 61, 61, 62, 61, 61, 61], [95], [48, 48]]
    assert PASSAGE_SIZE == 64


def test_a_pair_is_not_its_reverse():
    there, back = pair_kinds(torch.tensor([[7, 9]])), pair_kinds(torch.tensor([[9, 7]]))
    assert there.shape == (1, 1) and there != back


def test_shares_and_scores_by_hand():
    model = checked_model()
    check, outputs = model.passage_check, score(model, BATCH)
    for row, prompt in enumerate(PROMPTS.tolist()):
        ids = BATCH["input_ids"][row][BATCH["token_type_ids"][row] == 1].tolist()
        number = max(1, (len(ids) + 32) // 64)
        shares = torch.zeros(2)
        for passage in range(number):
            places = [place for place in range(len(ids)) if place * number // len(ids) == passage]
            topic = sum(check.words.weight[ids[place], prompt].item() for place in places) / len(places)
            seconds = [place for place in places if place > 0]
            kinds = [(ids[place - 1] * 1_000_003 + ids[place] * 7_919) % 2**17 for place in seconds]
            order = sum(check.pairs.weight[kind, 0].item() for kind in kinds) / len(kinds)
            for column, ratio in enumerate((topic, order)):
                below = (check.limits[prompt, column] - ratio) / check.spreads[prompt, column]
                shares[column] += below.clamp(0, 1) * len(places) / len(ids)
        torch.testing.assert_close(outputs.unlike_shares[row], shares, atol=1e-5, rtol=1e-4)
        penalty = (shares * check.penalties[prompt]).sum() * model.model.prompt_bank.score_stds[prompt]
        free = score(without_check(model), BATCH).logits[row]
        torch.testing.assert_close(outputs.logits[row], free - penalty, atol=1e-5, rtol=1e-4)
    assert (outputs.unlike_shares > 0).any(dim=0).all() and outputs.unlike_shares.max() <= 1


def test_an_essay_is_judged_alike_alone_and_in_a_batch():
    model = checked_model()
    together = score(model, BATCH)
    for row, length in enumerate((300, 700, 40)):
        alone = score(
            model, {name: values[row : row + 1, :length] for name, values in BATCH.items()}, PROMPTS[row, None]
        )
        torch.testing.assert_close(alone.unlike_shares[0], together.unlike_shares[row])
        torch.testing.assert_close(alone.logits[0], together.logits[row], atol=1e-6, rtol=1e-5)


def test_without_limits_nothing_is_taken():
    fresh = registered_model(passage_check=True, max_position_embeddings=1024)
    assert (fresh.passage_check.limits == NO_LIMIT).all()
    outputs = score(fresh, BATCH)
    assert not outputs.unlike_shares.any()
    free = score(without_check(fresh), BATCH)
    assert torch.equal(outputs.logits, free.logits) and free.unlike_shares is None


def test_it_takes_no_part_in_the_loss():
    """It is fitted when training has ended."""
    labels = torch.tensor([0.2, 0.5, 0.9])
    model = checked_model()
    losses = [m(**BATCH, prompt_indices=PROMPTS, labels=labels).loss for m in (model, without_check(model))]
    assert torch.equal(*losses) and math.isfinite(losses[0].item())


def test_words_follow_a_resized_vocabulary():
    model = checked_model()
    before = model.passage_check.words.weight.clone()
    model.resize_token_embeddings(70)
    after = model.passage_check.words.weight
    assert after.shape[0] == 70 and torch.equal(after[:60], before) and not after[60:].any()


def test_it_needs_the_lexical_head():
    with pytest.raises(ValueError, match="`passage_check` needs `lexical_head`"):
        registered_model(passage_check=True, lexical_head=False)
