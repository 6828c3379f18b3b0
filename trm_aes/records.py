"""What a training run and an evaluation leave on record beside their other files: `run.json`, `evaluation.json`."""

import contextlib
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from .files import FolderKind, write_json
from .typed_json import read_record

RUN_RECORD_NAME = "run.json"
EVALUATION_NAME = "evaluation.json"
REPORT_NAME = "report.json"
EVALUATION = FolderKind.with_record("`trm-aes evaluate`", EVALUATION_NAME)
# An export to ONNX has a record of that name, too.
REPORT = FolderKind.with_record("`trm-aes report`", REPORT_NAME, "report.html")
# To be raised when a field is renamed or changes its meaning; one more field with a default needs no new number.
FORMAT_VERSION = 1
RECORDED_PACKAGES = (
    "trm-aes",
    "torch",
    "transformers",
    "accelerate",
    "datasets",
    "evaluate",
    "huggingface_hub",
    "safetensors",
    "tokenizers",
    "scikit-learn",
    "scipy",
    "statsmodels",
    "numpy",
)


def _holds(*keys: str) -> Any:
    """A field that is an object of which readers need certain keys, whatever else is in it."""
    return field(metadata={"keys": keys})


def _holds_each(*keys: str) -> Any:
    """A field that is an object of objects, of each of which readers need certain keys."""
    return field(metadata={"keys_of_each": keys})


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide a result, for the record beside it."""
    versions = {}
    for package in RECORDED_PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


@dataclass(frozen=True, kw_only=True)
class DataRecord:
    """
    The data set that a record is about, as its card describes it.

    Args:
        source: name of the source: a file, `Hub: …`, or the synthetic corpus.
        source_sha256: checksum of the source.
        corpus: name of a corpus that the package knows, or None.
        num_essays: `split -> number of essays`.
        options: what the data set was built with.
        tokenizer: `name` and `vocabulary_sha256`.
        token_limits: `max_tokens`, `max_prompt_tokens` and `drop_longer_than`, in word pieces.
        essays_sha256: checksum of the essays of its splits, which tells two draws of the same table apart; None in records of
            earlier versions.
    """

    source: str
    source_sha256: str
    corpus: str | None = None
    num_essays: dict[str, int] = _holds("train", "validation", "test")
    options: dict[str, Any] = field(default_factory=dict)
    tokenizer: dict[str, str] = field(default_factory=dict)
    token_limits: dict[str, int | None] = _holds("max_tokens")
    essays_sha256: str | None = None

    @classmethod
    def of_card(cls, card: dict[str, Any], essays_sha256: str | None) -> Self:
        """The part of a data set's card that belongs on record, and the checksum of its essays."""
        told = {item.name: card[item.name] for item in fields(cls) if item.name in card}
        return cls(**told, essays_sha256=essays_sha256)


@dataclass(frozen=True, kw_only=True)
class PretrainedRecord:
    """
    A pretrained encoder that a model started from.

    Args:
        name: name or folder of the encoder.
        hub_id: its id on the Hub, or None.
        commit: the commit on the Hub that was downloaded, or None.
    """

    name: str
    hub_id: str | None
    commit: str | None = None


