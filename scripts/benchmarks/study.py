"""
A study of forms of recursion: each is trained on the same essays with the same parts about it, and measured on validation
essays or, once everything is chosen, on test essays, alone and together with the linear head.
"""

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase, get_cosine_schedule_with_warmup, set_seed

from trm_aes.data.dataset import EssayDataset
from trm_aes.errors import TrainingDivergedError
from trm_aes.evaluation.agreement import mean_qwk
from trm_aes.model.essay_tokens import EssayCollator
from trm_aes.model.modeling_trm import TRMForEssayScoring
from trm_aes.scoring.scorer import EssayScorer, batches_by_tokens
from trm_aes.training.arguments import RunArguments
from trm_aes.training.averaging import WeightAverage
from trm_aes.training.fit.lexical import fit_lexical_head
from trm_aes.training.recipe import TrainingPlan, resolve_plan
from trm_aes.training.run import Essays
from trm_aes.training.states import read_with_encoder
from trm_aes.training.untrained import Pretrained, build_model

from .designs import DESIGNS, Comparison, Design
from .protocol import calibrated_on_validation, split_with_scores

BATCH_SIZE = 16
SCORING_TOKENS = 16384


@dataclass
class Study:
    """
    A fold, read and ready.

    Args:
        plan: the recipe `default`, but for the parts that are not studied.
        essays: with the encoder's states of all splits that are looked at.
        model: untrained, but for its linear head.
        lexical: what that says of the essays of each split but `train`, `(essays,)`, 0-1.
        splits: `validation` and, where it is asked for, `test`.
    """

    plan: TrainingPlan
    essays: Essays
    model: TRMForEssayScoring
    lexical: dict[str, np.ndarray]
    splits: tuple[str, ...]

    @classmethod
    def prepare(cls, data: EssayDataset, with_test: bool) -> "Study":
        """Reads the essays of a data set with the encoder, and solves the linear head."""
        plan = resolve_plan(
            RunArguments(data=str(data.folder), recipe="default", hardware="cpu"),
            {"passage_check": False, "halting_loss_weight": 0.0},
            {"output_dir": "not written"},
        )
        tokenizer = data.load_tokenizer()
        set_seed(plan.training.seed)
        model = build_model(plan, data, tokenizer, Pretrained.find(plan))
        splits = ("validation", "test") if with_test else ("validation",)
        encoder: Any = model.model.encoder
        collate = EssayCollator(tokenizer)
        states = {
            name: read_with_encoder(encoder, data.splits[name], collate, torch.device("cpu"), f"Reading {name}")
            for name in ("train", *splits)
        }
        fit_lexical_head(model, data, states["train"])
        # Few states: plain products are several times faster than the fused kernel's backward pass.
        model.set_attn_implementation("eager")
        study = cls(plan, Essays(data, tokenizer, states), model, {}, splits)
        study.lexical = {name: study._score_lexically(name) for name in splits}
        return study

    @property
    def data(self) -> EssayDataset:
        return self.essays.data

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self.essays.tokenizer

    def design(self, name: str, seed: int) -> Design:
        """A design whose weights start from a seed, but for the encoder's and what is known of the prompts."""
        set_seed(seed)
        model = copy.deepcopy(self.model)
        started = TRMForEssayScoring(copy.deepcopy(model.config))
        fixed = ("encoder", "lexical_head")
        for (key, weight), (_, value) in zip(model.named_parameters(), started.named_parameters(), strict=True):
            if not any(part in key for part in fixed):
                weight.data.copy_(value.data)
        for state in ("initial_z_H", "initial_z_L"):
            getattr(model.model, state).copy_(getattr(started.model, state))
        model.lexical_head = None
        return DESIGNS[name](model, self.tokenizer)

    # ---- Essays

    def batches(self, split: str, order: list[list[int]]) -> Iterator[dict[str, torch.Tensor]]:
        """Batches of a split's essays, by their places in it; see [`Design.forward`]."""
        config = self.model.config
        rows = self.essays.rows(split, config)
        collate = EssayCollator.for_model(self.tokenizer, config)
        bank: Any = self.model.model.prompt_bank
        for places in order:
            batch = collate([rows[place] for place in places])
            prompts = batch["prompt_indices"]
            batch["standardized"] = (batch["labels"] - bank.score_means[prompts]) / bank.score_stds[prompts]
            batch["rows"] = torch.tensor(places) if split == "train" else torch.full((len(places),), -1)
            yield batch

    def by_length(self, split: str) -> list[list[int]]:
        """Batches for scoring, of like length."""
        return [
            list(batch)
            for batch in batches_by_tokens(list(map(len, self.data.splits[split]["input_ids"])), SCORING_TOKENS)
        ]

    def _score_lexically(self, split: str) -> np.ndarray:
        config: Any = self.model.config
        share, config.lexical_share = config.lexical_share, 1.0
        scorer = EssayScorer(self.model, self.tokenizer, "the linear head", "cpu")
        scores = scorer.score_tokens(scorer.rows(self.data.splits[split], self.essays.states[split])).normalized
        config.lexical_share = share
        return scores

    # ---- Training and scoring

    def train(self, design: Design, seed: int) -> tuple[dict[str, list[np.ndarray]], float]:
        """
        Trains a design, as the recipe `default` is trained, but that no epoch is chosen: one of more epochs would have more
        chances.

        Returns:
            Scores of each split, 0-1, after each step that has one; and the CPU seconds of training.

        Raises:
            TrainingDivergedError: where the loss is no longer finite.
        """
        num_batches = -(-len(self.data.splits["train"]) // BATCH_SIZE)
        optimizer, schedule = self._optimizer(design, num_batches * design.epochs * design.num_segments)
        average = WeightAverage(design, self.plan.training.ema_decay)
        rng = np.random.default_rng(seed)
        started = time.process_time()
        for epoch in range(design.epochs):
            batches = self.batches("train", self._random_order(num_batches, rng))
            for number, batch in enumerate(
                tqdm(batches, f"Epoch {epoch + 1}", num_batches, unit="batch", disable=None)
            ):
                if isinstance(design, Comparison) and number % design.refresh_every == 0:
                    self.refresh_references(design, seed)
                self._learn(design, batch, optimizer, schedule, average)
        seconds = time.process_time() - started
        average.copy_to_model()
        if isinstance(design, Comparison):
            self.refresh_references(design, seed)
        return {name: self.score(design, name, seed) for name in self.splits}, seconds

    def _optimizer(self, design: Design, num_steps: int):
        """AdamW over all but the encoder, and a cosine schedule after the warm-up, as the Trainer has them."""
        args = self.plan.training
        decayed, others = [], []
        for name, weight in design.named_parameters():
            weight.requires_grad_("encoder" not in name)
            if weight.requires_grad:
                (others if "bias" in name else decayed).append(weight)
        optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": args.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=args.learning_rate, betas=(args.adam_beta1, args.adam_beta2), fused=True,
        )  # fmt: skip
        return optimizer, get_cosine_schedule_with_warmup(optimizer, int(args.warmup_steps * num_steps), num_steps)

    def _random_order(self, num_batches: int, rng: np.random.Generator) -> list[list[int]]:
        """Places of the training essays in so many batches, drawn at random."""
        order = rng.permutation(len(self.data.splits["train"]))
        return [places.tolist() for places in np.array_split(order, num_batches)]

    def _learn(self, design: Design, batch: dict, optimizer, schedule, average: WeightAverage):
        """All segments of a batch, with an optimizer step for each."""
        design.train()
        carry = None
        for place in range(design.num_segments):
            segment = design(batch, carry, place)
            carry = segment.carry
            loss = self._loss(design, segment, batch)
            if not torch.isfinite(loss):
                raise TrainingDivergedError(f"The loss of {type(design).__name__} is {loss.item()}.")
            loss.backward()
            torch.nn.utils.clip_grad_norm_(design.parameters(), self.plan.training.max_grad_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            average.update()

    def _loss(self, design: Design, segment, batch: dict) -> torch.Tensor:
        loss = torch.as_tensor(segment.extra_loss)
        for scores in segment.scores:
            loss = loss + (scores - batch["standardized"]).square().mean() / len(segment.scores)
        head = design.model.auxiliary_head
        # Raters' scores are the finest of targets: a segment that learns a coarser one does not learn them.
        if head is not None and segment.scores:
            predicted = head(segment.pooled, batch["prompt_indices"])
            loss = loss + design.config.auxiliary_loss_weight * head.loss(
                predicted, batch["auxiliary_scores"], batch["prompt_indices"]
            )
        return loss

    @torch.no_grad()
    def score(self, design: Design, split: str, seed: int) -> list[np.ndarray]:
        """Scores of a split's essays, 0-1, after each step that has one."""
        design.eval()
        order = self.by_length(split)
        scores: list[np.ndarray] = []
        bank: Any = self.model.model.prompt_bank
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for places, batch in zip(order, self.batches(split, order), strict=True):
                carry, of_batch = None, []
                hidden = {name: values for name, values in batch.items() if name not in ("labels", "standardized")}
                for place in range(design.num_segments):
                    segment = design(hidden, carry, place)
                    carry = segment.carry
                    of_batch += segment.scores
                scores = scores or [np.zeros(len(self.data.splits[split])) for _ in of_batch]
                for values, of_step in zip(scores, of_batch, strict=True):
                    values[places] = bank.to_unit_scale(of_step, batch["prompt_indices"]).numpy()
        return scores

    @torch.no_grad()
    def refresh_references(self, design: Comparison, seed: int):
        """Lets a design read its reference essays anew, the same ones for a seed."""
        if design.rows is None:
            design.rows = torch.tensor(self.references(design.num_references, seed))
        was_training = design.training
        design.eval()
        design.states = None
        read = [(design(batch).pooled, batch["standardized"]) for batch in self.batches("train", design.rows.tolist())]
        pooled, scores = map(torch.stack, zip(*read, strict=True))
        design.set_references(pooled, scores)
        design.train(was_training)

    def references(self, number: int, seed: int) -> list[list[int]]:
        """Places of training essays, `number` a prompt: evenly spaced among the prompt's in the order of their scores."""
        frame = self.data.splits["train"].select_columns(["prompt_id", "score"]).to_pandas()
        rng = np.random.default_rng(seed)
        chosen = []
        for prompt_id in self.data.score_ranges:
            of_prompt = frame[frame["prompt_id"] == prompt_id]
            ordered = of_prompt.iloc[rng.permutation(len(of_prompt))].sort_values("score", kind="stable").index
            chosen.append(ordered[np.linspace(0, len(ordered) - 1, number).round().astype(int)].tolist())
        return chosen

    # ---- Measures

    def whole(self, scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Scores of the recursive part together with the linear head's, in the shares that the recipe gives them."""
        share = self.model.config.lexical_share
        return {name: (1 - share) * values + share * self.lexical[name] for name, values in scores.items()}

    def matched(self, scores: dict[str, np.ndarray], split: str) -> pd.DataFrame:
        """A split's essays with scores, whose scale is matched on validation."""
        frames = {name: split_with_scores(self.data, name, values) for name, values in scores.items()}
        return calibrated_on_validation({"validation": frames["validation"], "test": frames[split]})

    def mean_qwk(self, scores: dict[str, np.ndarray], split: str) -> float:
        """Mean QWK over prompts of scores whose scale is matched on validation."""
        frame = self.matched(scores, split)
        return mean_qwk(frame["prompt_id"], frame["score"], frame["predicted_score"], self.data.score_ranges)
