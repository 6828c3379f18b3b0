"""A trained scorer at work: tokens in, scores on each prompt's own scale out."""

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import nn
from tqdm import tqdm
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from ..checkpoints import find_checkpoint, load_tokenizer, quietly, tokenizer_checksum
from ..checks import check_at_least_one
from ..data.cells import check_essay_text
from ..devices import choose_device
from ..errors import InputError, explained
from ..model.advisories_trm import MODEL_MEASURES, advisories_of
from ..model.confidence_trm import LEVELS
from ..model.essay_tokens import EncodedEssay, EssayCollator, encode_for_model, find_prompt_id
from ..model.modeling_trm import TRMForEssayScoring
from ..model.outputs_trm import TRMEssayScoringOutput
from ..model.pipeline_trm import EssayScoringPipeline
from ..model.score_scale import ScoreRange
from .explaining import Explanation, explain_essay
from .side_by_side import side_by_side
from .trajectory import TrajectoryPoint, trajectory_of

if TYPE_CHECKING:
    from datasets import Dataset

# Of the sizes tried, the fastest or near it on two CPU cores (docs/lab/performance.md); accelerators like more.
DEFAULT_BATCH_TOKENS = 8192
DTYPES = ("float32", "bfloat16")
# Ends of the prediction sets, by level.
SET_COLUMNS = (("score_low", "score_high"), ("score_low_95", "score_high_95"))


def input_columns(config: PreTrainedConfig) -> list[str]:
    """What a model of this configuration needs of a tokenized essay, or takes if it is there (`encoder_states`)."""
    columns = ["input_ids", "token_type_ids", "prompt_id"]
    if config.text_features:
        columns.append("text_features")
    if config.encoder is not None:
        columns.append("encoder_states")
    return columns


@dataclass(frozen=True)
class TraitScore:
    """
    What a scorer says of one trait of an essay, on the trait's scale in the essay's prompt.

    Args:
        score: not rounded.
        rounded_score: a score of the scale: 3, or 6.5.
    """

    score: float
    rounded_score: int | float


@dataclass(frozen=True)
class EssayScore:
    """
    What a scorer says of one essay, on the scale of the essay's prompt.

    Args:
        score: on the prompt's scale, not rounded; where scores are labels, their place in the list, the lowest being 1.
        rounded_score: a score of the prompt's scale, as people write it: 3, 6.5, or a label such as "B2".
        confidence: the halting head's probability (0-1) that `rounded_score` is the score a human would give.
        supervision_steps: supervision steps taken.
        was_cut: whether the essay was too long, so that its end was not read.
        predicted_error: expected distance of `rounded_score` from the score that a human would give, in points of the scale,
            or in steps from label to label; None for a scorer without an error model, as are the next two.
        score_low, score_high: ends of the set of scores that holds a human's with a probability of 0.9, as people write them.
        score_low_95, score_high_95: the same with a probability of 0.95.
        advisories: what a person should know of the essay before the score is used, such as "Too Brief"; see
            `ADVISORY_RULES`. Empty for scorers that were trained before there were any.
        traits: `trait -> score`, of the traits that the essay's prompt has.
    """

    score: float
    rounded_score: int | float | str
    confidence: float
    supervision_steps: int
    was_cut: bool = False
    predicted_error: float | None = None
    score_low: int | float | str | None = None
    score_high: int | float | str | None = None
    score_low_95: int | float | str | None = None
    score_high_95: int | float | str | None = None
    advisories: tuple[str, ...] = ()
    traits: Mapping[str, TraitScore] = field(default_factory=dict)

    @property
    def probability(self) -> float:
        """The former name of `confidence`, which goes with version 0.3."""
        warnings.warn("EssayScore.probability is now called confidence.", FutureWarning, stacklevel=2)
        return self.confidence


