"""Prompt and essay as one token sequence, `[CLS] prompt [SEP] essay [SEP]`, and batches of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from .score_scale import ScoreRange

DEFAULT_MAX_TOKENS = 1024
DEFAULT_MAX_PROMPT_TOKENS = 128


@dataclass(frozen=True)
class EncodedEssay:
    """
    Args:
        input_ids, token_type_ids: ids of prompt (segment 0) and essay (segment 1), special tokens among them.
        num_tokens: length before anything was cut.
        prompt_tokens_cut, essay_tokens_cut: tokens cut off the end of each.
    """

    input_ids: list[int]
    token_type_ids: list[int]
    num_tokens: int
    prompt_tokens_cut: int
    essay_tokens_cut: int


def stand_in_text(prompt_id: str) -> str:
    """What the model reads of a prompt whose text nobody knows: it must know it by something."""
    return f"Prompt {prompt_id}"


def encode_essays(
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    essays: Sequence[str],
    max_tokens: int = DEFAULT_MAX_TOKENS,
    max_prompt_tokens: int = DEFAULT_MAX_PROMPT_TOKENS,
) -> list[EncodedEssay]:
    """
    Tokenizes pairs of prompt and essay. Where a pair is longer than `max_tokens`, the prompt is cut first, down to
    `max_prompt_tokens`, and only then the end of the essay: the essay is what is scored.

    Raises:
        ValueError: if `max_tokens` leaves no room for an essay beside a cut prompt.
    """
    special = tokenizer.num_special_tokens_to_add(pair=True)
    if max_tokens < special + max_prompt_tokens + 1:
        raise ValueError(
            f"`max_tokens` {max_tokens} leaves no room for an essay beside {max_prompt_tokens} prompt tokens and "
            f"{special} special tokens: raise it, or lower `max_prompt_tokens`."
        )
    # Essays of one prompt share its text: tokenize each text once.
    prompt_texts = sorted(set(prompts))
    prompt_ids = dict(zip(prompt_texts, _token_ids(tokenizer, prompt_texts), strict=True))
    return [
        _join(tokenizer, prompt_ids[prompt], essay, max_tokens - special, max_prompt_tokens)
        for prompt, essay in zip(prompts, _token_ids(tokenizer, list(essays)), strict=True)
    ]


def known_prompts(config: PreTrainedConfig) -> dict[str, str]:
    """`prompt_id -> text` of the prompts that a model scores, as it was trained with them."""
    texts = config.prompt_texts or {}
    return {prompt_id: texts.get(prompt_id) or stand_in_text(prompt_id) for prompt_id in config.score_ranges}


def find_prompt(prompts: dict[str, str], text: str) -> str | None:
    """The id of the prompt that has this text, whatever space is around it; None if there is none."""
    return next((prompt_id for prompt_id, known in prompts.items() if known.strip() == text.strip()), None)


def encode_for_model(
    tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig, prompt_ids: Sequence[str], essays: Sequence[str]
) -> list[EncodedEssay]:
    """Essays of a model's prompts, tokenized and cut as in its training."""
    prompts = known_prompts(config)
    max_tokens = min(tokenizer.model_max_length, config.max_position_embeddings)
    texts = [prompts[prompt_id] for prompt_id in prompt_ids]
    return encode_essays(tokenizer, texts, essays, max_tokens, config.max_prompt_tokens)


def _token_ids(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    if not texts:
        return []
    return tokenizer(texts, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]


def _join(
    tokenizer: PreTrainedTokenizerBase, prompt: list[int], essay: list[int], room: int, max_prompt_tokens: int
) -> EncodedEssay:
    excess = max(0, len(prompt) + len(essay) - room)
    prompt_cut = min(excess, max(0, len(prompt) - max_prompt_tokens))
    essay_cut = excess - prompt_cut
    first = [tokenizer.cls_token_id, *prompt[: len(prompt) - prompt_cut], tokenizer.sep_token_id]
    second = [*essay[: len(essay) - essay_cut], tokenizer.sep_token_id]
    return EncodedEssay(
        input_ids=first + second,
        token_type_ids=[0] * len(first) + [1] * len(second),
        num_tokens=len(prompt) + len(essay) + 3,
        prompt_tokens_cut=prompt_cut,
        essay_tokens_cut=essay_cut,
    )


@dataclass
class EssayCollator:
    """
    Batches rows that hold `input_ids` and `token_type_ids`, padded to the longest of the batch. From rows that hold
    `score`, `min_score` and `max_score` it makes the labels (0-1) and the spans of the score ranges. Other columns are
    left out.
    """

    tokenizer: PreTrainedTokenizerBase

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        batch = self.tokenizer.pad(
            [{"input_ids": row["input_ids"], "token_type_ids": row["token_type_ids"]} for row in rows],
            padding="longest",
            return_tensors="pt",
            verbose=False,
        )
        batch = dict(batch)
        if "score" in rows[0]:
            ranges = [ScoreRange(row["min_score"], row["max_score"]) for row in rows]
            labels = [r.normalize(row["score"]) for r, row in zip(ranges, rows, strict=True)]
            batch["labels"] = torch.tensor(labels, dtype=torch.float32)
            batch["score_spans"] = torch.tensor([r.span for r in ranges], dtype=torch.float32)
        return batch
