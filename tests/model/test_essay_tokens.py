import pytest
import torch

from trm_aes.model.essay_tokens import EssayCollator, encode_essays

PROMPT, ESSAY = "one two three four five six", "red green blue white black"


def words(tokenizer, encoded):
    return tokenizer.convert_ids_to_tokens(encoded.input_ids)


def test_pair_that_fits_is_whole(tokenizer):
    [encoded] = encode_essays(tokenizer, [PROMPT], [ESSAY], max_tokens=14, max_prompt_tokens=2)
    assert words(tokenizer, encoded) == ["[CLS]", *PROMPT.split(), "[SEP]", *ESSAY.split(), "[SEP]"]
    assert encoded.token_type_ids == [0] * 8 + [1] * 6
    assert (encoded.num_tokens, encoded.prompt_tokens_cut, encoded.essay_tokens_cut) == (14, 0, 0)
    # The same tokens as the tokenizer's own pair.
    assert encoded.input_ids == tokenizer(PROMPT, ESSAY)["input_ids"]
    assert encoded.token_type_ids == tokenizer(PROMPT, ESSAY)["token_type_ids"]


def test_the_prompt_is_cut_before_the_essay(tokenizer):
    [encoded] = encode_essays(tokenizer, [PROMPT], [ESSAY], max_tokens=11, max_prompt_tokens=2)
    assert words(tokenizer, encoded) == ["[CLS]", "one", "two", "three", "[SEP]", *ESSAY.split(), "[SEP]"]
    assert (encoded.num_tokens, encoded.prompt_tokens_cut, encoded.essay_tokens_cut) == (14, 3, 0)


def test_the_essay_is_cut_once_the_prompt_is_at_its_least(tokenizer):
    [encoded] = encode_essays(tokenizer, [PROMPT], [ESSAY], max_tokens=8, max_prompt_tokens=2)
    assert words(tokenizer, encoded) == ["[CLS]", "one", "two", "[SEP]", "red", "green", "blue", "[SEP]"]
    assert (encoded.prompt_tokens_cut, encoded.essay_tokens_cut) == (4, 2)


def test_a_short_prompt_leaves_its_room_to_the_essay(tokenizer):
    [encoded] = encode_essays(tokenizer, ["one"], [ESSAY], max_tokens=8, max_prompt_tokens=4)
    assert words(tokenizer, encoded) == ["[CLS]", "one", "[SEP]", "red", "green", "blue", "white", "[SEP]"]


def test_no_room_for_an_essay_is_an_error(tokenizer):
    with pytest.raises(ValueError, match="`max_tokens` 10 leaves no room"):
        encode_essays(tokenizer, [PROMPT], [ESSAY], max_tokens=10, max_prompt_tokens=8)


def test_collator_pads_to_the_longest_and_scales_labels(tokenizer):
    rows = [
        {"input_ids": [101, 5, 102], "token_type_ids": [0, 1, 1], "score": 7.0, "min_score": 2.0, "max_score": 12.0},
        {"input_ids": [101, 102], "token_type_ids": [0, 1], "score": 0.0, "min_score": 0.0, "max_score": 4.0},
    ]
    batch = EssayCollator(tokenizer)(rows)
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["input_ids"].tolist() == [[101, 5, 102], [101, 102, 0]]
    torch.testing.assert_close(batch["labels"], torch.tensor([0.5, 0.0]))
    torch.testing.assert_close(batch["score_spans"], torch.tensor([10.0, 4.0]))
    unlabeled = EssayCollator(tokenizer)([{"input_ids": [101], "token_type_ids": [0]}])
    assert "labels" not in unlabeled


def test_spans_are_in_steps(tokenizer):
    row = {"input_ids": [101, 102], "token_type_ids": [0, 1], "score": 6.5, "min_score": 4.0, "max_score": 9.0}
    batch = EssayCollator(tokenizer)([{**row, "score_step": 0.5}, {**row, "score": 7.0, "score_step": 1.0}])
    torch.testing.assert_close(batch["labels"], torch.tensor([0.5, 0.6]))
    torch.testing.assert_close(batch["score_spans"], torch.tensor([10.0, 5.0]))