@dataclass(frozen=True)
class RawScores:
    """
    Outputs for a list of essays, in its order.

    Args:
        normalized, confidence: 0-1, `(essays,)`.
        supervision_steps: steps taken, `(essays,)`.
        predicted_errors: on the 0-1 scale, `(essays,)`; None for a scorer without an error model, as are the intervals.
        intervals: ends of what holds the human score at each of [`LEVELS`], 0-1, not clipped, `(essays, levels, 2)`.
        unlike_shares: of a model with a passage check, `(essays, 2)`; else None.
        traits: of a scorer with traits, 0-1, `(essays, traits)`, NaN where the prompt lacks the trait; else None.
    """

    normalized: np.ndarray
    confidence: np.ndarray
    supervision_steps: np.ndarray
    predicted_errors: np.ndarray | None = None
    intervals: np.ndarray | None = None
    unlike_shares: np.ndarray | None = None
    traits: np.ndarray | None = None

    @classmethod
    def to_be_filled(cls, num_essays: int, has_errors: bool, has_shares: bool = False, num_traits: int = 0) -> Self:
        """Room for the outputs of so many essays, see [`fill`]; with an error model, with a passage check, and of traits."""
        return cls(
            np.zeros(num_essays),
            np.zeros(num_essays),
            np.zeros(num_essays, dtype=np.int64),
            np.zeros(num_essays) if has_errors else None,
            np.zeros((num_essays, len(LEVELS), 2)) if has_errors else None,
            np.zeros((num_essays, len(MODEL_MEASURES))) if has_shares else None,
            np.full((num_essays, num_traits), np.nan) if num_traits else None,
        )

    def fill(self, indices: Sequence[int], outputs: Mapping[str, Any]):
        """Takes outputs of some of the essays, by the fields' names; None for what the model does not give."""
        for name, values in outputs.items():
            if values is not None:
                getattr(self, name)[indices] = values

    def trait_scores(
        self, index: int, prompt_id: str, trait_ranges: Mapping[str, Mapping[str, ScoreRange]]
    ) -> dict[str, TraitScore]:
        """The scores of an essay's traits, on their scales in its prompt; empty where it has none."""
        if self.traits is None:
            return {}
        found = {}
        for normalized, (trait, ranges) in zip(self.traits[index], trait_ranges.items(), strict=True):
            if prompt_id in ranges and np.isfinite(normalized):
                score = float(ranges[prompt_id].denormalize(normalized))
                found[trait] = TraitScore(score, ranges[prompt_id].shown(score))  # type: ignore[arg-type]
        return found

    def doubt(self, index: int, score_range: ScoreRange) -> dict[str, Any]:
        """What is said of how far an essay's score may be from a human one, by its names in [`EssayScore`]; may be empty."""
        if self.predicted_errors is None or self.intervals is None:
            return {}
        found: dict[str, Any] = {"predicted_error": float(self.predicted_errors[index]) * score_range.span}
        score = float(score_range.denormalize(self.normalized[index]))
        for (low, high), names in zip(self.intervals[index], SET_COLUMNS, strict=True):
            ends = score_range.ends(low, high, score)
            found |= {name: score_range.shown(end) for name, end in zip(names, ends, strict=True)}
        return found


