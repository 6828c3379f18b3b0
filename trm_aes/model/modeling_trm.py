# Copyright 2026 The trm-aes authors. Licensed under the Apache License, Version 2.0.
"""The Tiny Recursive Model (Jolicoeur-Martineau, arXiv 2510.04871) as an essay scorer.

One small network `net` (by default two transformer layers, shared by everything) refines two states for each token, a
latent `z_L` and an answer `z_H`, given the embedded input `x`:

    one L step            z_L <- net(z_L + z_H + x)
    one H cycle           `L_cycles` L steps, then z_H <- net(z_H + z_L)
    one supervision step  `H_cycles` H cycles, the last `num_gradient_cycles` of them with gradient; the heads read z_H,
                          and the carry (z_H, z_L) is handed on detached

With `num_latents` the states belong not to the tokens but to a few latents, and `x` is what these read of the tokens by
cross-attention, with z_L + z_H as the query (latents_trm.py); with an `encoder`, what they read are its states
(encoder_trm.py). With `prompt_registers` the model knows its prompts (prompts_trm.py), and with `lexical_head` a second,
linear head scores without recursion (heads_trm.py); `passage_check` takes from the score what passages unlike the training
essays have added (passages_trm.py). With `traits` both heads score these, too (traits_trm.py). With `review_by` the model
says how far the score may be from a human one (confidence_trm.py). What is known of a batch of essays is worked out once a
forward pass (essays_trm.py); how one supervision step follows another, and the loss, are in supervision_trm.py.
"""

import os
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.dynamic_module_utils import custom_object_save
from transformers.masking_utils import create_bidirectional_mask
from transformers.utils import TransformersKwargs
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .confidence_trm import TRMErrorModel
from .configuration_trm import TRMConfig
from .encoder_trm import TRMPretrainedEncoder
from .essays_trm import EssayBatch, can_wait
from .heads_trm import LexicalInputs, TRMAuxiliaryHead, TRMLexicalHead
from .initialization_trm import start_weights
from .latents_trm import LatentInput, TokenInput, TRMLatentReader, count_positions
from .layers_trm import (
    TRMAttention,
    TRMEmbeddings,
    TRMHead,
    TRMLayer,
    TRMRotaryEmbedding,
)
from .outputs_trm import TRMEssayScoringOutput, TRMModelOutput
from .passages_trm import TRMPassageCheck
from .prompts_trm import TRMPromptBank

# Needed by configuration_trm: older Transformers (5.4, say) copy no file that this one does not name itself.
from .score_scale import ScoreRange  # noqa: F401
from .supervision_trm import (
    StepRecord,
    SupervisionStep,
    combine_heads,
    pool_states,
    supervision_loss,
    take_supervision_steps,
    takes_another_step,
)
from .traits_trm import TRMTraitHead

# Version 0.1 called these weights otherwise: patterns of its names, and today's.
FORMER_NAMES = {
    r"prompts\.head\.": "prompt_bank.score_weights.",
    r"prompts\.head_bias\.": "prompt_bank.score_biases.",
    r"reader\.encoder\.": "reader.mixer.",
    r"prompts\.(registers|signatures|score_means|score_stds|length_means|length_stds)": r"prompt_bank.\1",
}


class TRMPreTrainedModel(PreTrainedModel):
    """What both models share: how weights start, what is saved, and what they ask of Transformers."""

    config_class = TRMConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    # A plain mean over the batch: the Trainer itself must divide by the number of accumulation steps.
    accepts_loss_kwargs = False
    # Those that are entered by their forward pass alone, and do not hold the word embeddings: what FSDP shards apart.
    _no_split_modules = ["TRMLayer", "TRMLexicalHead", "TRMPassageCheck", "TRMTraitHead"]
    # A score's last digits are beyond bfloat16.
    _keep_in_fp32_modules_strict = [
        "prompt_bank",
        "lexical_head",
        "passage_check",
        "error_model",
        "auxiliary_head",
        "trait_head",
        "score_head",
        "halt_head",
    ]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    _can_record_outputs = {"hidden_states": TRMLayer, "attentions": TRMAttention}

    @classmethod
    def from_pretrained(cls, *args, key_mapping: dict[str, str] | None = None, **kwargs):
        """As `PreTrainedModel.from_pretrained`; weights saved by version 0.1 find their present names."""
        return super().from_pretrained(*args, key_mapping={**FORMER_NAMES, **(key_mapping or {})}, **kwargs)

    def save_pretrained(self, save_directory: str | os.PathLike, *args, **kwargs):
        """
        As `PreTrainedModel.save_pretrained`; the saved configuration names a class for `AutoModel` too, and weights are
        saved under their present names, whatever they were loaded from.
        """
        if self.base_model._auto_class is not None and self.base_model is not self:
            os.makedirs(save_directory, exist_ok=True)
            # Annotated as a dictionary, and used as a configuration.
            custom_object_save(self.base_model, save_directory, config=self.config)  # type: ignore[arg-type]
        kwargs.setdefault("save_original_format", False)
        super().save_pretrained(save_directory, *args, **kwargs)

    def post_init(self):
        """As `PreTrainedModel.post_init`; what FSDP shards apart are the modules that this model has: it refuses others."""
        super().post_init()
        there = {type(module).__name__ for module in self.modules()}
        self._no_split_modules = [name for name in self._no_split_modules if name in there]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        if isinstance(module, TRMModel):
            for state in (module.initial_z_H, module.initial_z_L):
                init.trunc_normal_(state, std=1.0, a=-2.0, b=2.0)
        else:
            start_weights(module, self.config)


