"""Prompt and essay as one token sequence, `[CLS] prompt [SEP] essay [SEP]`, and batches of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from .advisories_trm import measures_from, text_measures
from .repetition import without_repetition
from .score_scale import ScoreRange
from .text_features_trm import FEATURE_NAMES, text_features

DEFAULT_MAX_TOKENS = 1024
DEFAULT_MAX_PROMPT_TOKENS = 128


@dataclass(frozen=True)
class EncodedEssay:
    """
    A prompt and an essay as one sequence of tokens, and how much of them it had to leave out.

    Args:
        input_ids, token_type_ids: ids of prompt (segment 0) and essay (segment 1), special tokens among them.
        num_tokens: length before anything was cut.
        prompt_tokens_cut, essay_tokens_cut: tokens cut off the end of each.
        text_features: what is countable in the essay's text; None where it was not asked for.
        text_measures: what advisories go by of the text (see [`text_measures`]); None for a model without advisories.
    """

    input_ids: list[int]
    token_type_ids: list[int]
    num_tokens: int
    prompt_tokens_cut: int
    essay_tokens_cut: int
    text_features: list[float] | None = None
    text_measures: dict[str, float] | None = None


def stand_in_text(prompt_id: str) -> str:
    """The text that stands for a prompt whose own is not known."""
    return f"Prompt {prompt_id}"


def check_limits(tokenizer: PreTrainedTokenizerBase, max_tokens: int, max_prompt_tokens: int):
    """
    Checks that a sequence of `max_tokens` holds a prompt of `max_prompt_tokens`, the tokenizer's special tokens and at
    least one token of an essay.

    Raises:
        ValueError: if it does not.
    """
    special = tokenizer.num_special_tokens_to_add(pair=True)
    if max_tokens < special + max_prompt_tokens + 1:
        raise ValueError(
            f"`max_tokens` {max_tokens} leaves no room for an essay beside {max_prompt_tokens} prompt tokens and "
            f"{special} special tokens: raise it, or lower `max_prompt_tokens`."
        )


def encode_essays(
    tokenizer: PreTrainedTokenizerBase,
    prompt_texts: Sequence[str],
    essays: Sequence[str],
    max_tokens: int = DEFAULT_MAX_TOKENS,
    max_prompt_tokens: int = DEFAULT_MAX_PROMPT_TOKENS,
    feature_names: Sequence[str] = (),
    skip_repetition: bool = False,
) -> list[EncodedEssay]:
    """
    Tokenizes pairs of prompt and essay. Where a pair is longer than `max_tokens`, the prompt is cut first, down to
    `max_prompt_tokens`, and only then the end of the essay: the essay is what is scored.

    Args:
        tokenizer: what to tokenize with.
        prompt_texts, essays: one of each for a pair.
        max_tokens, max_prompt_tokens: how long a pair may be, and what is left of its prompt if it is longer.
        feature_names: text features to count, some of `FEATURE_NAMES`; they are of the whole texts, cut or not.
        skip_repetition: whether what an essay says a second time, word for word, is left out (see [`without_repetition`]).

    Raises:
        ValueError: if `max_tokens` leaves no room for an essay beside a cut prompt, or there is no feature of a name.
    """
    check_limits(tokenizer, max_tokens, max_prompt_tokens)
    special = tokenizer.num_special_tokens_to_add(pair=True)
    if skip_repetition:
        essays = [without_repetition(essay) for essay in essays]
    # Essays of one prompt share its text: tokenize each text once.
    distinct = sorted(set(prompt_texts))
    tokens_of_text = dict(zip(distinct, _token_ids(tokenizer, distinct), strict=True))
    encoded = [
        _join(tokenizer, tokens_of_text[text], essay, max_tokens - special, max_prompt_tokens)
        for text, essay in zip(prompt_texts, _token_ids(tokenizer, list(essays)), strict=True)
    ]
    if not feature_names:
        return encoded
    features = _count_features(tokenizer, prompt_texts, essays, feature_names)
    return [replace(essay, text_features=values) for essay, values in zip(encoded, features, strict=True)]


def known_prompt_texts(config: PreTrainedConfig) -> dict[str, str]:
    """`prompt_id -> text` of the prompts that a model scores, as it was trained with them."""
    texts = config.prompt_texts or {}
    return {prompt_id: texts.get(prompt_id) or stand_in_text(prompt_id) for prompt_id in config.score_ranges}


def has_other_text(config: PreTrainedConfig, prompt_id: str, prompt_text: str | None) -> bool:
    """Whether a text, white space aside, is not that of the prompt as the model was trained; where either is known."""
    own = (config.prompt_texts or {}).get(prompt_id)
    if prompt_text is None or own is None or own == prompt_text:
        return False
    is_known = stand_in_text(prompt_id) not in (own.strip(), prompt_text.strip())
    return is_known and own.split() != prompt_text.split()


def find_prompt_id(config: PreTrainedConfig, prompt_id: str | None = None, prompt_text: str | None = None) -> str:
    """
    The prompt that an essay answers: the one named; else the one whose text is given, whatever space is around it; else
    the model's only prompt.

    Args:
        config: of the model.
        prompt_id, prompt_text: what is known of the prompt.

    Raises:
        ValueError: if the model does not know the prompt, the text is that of several or not that of the id, or nothing is
            given and the model scores several prompts.
    """
    known = list(config.score_ranges)
    listed = ", ".join(known)
    if prompt_id is not None:
        if has_other_text(config, prompt_id, prompt_text):
            raise ValueError(
                f"prompt_id {prompt_id!r} stands beside a text that is not that of the model's prompt {prompt_id!r}. If it is "
                "the same prompt, leave its text out."
            )
        if prompt_id in known:
            return prompt_id
        raise ValueError(f"Unknown prompt_id {prompt_id!r}; this model scores {listed}.")
    if prompt_text is not None:
        found = [name for name, text in known_prompt_texts(config).items() if text.strip() == prompt_text.strip()]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"Prompts {', '.join(found)} all have this text. Give a prompt_id.")
        raise ValueError(f"This model knows no prompt with this text. Give a prompt_id: {listed}.")
    if len(known) > 1:
        raise ValueError(f"No prompt_id, and this model scores several prompts: {listed}.")
    return known[0]


def encode_for_model(
    tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig, prompt_ids: Sequence[str], essays: Sequence[str]
) -> list[EncodedEssay]:
    """Essays of a model's prompts, tokenized and cut as in its training."""
    known = known_prompt_texts(config)
    prompts, names = [known[prompt_id] for prompt_id in prompt_ids], config.text_features or ()
    limits = (min(tokenizer.model_max_length, config.max_position_embeddings), config.max_prompt_tokens)
    if not config.advisory_limits:
        return encode_essays(tokenizer, prompts, essays, *limits, names, config.skip_repetition)
    # What takes longest, repetitions and features, is looked for once for both the model and the advisories.
    kept = [without_repetition(essay) for essay in essays]
    read = kept if config.skip_repetition else essays
    encoded = encode_essays(tokenizer, prompts, read, *limits, FEATURE_NAMES)
    counted, places = [essay.text_features or [] for essay in encoded], _places_of(names)
    vocabulary = _vocabulary(tokenizer, len(tokenizer))
    as_written = [
        values if text == as_read else text_features(text, prompt, vocabulary)
        for text, as_read, prompt, values in zip(essays, read, prompts, counted, strict=True)
    ]
    return [
        replace(
            essay,
            text_features=[values[place] for place in places] if names else None,
            text_measures=measures_from(text, not_repeated, of_text),
        )
        for essay, values, text, not_repeated, of_text in zip(encoded, counted, essays, kept, as_written, strict=True)
    ]