class EssayScorer:
    """
    A model with its tokenizer, on a device.

    Example:

    ```python
    scorer = EssayScorer.from_pretrained("runs/quickstart/model")
    [result] = scorer.score(["My essay …"], ["phones"])
    print(result.rounded_score, result.confidence)
    ```
    """

    def __init__(
        self,
        model: TRMForEssayScoring,
        tokenizer: PreTrainedTokenizerBase,
        name: str,
        device: str | torch.device = "cpu",
        batch_tokens: int = DEFAULT_BATCH_TOKENS,
        commit: str | None = None,
    ):
        if not model.config.score_ranges:
            raise InputError(f"{name} has no score_ranges in its configuration: it cannot tell what its scores mean.")
        check_at_least_one(batch_tokens, "batch_tokens")
        self.model = model.to(device).eval()  # type: ignore[arg-type]
        self.tokenizer = tokenizer
        self.name = name
        self.device = torch.device(device)
        self.batch_tokens = batch_tokens
        # Of the Hub, where it came from there.
        self.commit = commit
        self.score_ranges = {
            prompt_id: ScoreRange.from_list(values) for prompt_id, values in model.config.score_ranges.items()
        }
        # `trait -> prompt_id -> scale`, for the prompts that have the trait.
        self.trait_ranges = {
            trait: {prompt_id: ScoreRange.from_list(values) for prompt_id, values in ranges.items()}
            for trait, ranges in (model.config.traits or {}).items()
        }
        self.input_columns = input_columns(model.config)
        self._collate = EssayCollator.for_model(tokenizer, model.config)

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        device: str | torch.device | None = None,
        batch_tokens: int = DEFAULT_BATCH_TOKENS,
        dtype: str = "float32",
        revision: str | None = None,
    ) -> "EssayScorer":
        """
        Loads a scorer from a folder, the Hub's cache or the Hub.

        Args:
            name_or_folder: what training wrote (the run's folder or any checkpoint in it), or an id on the Hub.
            device: `cpu`, `cuda` or `mps`; the best there is if not given.
            batch_tokens: tokens in a batch, padding among them (an essay that has more is a batch of its own); it changes
                no score by more than rounding does.
            dtype: `float32`, or `bfloat16`, which is faster where the hardware has it and moves scores a little. The
                heads compute in float32 either way.
            revision: commit, branch or tag on the Hub; the main branch if not given.

        Raises:
            InputError: if it cannot be had, is damaged or is no essay scorer, or the device is absent.
        """
        if dtype not in DTYPES:
            raise InputError(f"`dtype` {dtype}: there are {' and '.join(DTYPES)}.")
        checkpoint = find_checkpoint(str(name_or_folder), revision)
        name, folder = checkpoint.name, checkpoint.folder
        if not (folder / "config.json").is_file():
            raise InputError(f"{folder} holds no config.json: it is no model that `trm-aes train` wrote.")
        with explained(f"{name} cannot be loaded"), quietly():
            model, loading = TRMForEssayScoring.from_pretrained(
                folder, dtype=getattr(torch, dtype), output_loading_info=True, local_files_only=True, use_safetensors=True,
                trust_remote_code=False, ignore_mismatched_sizes=True,
            )  # fmt: skip
        missing = sorted(loading["missing_keys"])
        if missing:
            raise InputError(
                f"{name} is no whole essay scorer: {len(missing)} weights are missing, {missing[0]} first."
            )
        if loading["mismatched_keys"]:
            weight = sorted(loading["mismatched_keys"])[0][0]
            raise InputError(
                f"{name}: its weights do not fit its config.json, {weight} first. They do not belong together."
            )
        tokenizer = load_tokenizer(folder)
        if len(tokenizer) != model.config.vocab_size:
            raise InputError(
                f"{name}: the tokenizer has {len(tokenizer)} words and the model {model.config.vocab_size}. "
                "They do not belong together."
            )
        return cls(model, tokenizer, name, choose_device(device), batch_tokens, checkpoint.commit)

    def prompt_of(self, prompt_id: str | None, prompt_text: str | None, where: str) -> str:
        """
        The id of the prompt that an essay answers: the one named; else the one whose text is given; else the model's
        only prompt.

        Raises:
            InputError: if the model does not know the prompt, or none is named and it knows several. `where` names the
                essay's place.
        """
        try:
            return find_prompt_id(self.model.config, prompt_id, prompt_text)
        except ValueError as error:
            raise InputError(f"{where}: {error}") from None

    def encode(self, essays: Sequence[str], prompt_ids: Sequence[str]) -> list[EncodedEssay]:
        """Tokens of essays, cut as in training."""
        return encode_for_model(self.tokenizer, self.model.config, prompt_ids, essays)

    def score(self, essays: Sequence[str], prompt_ids: Sequence[str]) -> list[EssayScore]:
        """
        Scores essays, in their order.

        Args:
            essays: their texts.
            prompt_ids: the prompt that each answers; see [`prompt_of`].

        Raises:
            InputError: if an essay is empty or no text, or its prompt is none that the scorer knows.
        """
        if isinstance(essays, str) or len(essays) != len(prompt_ids):
            raise InputError("`score` takes a list of essays and a list of as many prompt ids.")
        for place, essay in enumerate(essays):
            check_essay_text(essay, f"essays[{place}]")
        prompt_ids = [self.prompt_of(prompt_id, None, f"essays[{i}]") for i, prompt_id in enumerate(prompt_ids)]
        return self.score_encoded(self.encode(essays, prompt_ids), prompt_ids)

    def explain(self, essay: str, prompt_id: str | None = None) -> Explanation:
        """
        What moved the score of an essay, sentence by sentence and word by word; see [`Explanation`].

        Args:
            essay: its text.
            prompt_id: the prompt that it answers; the model's only one if not given.

        Raises:
            InputError: if the essay is empty or no text, or its prompt is none that the scorer knows.
        """
        check_essay_text(essay, "`essay`")
        return explain_essay(self, essay, self.prompt_of(prompt_id, None, "`prompt_id`"))

    def trajectory(
        self, essay: str, prompt_id: str | None = None, num_steps: int | None = None
    ) -> list[TrajectoryPoint]:
        """
        The path of the recursion for an essay: the score and the confidence after each H cycle of each supervision step, in
        order.

        Args:
            essay: its text.
            prompt_id: the prompt that it answers; the model's only one if not given.
            num_steps: supervision steps, all of which are taken; if not given, as many as [`score`] takes for this essay, so
                that the last point is what it gives.

        Raises:
            InputError: as [`explain`], and if `num_steps` is below 1.
        """
        check_essay_text(essay, "`essay`")
        if num_steps is not None:
            check_at_least_one(num_steps, "num_steps")
        return trajectory_of(self, essay, self.prompt_of(prompt_id, None, "`prompt_id`"), num_steps)

    def score_encoded(self, encoded: Sequence[EncodedEssay], prompt_ids: Sequence[str]) -> list[EssayScore]:
        """Scores what [`encode`] made of essays, in their order."""
        raw = self.score_tokens(tokenized_rows(encoded, prompt_ids))
        advisories = self.advisories([essay.text_measures for essay in encoded], raw, prompt_ids)
        results = []
        for index, prompt_id in enumerate(prompt_ids):
            score_range = self.score_ranges[prompt_id]
            score = float(score_range.denormalize(raw.normalized[index]))
            results.append(
                EssayScore(
                    score=score,
                    rounded_score=score_range.shown(score),
                    confidence=float(raw.confidence[index]),
                    supervision_steps=int(raw.supervision_steps[index]),
                    was_cut=encoded[index].essay_tokens_cut > 0,
                    **raw.doubt(index, score_range),
                    advisories=advisories[index],
                    traits=raw.trait_scores(index, prompt_id, self.trait_ranges),
                )
            )
        return results

    def advisories(
        self, measures: Sequence[dict[str, float] | None], raw: RawScores, prompt_ids: Sequence[str]
    ) -> list[tuple[str, ...]]:
        """
        The advisories of essays, in their order.

        Args:
            measures: of their texts, as [`measure_texts`] gives them; None for a scorer without advisories.
            raw: their scores.
            prompt_ids: the prompts that they answer.
        """
        shares: Sequence[Sequence[float] | None] = [None] * len(prompt_ids)
        if raw.unlike_shares is not None:
            shares = raw.unlike_shares.tolist()
        return [
            () if of_text is None else advisories_of(self.model.config, prompt_id, of_text, of_model)
            for of_text, of_model, prompt_id in zip(measures, shares, prompt_ids, strict=True)
        ]

    def rows(self, split: "Dataset", states: Sequence[np.ndarray] | None = None) -> list[dict]:
        """
        What the scorer needs of the essays of a data set's split, to be given to [`score_tokens`].

        Args:
            split: tokenized essays.
            states: the encoder's states of them, where they were computed before.
        """
        rows = split.select_columns([name for name in self.input_columns if name in split.column_names]).to_list()
        if states is None:
            return rows
        return [{**row, "encoder_states": of_essay} for row, of_essay in zip(rows, states, strict=True)]

    def score_tokens(self, rows: Sequence[dict], progress: tqdm | None = None) -> RawScores:
        """
        Scores tokenized essays.

        Args:
            rows: each with what [`input_columns`] names: `prompt_id` is the prompt that the essay answers, one that the
                scorer knows. Other entries are ignored.
            progress: a bar that is told how many essays are done.

        Raises:
            InputError: if a score is not a finite number: the weights are damaged.
        """
        has_errors, has_shares = self.model.error_model is not None, self.model.passage_check is not None
        raw = RawScores.to_be_filled(len(rows), has_errors, has_shares, len(self.trait_ranges))
        for indices, outputs in self.outputs(rows):
            found = {
                "normalized": outputs.logits[:, 0],
                "confidence": outputs.halt_logits.float().sigmoid(),
                "supervision_steps": outputs.steps_used,
                "predicted_errors": outputs.predicted_errors,
                "intervals": outputs.score_intervals,
                "unlike_shares": outputs.unlike_shares,
                "traits": outputs.logits[:, 1:] if self.trait_ranges else None,
            }
            arrays = {name: None if value is None else value.float().cpu().numpy() for name, value in found.items()}
            raw.fill(indices, arrays)
            if progress is not None:
                progress.update(len(indices))
        if not (
            np.isfinite(raw.normalized).all() and np.isfinite(raw.confidence).all() and self._has_traits(raw, rows)
        ):
            raise InputError(
                f"{self.name} gives scores that are not finite numbers: its weights are damaged. Train it again, or take "
                "another copy."
            )
        return raw

    def _has_traits(self, raw: RawScores, rows: Sequence[dict]) -> bool:
        """Whether each essay has a finite score of every trait of its prompt."""
        return raw.traits is None or all(
            np.isfinite(scores[column])
            for row, scores in zip(rows, raw.traits, strict=True)
            for column, ranges in enumerate(self.trait_ranges.values())
            if row["prompt_id"] in ranges
        )

    def score_steps(self, rows: Sequence[dict], num_steps: int) -> tuple[np.ndarray, np.ndarray]:
        """
        Normalized scores and halting probabilities (0-1) of tokenized essays after each of `num_steps` supervision
        steps, both `(essays, num_steps)`; where essays may halt, one that has repeats its last values.
        """
        scores, halts = np.zeros((len(rows), num_steps)), np.zeros((len(rows), num_steps))
        for indices, outputs in self.outputs(rows, num_supervision_steps=num_steps):
            scores[indices] = outputs.step_logits.float().cpu().numpy()
            halts[indices] = outputs.step_halt_logits.float().sigmoid().cpu().numpy()
        return scores, halts

    def outputs(self, rows: Sequence[dict], **options) -> Iterator[tuple[list[int], TRMEssayScoringOutput]]:
        """
        Outputs of batches of essays of like length, with the essays' places in `rows`; on a CPU several batches at once, in
        threads of their own (see [`side_by_side`]).
        """
        if self.model.config.prompt_registers:
            # The model is told its prompts, and reads no text of theirs: without that, batches have no padding for it.
            rows = [_without_prompt(row) for row in rows]

        @torch.inference_mode()
        def outputs_of(batch: tuple[list[int], dict[str, torch.Tensor]]) -> tuple[list[int], TRMEssayScoringOutput]:
            indices, inputs = batch
            return indices, self.model(**{name: tensor.to(self.device) for name, tensor in inputs.items()}, **options)

        batches = self.batches(rows)
        yield from side_by_side(outputs_of, batches) if self.device.type == "cpu" else map(outputs_of, batches)

    def batches(self, rows: Sequence[dict]) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
        """The model's inputs for tokenized essays, with the essays' places in `rows`; see [`batches_by_tokens`]."""
        for indices in batches_by_tokens([len(row["input_ids"]) for row in rows], self.batch_tokens):
            inputs = [{name: rows[i][name] for name in self.input_columns if name in rows[i]} for i in indices]
            yield indices, self._collate(inputs)

    def checksums(self) -> dict[str, str]:
        """
        SHA-256 of all that decides a score beside the essay: the weights, the configuration and the tokenizer's files. They
        are equal for scorers that score alike.
        """
        # Where the model was loaded from changes no score.
        config = json.dumps(without_origin(self.model.config.to_dict()), sort_keys=True, default=str)
        return {
            "weights_sha256": weights_checksum(self.model),
            "config_sha256": hashlib.sha256(config.encode()).hexdigest(),
            "tokenizer_sha256": tokenizer_checksum(self.tokenizer),
        }

    def save_pretrained(self, folder: str | Path):
        """Writes model and tokenizer, and the code of both for where this package is absent."""
        # Without a device the pipeline would take the model to the first GPU.
        EssayScoringPipeline(model=self.model, tokenizer=self.tokenizer, device=self.device).save_pretrained(folder)