@dataclass(frozen=True, kw_only=True)
class MachineRecord:
    """
    Where a model was trained.

    Args:
        platform: operating system and processor.
        device: of the first process, in PyTorch's words.
        processes: number of processes.
    """

    platform: str
    device: str
    processes: int


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """
    `run.json`: how a scorer was made, and what was measured on the way. It may be published, so it holds no token.

    Args:
        format_version: of the file. Files from before there was one count as version 1.
        command: the words of the command line.
        run: the choices that are neither the model's nor the Trainer's, resolved: data, recipe, hardware, embeddings.
        model: fields of `TRMConfig` that differ from its defaults.
        training: all fields of `TRMTrainingArguments`.
        seed: of the training.
        num_parameters, num_trained_parameters: of the model.
        data: the data set.
        embeddings: the encoder whose word embeddings the model started from; None if they were random, or it has an
            encoder of its own.
        encoder: the one whose states the model reads; None if it reads word embeddings.
        packages: `package -> version`.
        machine: where the model was trained.
        seconds: from the start to the end of the run.
        train_metrics, validation_metrics: `metric -> value`; the second are of the finished scorer.
        calibration, exit_rule: what was fitted to the validation essays when training ended (the first to training essays, too,
            where those are few); an exit rule that was left out is None.
        penalties: what the passage check takes from the score of an essay that is wholly unlike the training essays, by
            `topic` and by `order`, in standard deviations of a prompt's scores; None without such a check.
        error_model: how the essays are chosen that people should read, and how much better than by chance, see
            [`fit_error_model`]; None without an error model.
        best_checkpoint: name of the folder of the checkpoint that was kept, or None.
        history: the Trainer's log, entry by entry.
        adaptations: prompts that the scorer was told of after its training, one entry for each time: the scorer that it
            was before (`model`), the file of scored essays (`source`, `source_sha256`), `command`, and by prompt id what
            [`AdaptedPrompt`] has (`prompts`). All else is of the training.
    """

    format_version: int = FORMAT_VERSION
    command: list[str] = field(default_factory=list)
    run: dict[str, Any] = _holds("recipe")
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = _holds(
        "per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "learning_rate", "ema_decay",
        "bf16", "fp16",
    )  # fmt: skip
    seed: int
    num_parameters: int
    num_trained_parameters: int
    data: DataRecord
    embeddings: PretrainedRecord | None
    encoder: PretrainedRecord | None = None
    packages: dict[str, str] = _holds("trm-aes", "torch", "transformers")
    machine: MachineRecord
    seconds: float
    train_metrics: dict[str, Any] = field(default_factory=dict)
    validation_metrics: dict[str, Any]
    calibration: dict[str, Any] | None = None
    exit_rule: dict[str, Any] | None = None
    penalties: dict[str, float] | None = None
    error_model: dict[str, Any] | None = None
    best_checkpoint: str | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    adaptations: list[dict[str, Any]] = field(default_factory=list)

    @property
    def validation_qwk(self) -> float | None:
        """Mean QWK over prompts of the finished scorer on the validation split, from -1 to 1."""
        return self.validation_metrics.get("eval_mean_qwk")

    @property
    def batch_size(self) -> int:
        """Essays in an optimizer step, over all micro-batches and processes."""
        args = self.training
        return args["per_device_train_batch_size"] * args["gradient_accumulation_steps"] * self.machine.processes

    def write(self, folder: Path) -> None:
        """Writes the record into the folder of its scorer."""
        write_json(folder / RUN_RECORD_NAME, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """
        Reads the record of the scorer in a folder.

        Raises:
            InputError: if there is none, or the file is damaged, from a later version, or not such a record.
        """
        return read_record(cls, folder / RUN_RECORD_NAME, "trm-aes train", FORMAT_VERSION)


@dataclass(frozen=True, kw_only=True)
class RidgeRecord:
    """
    How well ridge regression on words agrees with human scores of the same essays, see [`MatchedRidge`].

    Args:
        qwk: `prompt_id -> QWK`; prompts without a ridge regression (too few training essays) are left out.
        mean_qwk, model_mean_qwk: plain means over these prompts, of the ridge regression and of the scorer.
        difference: mean QWK of the scorer less that of the ridge regression.
        low, high: ends of the difference's 95 % interval, see [`qwk_difference`].
    """

    qwk: dict[str, int | float]
    mean_qwk: float
    model_mean_qwk: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class TraitsRecord:
    """
    How well a scorer's traits agree with human scores, over the essays that have a human score of the trait.

    Args:
        by_trait: `trait -> prompt_id -> metric -> value`, see [`score_metrics`].
        mean_qwk_by_trait: `trait -> plain mean over its prompts`.
        mean_qwk: the plain mean of these over traits.
        mean_qwk_of_pairs: the plain mean over all pairs of trait and prompt.
    """

    by_trait: dict[str, dict[str, dict[str, Any]]]
    mean_qwk_by_trait: dict[str, float]
    mean_qwk: float
    mean_qwk_of_pairs: float


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """
    How often each value occurs among the essays of one prompt: what one administration is compared with another by.

    Args:
        prompt_id: the prompt.
        what: `predicted score` (rounded), `human score`, or `words`.
        values, counts: in ascending order; so many essays have each.
    """

    prompt_id: str
    what: str
    values: list[float]
    counts: list[int]


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord:
    """
    `evaluation.json`: how well a scorer agrees with human scores on one split of a data set.

    Args:
        format_version: of the file. Files from before there was one count as version 1.
        model: name of the scorer.
        commit: of the scorer on the Hub, where it was downloaded.
        split: name of the split.
        device: on which essays were scored.
        data: `source`, `source_sha256`, `options` and `essays_sha256` of the data set, as of [`DataRecord`].
        by_prompt: `prompt_id -> metric -> value`, see [`score_metrics`]; None for what is not defined.
        means: plain means over prompts, by `mean_<metric>`.
        constant_mean_qwk: of a predictor that gives every essay its prompt's mean training score; None without training
            essays.
        rater_qwk: `prompt_id -> QWK` of two human raters with each other, for prompts that have both.
        ridge: ridge regression on the words of the data set's training essays; None where there was none.
        traits: of the scorer's traits; None where it has none, or the essays have no scores of them.
        distributions: of scores and lengths, by prompt; empty in records of version 0.1.
        checksums: SHA-256 of what the figures come from, by which a later program knows them for current: the scorer's
            `weights_sha256`, `config_sha256` and `tokenizer_sha256`, `data_sha256` of the data set, and
            `predictions_sha256` of the file beside the record.
        created: date and time (UTC, ISO 8601).
        packages: `package -> version`.
    """

    format_version: int = FORMAT_VERSION
    model: str
    commit: str | None = None
    split: str
    device: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    by_prompt: dict[str, dict[str, Any]] = _holds_each("n", "qwk", "adjacent_agreement", "smd")
    means: dict[str, Any] = _holds("mean_qwk")
    constant_mean_qwk: int | float | None
    rater_qwk: dict[str, int | float] = field(default_factory=dict)
    ridge: RidgeRecord | None = None
    traits: TraitsRecord | None = None
    distributions: list[Distribution] = field(default_factory=list)
    checksums: dict[str, str] = field(default_factory=dict)
    created: str = ""
    packages: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Writes the record into the folder of the evaluation."""
        write_json(folder / EVALUATION_NAME, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """
        Reads the record of an evaluation in a folder.

        Raises:
            InputError: if there is none, or the file is damaged, from a later version, or not such a record.
        """
        return read_record(cls, folder / EVALUATION_NAME, "trm-aes evaluate", FORMAT_VERSION)