def measure_texts(
    tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig, prompt_ids: Sequence[str], essays: Sequence[str]
) -> list[dict[str, float]]:
    """What advisories go by of the texts of essays of a model's prompts, as they were written (see [`text_measures`])."""
    texts, vocabulary = known_prompt_texts(config), _vocabulary(tokenizer, len(tokenizer))
    return [
        text_measures(essay, texts[prompt_id], vocabulary) for prompt_id, essay in zip(prompt_ids, essays, strict=True)
    ]


def _count_features(
    tokenizer: PreTrainedTokenizerBase, prompt_texts: Sequence[str], essays: Sequence[str], names: Sequence[str]
) -> list[list[float]]:
    places = _places_of(names)
    vocabulary = _vocabulary(tokenizer, len(tokenizer))
    counted = (text_features(essay, text, vocabulary) for text, essay in zip(prompt_texts, essays, strict=True))
    return [[values[place] for place in places] for values in counted]


def _places_of(names: Sequence[str]) -> list[int]:
    """Places of text features in `FEATURE_NAMES`."""
    unknown = [name for name in names if name not in FEATURE_NAMES]
    if unknown:
        raise ValueError(
            f"There is no text feature {unknown[0]!r}: the model comes from a later version. Upgrade, or load it with "
            "its own code."
        )
    return [FEATURE_NAMES.index(name) for name in names]


