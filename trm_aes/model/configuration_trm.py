# Copyright 2026 The trm-aes authors. Licensed under the Apache License, Version 2.0.
"""Configuration of the Tiny Recursive Model (TRM) for essay scoring."""

import difflib
from collections.abc import Iterable
from typing import Any, Literal

import transformers
from packaging.version import Version

# What travels beside the weights meets whatever Transformers its user has.
MIN_TRANSFORMERS = "5.4"
if Version(transformers.__version__) < Version(MIN_TRANSFORMERS):
    raise ImportError(
        f"This model needs transformers {MIN_TRANSFORMERS} or later, and version {transformers.__version__} is installed: "
        f"pip install 'transformers>={MIN_TRANSFORMERS}'"
    )

from huggingface_hub.dataclasses import strict  # noqa: E402 (after the check)
from transformers import AutoConfig, PreTrainedConfig  # noqa: E402

from .score_scale import ScoreRange  # noqa: E402

# What traits may not be called: the first output is the score, and tables of scores have a column `predicted_error`.
RESERVED_TRAITS = ("score", "error")


@strict
class TRMConfig(PreTrainedConfig):
    r"""
    Configuration of a [`TRMModel`] or [`TRMForEssayScoring`]. All arguments are keyword-only.

    `TRMConfig()` is the published shape (arXiv 2510.04871 applied to essays): 37.6 M parameters, 23.4 M of them word
    embeddings of the `bert-base-uncased` vocabulary. It is not what `trm-aes train` trains when no recipe is named: that
    is the recipe `default`, which sets most of the fields below (`trm_aes/presets/recipes`).

    Args:
        vocab_size (`int`, defaults to 30522):
            Size of the vocabulary; that of `bert-base-uncased`.
        hidden_size (`int`, defaults to 768):
            Width of the two recursive states and of the shared network.
        embedding_size (`int`, *optional*):
            Width of the word embeddings; `None` means `hidden_size`, or the encoder's. Where it differs, a linear
            projection without bias maps embeddings to `hidden_size` (factorized embeddings).
        num_hidden_layers (`int`, defaults to 2):
            Layers of the shared network. It is applied `H_cycles * (L_cycles + 1)` times a supervision step.
        num_attention_heads (`int`, defaults to 12):
            Attention heads; must divide `hidden_size` into heads of even width (RoPE).
        intermediate_size (`int`, defaults to 2048):
            Width of the SwiGLU feed-forward layer.
        max_position_embeddings (`int`, defaults to 1024):
            Longest sequence, in tokens.
        type_vocab_size (`int`, defaults to 2):
            Segments told apart by `token_type_ids` (0 prompt, 1 essay). Their embeddings start at zero.
        H_cycles (`int`, defaults to 3):
            Updates of the answer state `z_H` in a supervision step; see `num_gradient_cycles`.
        L_cycles (`int`, defaults to 4):
            Updates of the latent state `z_L` before each update of `z_H`.
        num_gradient_cycles (`int`, defaults to 1):
            How many of the H cycles, counted from the last, carry a gradient. 1, as published.
        num_supervision_steps (`int`, defaults to 16):
            Most supervision steps taken on an essay, in training and in scoring.
        num_latents (`int`, defaults to 0):
            How many latents recur in place of the tokens; they read the tokens by cross-attention. 0, as published: a
            state for each token.
        encoder (`dict` or `PreTrainedConfig`, *optional*):
            Configuration of a pretrained encoder (BERT's kind), cut to the layers that are used. The latents then read
            its token states in place of word embeddings, essays in windows of as many tokens as it takes, and the model
            holds its weights. Needs `num_latents`, and `num_convolutions` 0.
        cls_token_id, sep_token_id (`int`, *optional*):
            The tokenizer's tokens that stand around each of those windows. Needed with an `encoder`.
        text_features (`list[str]`, *optional*):
            Names of what is counted in the essay's text as it was written (see text_features_trm.py), in the order in
            which callers pass it as `text_features`. Needs `prompt_registers`.
        traits (`dict[str, dict[str, list]]`, *optional*):
            `trait -> prompt_id -> [lowest, highest]` score of the trait in each prompt that has it, or
            `[lowest, highest, step]`. Traits are outputs behind the score, in this order: `id2label` is `{0: "score", 1: …}`.
            Needs `prompt_registers`, and `lexical_head` or the traits among `auxiliary_targets`.
        auxiliary_targets (`list[str]`, *optional*):
            Names of what the recursive part learns to predict beside the score (raters' own scores, traits). Needs
            `prompt_registers`.
        auxiliary_loss_weight (`float`, defaults to 0.0):
            Weight of their mean squared error beside the score's.
        num_convolutions (`int`, defaults to 2):
            Convolutions over the word embeddings before the latents read them.
        convolution_size (`int`, defaults to 5):
            Width of those convolutions, in tokens.
        prompt_registers (`bool`, defaults to `False`):
            Whether the model keeps, for each prompt of `score_ranges`, a learned vector beside the latents, weights of
            its own in the score's head, and the mean and spread of its scores. Callers name an essay's prompt by
            `prompt_indices`; where they pass tokens alone it is recognized by its text (segment 0), which is not read
            otherwise. Needs `num_latents`.
        lexical_head (`bool`, defaults to `False`):
            Whether a second, linear head scores the essay, by its words and by what else is known of it (`text_features`,
            mean and spread of the encoder's states), with weights for each prompt. Needs `prompt_registers`.
        lexical_share (`float`, defaults to 0.5):
            Share of that head in the score, between 0 and 1; the rest is the recursive head's.
        passage_check (`bool`, defaults to `False`):
            Whether passages that are unlike the prompt's training essays, by topic or by the order of their words, lower
            the score (see passages_trm.py). Needs `lexical_head`.
        review_by (`"predicted_error"` or `"confidence"`, *optional*):
            If set, the model has an error model, which says of each essay how far its score may be from a human one (see
            confidence_trm.py), and this tells by which of its outputs essays are chosen for people to read: the one that chose
            better among the validation essays. Training sets it where it ends. Needs `prompt_registers`.
        skip_repetition (`bool`, defaults to `False`):
            Whether what an essay says a second time, word for word, is left out before it is tokenized (see repetition.py).
        pooling (`"mean"` or `"cls"`, defaults to `"mean"`):
            What the heads read: the mean of `z_H` over the tokens that are not padding (or the latents), or the first
            of them.
        residual_initialization (`"zeros"` or `"lecun"`, defaults to `"zeros"`):
            Initial output projections of attention and feed-forward. With zeros every residual branch starts as the
            identity, so extra recursion of an untrained model is harmless; `"lecun"` is the published one.
        rope_theta (`float`, defaults to 10000.0):
            Base of the rotary position embedding.
        rms_norm_eps (`float`, defaults to 1e-5):
            Epsilon of the (weightless) RMS normalization.
        hidden_dropout_prob (`float`, defaults to 0.1):
            Dropout on each residual branch.
        attention_probs_dropout_prob (`float`, defaults to 0.0):
            Dropout on attention weights.
        embedding_dropout_prob (`float`, defaults to 0.1):
            Dropout on the embedded input.
        word_dropout_prob (`float`, defaults to 0.0):
            Share of the tokens that the states do not see in training. (Words' embeddings are set to zero; states of a
            pretrained encoder are left out.)
        halting_loss_weight (`float`, defaults to 0.5):
            Weight of the halting head's binary cross-entropy beside the score's squared error.
        halting_tolerance (`float`, defaults to 0.05):
            Largest error, on the 0-1 scale, that counts as "right" for the halting head where the score range of an
            essay is not known. Where it is (`score_spans`), "right" means rounding to the gold score: within half a step.
        halting_threshold (`float`, defaults to 0.5):
            Probability above which an essay halts.
        halt_at_inference (`bool`, defaults to `False`):
            Whether halted essays stop recursing, and leave the batch, when scoring. The published model does not.
        exit_tolerance (`float`, *optional*):
            If set, an essay also stops recursing when scoring once a step moves its score, on the 0-1 scale, by no more
            than this. Training of several supervision steps ends with the largest that costs no agreement on validation.
        score_ranges (`dict[str, list]`, *optional*):
            `prompt_id -> [lowest, highest]` score, `[lowest, highest, step]` where scores are not a whole point apart,
            or the names of the scores, the lowest first (see [`ScoreRange`]). Maps the 0-1 output back to each prompt's
            scale. Kept in one order, numbers before other names, whatever order it comes in: `prompt_indices` are places
            in it.
        prompt_texts (`dict[str, str]`, *optional*):
            `prompt_id -> task text`, as the model was trained with it, so that an essay can be scored given its
            `prompt_id` alone.
        advisory_limits (`dict[str, dict[str, float]]`, *optional*):
            `prompt_id -> rule -> limit`, beyond which an essay gets an advisory (see advisories_trm.py); set when training
            ends. Prompts and rules that are absent give none.
        max_prompt_tokens (`int`, defaults to 128):
            Tokens of the prompt that are kept where prompt and essay together are too long.
        initializer_range (`float`, defaults to 0.02):
            Standard deviation of the initial heads' weights.
        embedding_initializer_range (`float`, defaults to 1.0):
            Standard deviation of word embeddings that are not copied from a pretrained encoder. The states that they
            are added to have unit root mean square.

    Raises:
        ValueError: for values that contradict one another or lie outside their range, and for an argument whose name is
            nearly one of these.
    """

    model_type = "trm"
    sub_configs = {"encoder": AutoConfig}
    # Names of version 0.1.
    attribute_map = {"num_encoder_layers": "num_convolutions", "encoder_kernel_size": "convolution_size"}
    keys_to_ignore_at_inference = [
        "carry",
        "halt_logits",
        "step_logits",
        "step_halt_logits",
        "auxiliary_logits",
        "unlike_shares",
        "predicted_errors",
        "score_intervals",
        "error_features",
        "steps_used",
        "hidden_states",
        "attentions",
    ]

    vocab_size: int = 30522
    hidden_size: int = 768
    embedding_size: int | None = None
    num_hidden_layers: int = 2
    num_attention_heads: int = 12
    intermediate_size: int = 2048
    max_position_embeddings: int = 1024
    type_vocab_size: int = 2
    H_cycles: int = 3
    L_cycles: int = 4
    num_gradient_cycles: int = 1
    num_supervision_steps: int = 16
    num_latents: int = 0
    encoder: Any = None
    cls_token_id: int | None = None
    sep_token_id: int | None = None
    text_features: list[str] | None = None
    traits: dict[str, dict[str, list[float | int]]] | None = None
    auxiliary_targets: list[str] | None = None
    auxiliary_loss_weight: float | int = 0.0
    num_convolutions: int = 2
    convolution_size: int = 5
    prompt_registers: bool = False
    lexical_head: bool = False
    lexical_share: float | int = 0.5
    passage_check: bool = False
    review_by: Literal["predicted_error", "confidence"] | None = None
    skip_repetition: bool = False
    pooling: Literal["mean", "cls"] = "mean"
    residual_initialization: Literal["zeros", "lecun"] = "zeros"
    rope_theta: float | int = 10000.0
    rms_norm_eps: float = 1e-5
    hidden_dropout_prob: float | int = 0.1
    attention_probs_dropout_prob: float | int = 0.0
    embedding_dropout_prob: float | int = 0.1
    word_dropout_prob: float | int = 0.0
    halting_loss_weight: float | int = 0.5
    halting_tolerance: float | int = 0.05
    halting_threshold: float | int = 0.5
    halt_at_inference: bool = False
    exit_tolerance: float | int | None = None
    score_ranges: dict[str, list[float | int | str]] | None = None
    prompt_texts: dict[str, str] | None = None
    advisory_limits: dict[str, dict[str, float | int]] | None = None
    max_prompt_tokens: int = 128
    initializer_range: float | int = 0.02
    embedding_initializer_range: float | int = 1.0
    pad_token_id: int | None = 0
    problem_type: Literal["regression", "single_label_classification", "multi_label_classification"] | None = (
        "regression"
    )

    def __post_init__(self, **kwargs):
        self._refuse_misspelled(kwargs)
        if isinstance(self.encoder, dict):
            self.encoder = AutoConfig.for_model(**self.encoder)
        elif self.encoder is not None and not isinstance(self.encoder, PreTrainedConfig):
            raise ValueError(f"`encoder` must be a configuration or a dictionary of its fields, got {self.encoder!r}.")
        if self.encoder is not None:
            self._check_encoder(self.encoder)
        if self.embedding_size is None:
            self.embedding_size = self.hidden_size if self.encoder is None else self.encoder.hidden_size
        self._check_shape()
        self._check_score_ranges()
        if self.score_ranges is not None:
            # A saved configuration has its keys in alphabetic order, 10 before 2.
            self.score_ranges = {name: self.score_ranges[name] for name in sort_prompt_ids(self.score_ranges)}
        self._check_traits()
        self._name_outputs(kwargs.get("num_labels"))
        super().__post_init__(**kwargs)

    def _refuse_misspelled(self, others: dict[str, Any]):
        """Transformers takes any argument for an attribute; one that is nearly ours was meant to be ours."""
        for name in set(others) - set(self.attribute_map):
            near = difflib.get_close_matches(name, TRMConfig.__annotations__, n=1, cutoff=0.85)
            if near:
                raise ValueError(f"`{name}` is no argument of TRMConfig. Did you mean `{near[0]}`?")

    def _check_encoder(self, encoder: PreTrainedConfig):
        if not self.num_latents:
            raise ValueError("`encoder` needs `num_latents`: it is latents that read its states.")
        if self.cls_token_id is None or self.sep_token_id is None:
            raise ValueError("`encoder` needs `cls_token_id` and `sep_token_id`, the tokens around what it reads.")
        if self.num_convolutions:
            raise ValueError("With an `encoder` there are no convolutions: `num_convolutions` must be 0.")
        if self.embedding_size not in (None, encoder.hidden_size):
            raise ValueError(
                f"`embedding_size` ({self.embedding_size}) must be the encoder's width ({encoder.hidden_size})."
            )
        if self.vocab_size != encoder.vocab_size:
            raise ValueError(f"`vocab_size` ({self.vocab_size}) must be the encoder's ({encoder.vocab_size}).")

    def _check_shape(self):
        for name in [
            "vocab_size",
            "hidden_size",
            "embedding_size",
            "num_hidden_layers",
            "num_attention_heads",
            "intermediate_size",
            "max_position_embeddings",
            "H_cycles",
            "L_cycles",
            "num_gradient_cycles",
            "num_supervision_steps",
            "convolution_size",
        ]:
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        for name in ("num_latents", "num_convolutions"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must not be negative, got {getattr(self, name)}.")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "embedding_dropout_prob",
                     "word_dropout_prob"):  # fmt: skip
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` must lie in [0, 1), got {getattr(self, name)}.")
        if self.prompt_registers and not (self.num_latents and self.score_ranges):
            raise ValueError("`prompt_registers` needs `num_latents` and `score_ranges`.")
        for name in ("lexical_head", "text_features", "traits", "auxiliary_targets", "review_by"):
            if getattr(self, name) and not self.prompt_registers:
                raise ValueError(f"`{name}` needs `prompt_registers`.")
        if self.passage_check and not self.lexical_head:
            raise ValueError("`passage_check` needs `lexical_head`.")
        if self.auxiliary_loss_weight < 0:
            raise ValueError(f"`auxiliary_loss_weight` must not be negative, got {self.auxiliary_loss_weight}.")
        if not 0 <= self.lexical_share <= 1:
            raise ValueError(f"`lexical_share` must lie between 0 and 1, got {self.lexical_share}.")
        if not 0 < self.halting_threshold < 1:
            raise ValueError(f"`halting_threshold` is a probability between 0 and 1, got {self.halting_threshold}.")
        if self.exit_tolerance is not None and not 0 <= self.exit_tolerance < 1:
            raise ValueError(f"`exit_tolerance` must lie in [0, 1), got {self.exit_tolerance}.")
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError(
                f"`hidden_size` ({self.hidden_size}) must be a multiple of twice `num_attention_heads` "
                f"({self.num_attention_heads}): rotary position embedding needs heads of even width."
            )

    def _check_score_ranges(self):
        for prompt_id, values in (self.score_ranges or {}).items():
            try:
                ScoreRange.from_list(values)
            except ValueError as error:
                raise ValueError(f"`score_ranges` of prompt {prompt_id!r}: {error}.") from None
        for prompt_id in self.advisory_limits or {}:
            if prompt_id not in (self.score_ranges or {}):
                raise ValueError(f"`advisory_limits` are of prompts of `score_ranges`, which {prompt_id!r} is not.")

    def _check_traits(self):
        for trait, ranges in (self.traits or {}).items():
            if trait in RESERVED_TRAITS:
                raise ValueError(f"`traits`: a trait cannot be called {trait!r}.")
            if not ranges:
                raise ValueError(f"`traits`: no prompt has the trait {trait!r}.")
            for prompt_id, values in ranges.items():
                if prompt_id not in (self.score_ranges or {}):
                    raise ValueError(
                        f"`traits` are of prompts of `score_ranges`, which {prompt_id!r} of {trait!r} is not."
                    )
                try:
                    ScoreRange.from_list(values)
                except ValueError as error:
                    raise ValueError(f"`traits`, {trait!r} of prompt {prompt_id!r}: {error}.") from None
        if not self.traits:
            return
        targets = set(self.traits) & set(self.auxiliary_targets or ())
        if targets and len(targets) < len(self.traits):
            raise ValueError("`auxiliary_targets` must name all `traits` or none.")
        if not targets and not self.lexical_head:
            raise ValueError("`traits` need a head: `lexical_head`, or the traits among `auxiliary_targets`.")

    def _name_outputs(self, num_labels: int | None):
        """The names of the outputs: the score, and then the traits, whose order they keep."""
        names = ["score", *(self.traits or {})]
        if self.id2label is None:
            if num_labels in (None, len(names)):
                self.id2label = dict(enumerate(names))
                self.label2id = {name: place for place, name in self.id2label.items()}
        elif self.traits:
            # A saved configuration has its keys in alphabetic order.
            ordered = [name for _, name in sorted(self.id2label.items(), key=lambda item: int(item[0]))]
            if sorted(ordered[1:]) != sorted(self.traits):
                raise ValueError(f"`id2label` must name the score and then the traits: {', '.join(self.traits)}.")
            self.traits = {trait: self.traits[trait] for trait in ordered[1:]}
        if self.traits:
            self.traits = {
                trait: {prompt_id: ranges[prompt_id] for prompt_id in sort_prompt_ids(ranges)}
                for trait, ranges in self.traits.items()
            }


def sort_prompt_ids(prompt_ids: Iterable[str]) -> list[str]:
    """Distinct prompt ids, numbers in numeric order before other names."""
    return sorted(set(prompt_ids), key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))


__all__ = ["TRMConfig"]