def without_origin(configuration: dict[str, Any]) -> dict[str, Any]:
    """A configuration without the folders that it, or a configuration within it, was read from."""
    return {
        name: without_origin(value) if isinstance(value, dict) else value
        for name, value in configuration.items()
        if name != "_name_or_path"
    }


def tokenized_rows(encoded: Sequence[EncodedEssay], prompt_ids: Sequence[str]) -> list[dict]:
    """Rows as a data set has them (see [`input_columns`]) of tokenized essays and the prompts that they answer."""
    return [
        {
            "input_ids": essay.input_ids,
            "token_type_ids": essay.token_type_ids,
            "text_features": essay.text_features,
            "prompt_id": prompt_id,
        }
        for essay, prompt_id in zip(encoded, prompt_ids, strict=True)
    ]


def _without_prompt(row: dict) -> dict:
    """A tokenized essay without the prompt before it."""
    start = row["token_type_ids"].index(1)
    return {**row, **{name: row[name][start:] for name in ("input_ids", "token_type_ids")}}


def weights_checksum(module: nn.Module) -> str:
    """SHA-256 of a module's weights and their names."""
    digest = hashlib.sha256()
    for name, weights in module.state_dict().items():
        digest.update(name.encode())
        digest.update(weights.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


def batches_by_tokens(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """
    Places of essays in batches of like length and of at most `batch_tokens` tokens, padding among them (an essay that has
    more is a batch of its own). The longest come first: little padding, and too little memory shows at once.
    """
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // lengths[order[start]])
        yield order[start : start + size]
        start += size