class TRMModel(TRMPreTrainedModel):
    """The recursive network without heads. One call of `forward` is one supervision step."""

    initial_z_H: torch.Tensor
    initial_z_L: torch.Tensor

    def __init__(self, config: TRMConfig):
        super().__init__(config)
        # The words are the encoder's where there is one.
        self.encoder = None if config.encoder is None else TRMPretrainedEncoder(config)
        self.embeddings: Any = TRMEmbeddings(config) if config.encoder is None else None
        self.rotary_emb = TRMRotaryEmbedding(config)
        self.layers = nn.ModuleList([TRMLayer(config, i) for i in range(config.num_hidden_layers)])
        self.reader: Any = TRMLatentReader(config) if config.num_latents else None
        self.prompt_bank = TRMPromptBank(config) if config.prompt_registers else None
        # Drawn once and never trained, but saved: a checkpoint must go on from the states it was trained with.
        self.register_buffer("initial_z_H", torch.empty(config.hidden_size))
        self.register_buffer("initial_z_L", torch.empty(config.hidden_size))
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The word embeddings: the encoder's where there is one."""
        if self.encoder is not None:
            return self.encoder.transformer.get_input_embeddings()
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Module):
        """Replaces the word embeddings."""
        if self.encoder is not None:
            self.encoder.transformer.set_input_embeddings(value)
            self.config.encoder.vocab_size = value.num_embeddings
        else:
            self.embeddings.word_embeddings = value

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        carry: torch.Tensor | None = None,
        prompt_indices: torch.Tensor | None = None,
        text_features: torch.Tensor | None = None,
        encoder_states: torch.Tensor | None = None,
        essays: EssayBatch | None = None,
        **kwargs: Any,
    ) -> TRMModelOutput:
        """
        Takes one supervision step.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch, tokens)`): token ids, or give `inputs_embeds`.
            attention_mask (`torch.Tensor` of shape `(batch, tokens)`): 1 for tokens, 0 for padding (on either side).
            token_type_ids (`torch.LongTensor` of shape `(batch, tokens)`): 0 prompt, 1 essay.
            position_ids (`torch.LongTensor` of shape `(batch, tokens)`): by default tokens are counted without padding.
            inputs_embeds (`torch.FloatTensor` of shape `(batch, tokens, embedding_size)`): instead of the embeddings of
                `input_ids`.
            carry (`torch.Tensor` of shape `(batch, 2, tokens or latents, hidden_size)`): z_H and z_L of the step before;
                initial states if absent.
            prompt_indices (`torch.LongTensor` of shape `(batch,)`): with `prompt_registers`, the essays' prompts as
                places in `score_ranges`; recognized by their text if absent.
            text_features (`torch.FloatTensor` of shape `(batch, features)`): with `text_features` in the configuration,
                what is countable in the essays' texts, as [`text_features`] gives it.
            encoder_states (`torch.Tensor` of shape `(batch, pieces, encoder width)`): with an `encoder`, its states of the
                essays' word pieces, where they were computed before ([`TRMPretrainedEncoder`]); padded on the right.
            essays ([`EssayBatch`]): what [`prepare_essays`] made of all these, for a caller that takes several steps; the
                arguments above but for `carry` are not looked at then.

        Raises:
            ValueError: if there are no tokens or too many, or a prompt cannot be recognized; TypeError for an argument
                of another name.
        """
        _refuse_unknown(kwargs)
        if essays is None:
            essays = self.prepare_essays(
                input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, prompt_indices, text_features,
                encoder_states,
            )  # fmt: skip
        source = essays.source
        if carry is None:
            shape = (essays.batch_size, source.num_states, -1)
            z_H, z_L = (z.to(source.embeds.dtype).expand(*shape) for z in (self.initial_z_H, self.initial_z_L))
        else:
            z_H, z_L = carry.unbind(dim=1)
        z_H, z_L = self.deep_recursion(z_H, z_L, source, **kwargs)
        return TRMModelOutput(last_hidden_state=z_H, carry=torch.stack((z_H.detach(), z_L.detach()), dim=1))

    def deep_recursion(
        self, z_H: torch.Tensor, z_L: torch.Tensor, source: TokenInput | LatentInput, **kwargs
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        The recursion of one supervision step (arXiv 2510.04871, the functions `latent_recursion` and `deep_recursion` of
        its pseudocode, where z_H is called y and z_L z). Every state below is `(batch, states, hidden_size)`.
        """
        mask = create_bidirectional_mask(config=self.config, inputs_embeds=source.embeds, attention_mask=source.mask)
        positions = self.rotary_emb(source.position_ids)  # two of (batch or 1, 1, 1, states, head_dim)

        def net(states: torch.Tensor) -> torch.Tensor:
            for layer in self.layers:
                states = layer(states, attention_mask=mask, position_embeddings=positions, **kwargs)
            return states

        def h_cycle(z_H: torch.Tensor, z_L: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            for _ in range(self.config.L_cycles):
                states = z_L + z_H
                z_L = net(states + source.read(states))  # reason: the latent sees the answer and the text
            return net(z_H + z_L), z_L  # answer: from the latent alone

        num_with_gradient = min(self.config.num_gradient_cycles, self.config.H_cycles)
        with torch.no_grad():
            for _ in range(self.config.H_cycles - num_with_gradient):
                z_H, z_L = h_cycle(z_H, z_L)
        if torch.is_autocast_enabled(z_H.device.type):
            # Older PyTorch (2.6, say) goes on using the low-precision weights that were cast without gradient.
            torch.clear_autocast_cache()
        for _ in range(num_with_gradient):
            z_H, z_L = h_cycle(z_H, z_L)
        return z_H, z_L

    # ---- What the states read

    def prepare_essays(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        prompt_indices: torch.Tensor | None = None,
        text_features: torch.Tensor | None = None,
        encoder_states: torch.Tensor | None = None,
    ) -> EssayBatch:
        """
        Works out, once for all steps, what is known of essays and what their states read. Arguments are those of
        [`forward`].
        """
        essays = EssayBatch.from_tensors(input_ids, attention_mask, token_type_ids, inputs_embeds)
        self._check_essays(essays, prompt_indices)
        self._check_given(essays, text_features, encoder_states)
        if self.reader is not None and position_ids is not None:
            raise ValueError("`position_ids` are for a model whose states are its tokens'; this one has `num_latents`.")
        registers = None
        if self.prompt_bank is not None:
            known = self.recognize_prompts(essays) if prompt_indices is None else prompt_indices
            self.prompt_bank.standardize(essays, known, text_features)
            registers = self.prompt_bank.registers(known)
        if self.encoder is not None:
            if encoder_states is None:
                essays.encoded = self.encoder(essays)
            else:
                essays.encoded = self.encoder.given(encoder_states, essays)
            essays.source = self.reader.read_states(essays, registers)
        elif self.reader is not None:
            essays.source = self.reader.read_words(essays, self.embeddings, registers)
        else:
            embeds = self.embeddings(input_ids, token_type_ids, inputs_embeds)
            if position_ids is None:
                position_ids = count_positions(essays.attention_mask, embeds.shape[1], embeds.device)
            essays.source = TokenInput(embeds, essays.attention_mask, position_ids)
        return essays

    def _check_given(self, essays: EssayBatch, text_features: torch.Tensor | None, encoder_states: torch.Tensor | None):
        names = self.config.text_features or []
        expected = (essays.batch_size, len(names))
        if names and text_features is None:
            raise ValueError(
                "This model takes `text_features`, what is countable in the essays' texts: let `encode_for_model` or the "
                "pipeline `essay-scoring` prepare the essays."
            )
        if text_features is not None and (not names or text_features.shape != expected):
            raise ValueError(f"`text_features` must have the shape {expected}, and has {tuple(text_features.shape)}.")
        if self.encoder is None and encoder_states is not None:
            raise ValueError("`encoder_states` are for a model with an `encoder`, and this one has none.")
        if self.encoder is not None and essays.inputs_embeds is not None:
            raise ValueError("A model with an `encoder` takes `input_ids`, no `inputs_embeds`.")

    def _check_essays(self, essays: EssayBatch, prompt_indices: torch.Tensor | None):
        num_tokens = essays.is_essay.shape[1]
        if essays.input_ids is not None and essays.inputs_embeds is not None and not self.config.lexical_head:
            raise ValueError("Give exactly one of `input_ids` and `inputs_embeds`: only a lexical head needs both.")
        if num_tokens > self.config.max_position_embeddings:
            raise ValueError(
                f"The sequence has {num_tokens} tokens, more than `max_position_embeddings` "
                f"({self.config.max_position_embeddings}): truncate it, or raise that value and train with it."
            )
        if prompt_indices is None:
            return
        if self.prompt_bank is None:
            raise ValueError(
                "`prompt_indices` are for a model with `prompt_registers`; this one keeps no prompts apart."
            )
        if prompt_indices.shape != (essays.batch_size,):
            raise ValueError(
                f"`prompt_indices` must have the shape ({essays.batch_size},), one for each essay, and has "
                f"{tuple(prompt_indices.shape)}."
            )
        num_prompts = len(self.prompt_bank.prompt_ids)
        if can_wait(prompt_indices.device) and not ((prompt_indices >= 0) & (prompt_indices < num_prompts)).all():
            raise ValueError(f"`prompt_indices` must lie in 0 to {num_prompts - 1}, got {prompt_indices.tolist()}.")

    @torch.no_grad()
    def recognize_prompts(self, essays: EssayBatch) -> torch.Tensor:
        """
        The essays' prompts by their texts, as places in `score_ranges`: `(batch,)`. Needs `prompt_registers`.

        Raises:
            ValueError: where an essay comes without its prompt, with a text that is none of the prompts', or with one that
                two prompts have.
        """
        bank, tokens = self.prompt_bank, essays.inputs_embeds if essays.input_ids is None else essays.input_ids
        if bank is None or tokens is None:
            raise ValueError("A model without `prompt_registers` does not know its prompts.")
        is_prompt = essays.is_prompt
        if can_wait(tokens.device):
            # The essays, most of the tokens, need not be embedded.
            counts = bank.counts_for_signature(is_prompt).any(dim=0)
            width = int((counts * torch.arange(1, len(counts) + 1)).max())
            is_prompt, tokens = is_prompt[:, :width], tokens[:, :width]
        embedded = tokens if essays.input_ids is None else self.get_input_embeddings()(tokens)
        return bank.recognize(embedded, is_prompt)


class TRMForEssayScoring(TRMPreTrainedModel):
    """
    A [`TRMModel`] with a regression head (the score) and a halting head (is the score right yet?); where the configuration
    has `traits`, their scores are further outputs.
    """

    def __init__(self, config: TRMConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        num_outputs = 1 + len(config.traits or {})
        if config.num_labels != num_outputs:
            has = "one output" if num_outputs == 1 else "the score and its traits as outputs"
            raise ValueError(f"An essay scorer has {has}: `num_labels` must be {num_outputs}, got {config.num_labels}.")
        self.model = TRMModel(config)
        self.score_head = TRMHead(config.hidden_size, initial_bias=0.0 if config.prompt_registers else 0.5)
        # Published: halting starts improbable, so that training begins with all supervision steps.
        self.halt_head = TRMHead(config.hidden_size, initial_bias=-5.0)
        self.lexical_head = TRMLexicalHead(config) if config.lexical_head else None
        self.passage_check = TRMPassageCheck(config) if config.passage_check else None
        self.auxiliary_head = TRMAuxiliaryHead(config) if config.auxiliary_targets else None
        self.trait_head = TRMTraitHead(config) if config.traits else None
        self.error_model: TRMErrorModel | None = TRMErrorModel(config) if config.review_by else None
        self.post_init()

    def add_error_model(self, review_by: str) -> TRMErrorModel:
        """Gives a trained model an error model that is still to be fitted; `review_by` as in [`TRMConfig`]."""
        config: Any = self.config
        config.review_by = review_by
        added = TRMErrorModel(config).to(self.device)
        self._init_weights(added)
        self.error_model = added
        return added

    def resize_token_embeddings(self, *args, **kwargs) -> nn.Embedding:
        """As `PreTrainedModel.resize_token_embeddings`; the words of the linear parts follow."""
        embeddings = super().resize_token_embeddings(*args, **kwargs)
        if self.lexical_head is not None:
            self.lexical_head.resize(self.config.vocab_size)
        if self.passage_check is not None:
            self.passage_check.resize(self.config.vocab_size)
        if self.trait_head is not None:
            self.trait_head.resize(self.config.vocab_size)
        return embeddings

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        prompt_indices: torch.Tensor | None = None,
        text_features: torch.Tensor | None = None,
        encoder_states: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        score_spans: torch.Tensor | None = None,
        auxiliary_scores: torch.Tensor | None = None,
        carry: torch.Tensor | None = None,
        num_supervision_steps: int | None = None,
        **kwargs: Any,
    ) -> TRMEssayScoringOutput:
        """
        Takes the configured number of supervision steps; labels have no part in the prediction.

        Args:
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds: see [`TRMModel`]. With a lexical
                head, `inputs_embeds` replaces the embeddings alone, and `input_ids` must be given too.
            prompt_indices (`torch.LongTensor` of shape `(batch,)`): the essays' prompts, as places in
                `config.score_ranges`; recognized by their text if absent.
            text_features, encoder_states: see [`TRMModel`].
            labels (`torch.FloatTensor` of shape `(batch,)` or `(batch, 1)`): gold scores, scaled to 0-1 by prompt.
            score_spans (`torch.FloatTensor` of shape `(batch,)`): steps from lowest to highest score of each essay's prompt;
                only the halting head's loss uses it (see `halting_tolerance`).
            auxiliary_scores (`torch.FloatTensor` of shape `(batch, targets)`): the `auxiliary_targets` of the
                configuration, as raters gave them; NaN where there is none.
            carry (`torch.Tensor`): that of an earlier call on the same essays.
            num_supervision_steps (`int`): steps to take in this call; the configuration's number if absent.

        Raises:
            ValueError: see [`TRMModel`], and if fewer than one step is asked for; TypeError for an argument of another
                name.
        """
        _refuse_unknown(kwargs)
        num_steps = self.config.num_supervision_steps if num_supervision_steps is None else num_supervision_steps
        if num_steps < 1:
            raise ValueError(f"`num_supervision_steps` must be at least 1, got {num_steps}.")
        essays = self.model.prepare_essays(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, prompt_indices, text_features,
            encoder_states,
        )  # fmt: skip
        lexical_inputs = self._lexical_inputs(essays)
        lexical = self._lexical_scores(essays, lexical_inputs)
        may_leave = not self.training and (self.config.halt_at_inference or self.config.exit_tolerance is not None)
        steps = take_supervision_steps(
            partial(self._supervision_step, **kwargs),
            essays,
            carry,
            num_steps,
            partial(takes_another_step, self.config, lexical=lexical) if may_leave else None,
        )
        auxiliary = None
        if self.auxiliary_head is not None:
            auxiliary = self.auxiliary_head(steps.pooled, essays.prompt_indices)
        loss = None
        if labels is not None:
            unit = 1.0 if self.model.prompt_bank is None else self.model.prompt_bank.score_stds[essays.prompt_indices]
            loss = supervision_loss(
                self.config, steps.recursive_scores, steps.halt_logits, labels, score_spans, lexical, unit
            )
            if auxiliary_scores is not None:
                loss = loss + self._auxiliary_loss(auxiliary, auxiliary_scores, essays)
        step_logits = combine_heads(steps.recursive_scores, lexical, self.config.lexical_share)
        unlike_shares = penalty = None
        if self.passage_check is not None:
            unlike_shares = self.passage_check(essays)
            penalty = self.passage_check.penalty(unlike_shares, essays.prompt_indices)
            step_logits = step_logits - (self.model.prompt_bank.score_stds[essays.prompt_indices] * penalty)[:, None]
        logits = step_logits[:, -1:]
        if self.trait_head is not None:
            traits = self.trait_head(essays.prompt_indices, lexical_inputs, auxiliary, penalty)
            logits = torch.cat((logits, traits), dim=1)
        errors: dict[str, torch.Tensor] = {}
        if self.error_model is not None:
            errors = self._errors(self.error_model, steps, lexical, step_logits[:, -1], unlike_shares, essays)
        return TRMEssayScoringOutput(
            loss=loss,
            logits=logits,
            halt_logits=steps.halt_logits[:, -1],
            step_logits=step_logits,
            step_halt_logits=steps.halt_logits,
            auxiliary_logits=auxiliary,
            unlike_shares=unlike_shares,
            **errors,
            steps_used=steps.steps_used,
            carry=steps.carry,
            hidden_states=steps.last.hidden_states,
            attentions=steps.last.attentions,
        )

    # ---- What each step gives, and what becomes of it

    def _supervision_step(self, essays: EssayBatch, carry: torch.Tensor | None, **kwargs) -> SupervisionStep:
        outputs = self.model(essays=essays, carry=carry, **kwargs)
        pooled = pool_states(outputs.last_hidden_state, essays.source.mask, self.config.pooling)
        scores = self.score_head(pooled)
        bank = self.model.prompt_bank
        if bank is not None:
            scores = bank.to_unit_scale(
                scores + bank.score_offsets(pooled, essays.prompt_indices), essays.prompt_indices
            )
        return SupervisionStep(scores, self.halt_head(pooled), pooled, outputs)

    def _lexical_inputs(self, essays: EssayBatch) -> LexicalInputs | None:
        """What the lexical head reads of essays; None without such a head."""
        if self.lexical_head is None:
            return None
        if essays.input_ids is None:
            raise ValueError(
                "This model has a lexical head, which scores by words: pass `input_ids` beside `inputs_embeds`. Both are "
                "of the same tokens; the recursive part then takes the embeddings, the lexical head the words."
            )
        return self.lexical_head.inputs_of(essays)

    def _lexical_scores(self, essays: EssayBatch, inputs: LexicalInputs | None = None) -> torch.Tensor | None:
        """The lexical head's scores on the 0-1 scale, `(batch, 1)`; None without such a head."""
        if self.lexical_head is None:
            return None
        scores = self.lexical_head(essays, inputs)
        return self.model.prompt_bank.to_unit_scale(scores, essays.prompt_indices)[:, None]

    def _errors(
        self,
        error_model: TRMErrorModel,
        steps: StepRecord,
        lexical: torch.Tensor | None,
        scores: torch.Tensor,
        unlike_shares: torch.Tensor | None,
        essays: EssayBatch,
    ) -> dict[str, torch.Tensor]:
        """What the error model says of essays whose scores `(batch,)` are known (0-1 scale), by the output's names."""
        # As people see them.
        bank, scores = self.model.prompt_bank, scores.float().clamp(0, 1)
        with torch.no_grad(), torch.autocast(scores.device.type, enabled=False):
            heads = (steps.recursive_scores[:, -1], None if lexical is None else lexical[:, 0])
            features = error_model.features(scores, heads, steps.halt_logits[:, -1], unlike_shares, essays, bank)
            unit = bank.score_stds[essays.prompt_indices]
            predicted, intervals = error_model(features, scores, unit, essays.prompt_indices)
        return {"predicted_errors": predicted, "score_intervals": intervals, "error_features": features}

    def _auxiliary_loss(self, predicted: torch.Tensor | None, labels: torch.Tensor, essays: EssayBatch) -> torch.Tensor:
        if self.auxiliary_head is None or predicted is None:
            raise ValueError("`auxiliary_scores` are for a model with `auxiliary_targets`, and this one has none.")
        if labels.shape != predicted.shape:
            raise ValueError(
                f"`auxiliary_scores` must have the shape {tuple(predicted.shape)}, got {tuple(labels.shape)}."
            )
        loss = self.auxiliary_head.loss(predicted, labels, essays.prompt_indices)
        return self.config.auxiliary_loss_weight * loss


# What Transformers itself passes to a model, whatever the model.
PASSED_BY_TRANSFORMERS = {*TransformersKwargs.__annotations__, "use_cache", "return_dict"}


def _refuse_unknown(kwargs: dict[str, Any]):
    unknown = sorted(set(kwargs) - PASSED_BY_TRANSFORMERS)
    if unknown:
        raise TypeError(f"The model takes no argument {unknown[0]!r}. Is it misspelled?")


__all__ = ["TRMForEssayScoring", "TRMModel", "TRMPreTrainedModel"]