@lru_cache(maxsize=1)
def _vocabulary(tokenizer: PreTrainedTokenizerBase, size: int) -> dict[str, int]:
    """The words of the tokenizer used last, of which it had `size` then: to list them takes longer than to score an essay."""
    return tokenizer.get_vocab()


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


def prompt_index_of(config: PreTrainedConfig) -> dict[str, int]:
    """`prompt_id -> place in score_ranges`, which the model takes as `prompt_indices`; empty if it keeps no prompts apart."""
    if not config.prompt_registers:
        return {}
    return {prompt_id: place for place, prompt_id in enumerate(config.score_ranges)}


@dataclass
class EssayCollator:
    """
    Batches rows that hold `input_ids` and `token_type_ids`, padded to the longest of the batch. From rows that hold
    `score`, `min_score`, `max_score` and, where it is not 1, `score_step` it makes the labels (0-1) and `score_spans`, the
    numbers of steps that the scales have, and from their `prompt_id` the model's `prompt_indices`. `encoder_states` become
    a tensor where rows have them. Other columns are left out.

    Args:
        tokenizer: pads.
        prompt_index: `prompt_id -> place in score_ranges` (see [`prompt_index_of`]); no `prompt_indices` if empty.
        with_features: whether the model takes `text_features`, which all rows hold then.
        auxiliary_targets: columns that become the model's `auxiliary_scores`; a cell may be empty (None or NaN).
    """

    tokenizer: PreTrainedTokenizerBase
    prompt_index: dict[str, int] = field(default_factory=dict)
    with_features: bool = False
    auxiliary_targets: Sequence[str] = ()

    @classmethod
    def for_model(cls, tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> "EssayCollator":
        """The collator that gives a model of this configuration what it takes."""
        return cls(
            tokenizer, prompt_index_of(config), bool(config.text_features), tuple(config.auxiliary_targets or ())
        )

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        """
        Makes a batch: `input_ids`, `token_type_ids`, `attention_mask` `(batch, tokens)`; `text_features`
        `(batch, features)`; `encoder_states` `(batch, pieces, width)`, padded with zeros; `auxiliary_scores`
        `(batch, targets)`; what else there is `(batch,)`.
        """
        batch = {
            "input_ids": self._padded([row["input_ids"] for row in rows], self.tokenizer.pad_token_id),
            "token_type_ids": self._padded([row["token_type_ids"] for row in rows], self.tokenizer.pad_token_type_id),
            "attention_mask": self._padded([[1] * len(row["input_ids"]) for row in rows], 0),
        }
        if self.prompt_index:
            batch["prompt_indices"] = torch.tensor([self.prompt_index[row["prompt_id"]] for row in rows])
        if self.with_features:
            batch["text_features"] = torch.tensor([row["text_features"] for row in rows], dtype=torch.float32)
        if "encoder_states" in rows[0]:
            states = [torch.tensor(row["encoder_states"]) for row in rows]
            batch["encoder_states"] = nn.utils.rnn.pad_sequence(states, batch_first=True)
        if "score" in rows[0]:
            # Data sets of version 0.1 have no steps.
            ranges = [ScoreRange(row["min_score"], row["max_score"], row.get("score_step", 1.0)) for row in rows]
            labels = [r.normalize(row["score"]) for r, row in zip(ranges, rows, strict=True)]
            batch["labels"] = torch.tensor(labels, dtype=torch.float32)
            batch["score_spans"] = torch.tensor([r.num_steps for r in ranges], dtype=torch.float32)
            if self.auxiliary_targets:
                cells = [[row[name] for name in self.auxiliary_targets] for row in rows]
                batch["auxiliary_scores"] = torch.from_numpy(np.array(cells, dtype=np.float32))
        return batch

    def _padded(self, sequences: list[list[int]], value: int) -> torch.Tensor:
        """As `tokenizer.pad` has them, which takes several times as long."""
        return nn.utils.rnn.pad_sequence(
            [torch.tensor(sequence) for sequence in sequences],
            batch_first=True,
            padding_value=value,
            padding_side=self.tokenizer.padding_side,
        )
