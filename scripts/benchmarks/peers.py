"""
Scorers to compare with: length alone, ridge regressions, gradient boosting, a blend of these, and a fine-tuned pretrained
encoder.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, hstack
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler
from torch.utils.data import SequentialSampler
from transformers import AutoModelForSequenceClassification, Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from trm_aes.checkpoints import Checkpoint, load_tokenizer
from trm_aes.data.scales import SCALE_COLUMNS
from trm_aes.data.schema import score_ranges
from trm_aes.evaluation.agreement import build_compute_metrics, score_metrics
from trm_aes.evaluation.length import fit_length, scores_by_length
from trm_aes.evaluation.ridge import MatchedRidge, word_features
from trm_aes.model.essay_tokens import EssayCollator, encode_essays
from trm_aes.model.score_scale import denormalize_by_prompt

from .blend import blend
from .protocol import Predictions, PromptEssays

RIDGE_ALPHAS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
SURFACE_SCALE = 0.1
BOOSTING_RATES = (0.03, 0.1)
ENCODER_TOKENS = 512


def surface_features(essays: pd.Series) -> np.ndarray:
    """
    Fourteen counts of an essay, `(essays, 14)`: characters, words, their square root, distinct words, long words (over
    six letters), mean word length, sentences, words a sentence, paragraphs, commas, quotes, question and exclamation
    marks, digits, and capital letters.
    """
    return np.array([_features(essay) for essay in essays], dtype=float)


def _features(essay: str) -> list[float]:
    words = re.findall(r"[A-Za-z']+", essay)
    sentences = max(1, len(re.findall(r"[.!?]+", essay)))
    return [
        len(essay),
        len(words),
        len(words) ** 0.5,
        len({word.lower() for word in words}),
        sum(len(word) > 6 for word in words),
        sum(map(len, words)) / max(1, len(words)),
        sentences,
        len(words) / sentences,
        essay.count("\n") + 1,
        essay.count(","),
        essay.count('"'),
        essay.count("?") + essay.count("!"),
        sum(letter.isdigit() for letter in essay),
        sum(letter.isupper() for letter in essay),
    ]


def length_alone(essays: PromptEssays, seed: int) -> Predictions:
    """Least squares on the number of words and its logarithm."""
    model = fit_length(essays.train)
    return {name: scores_by_length(model, frame["essay"]) for name, frame in essays.others.items()}


def tfidf_ridge(essays: PromptEssays, seed: int) -> Predictions:
    """TF-IDF of one- and two-grams with the surface features, into a ridge regression whose penalty dev chooses."""
    tfidf = TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True)
    scaler = StandardScaler()

    def inputs(texts: pd.Series, words) -> csr_matrix:
        # The rows of TF-IDF have length 1: features of like size, so that one penalty serves both.
        return hstack([words, csr_matrix(scaler.transform(surface_features(texts)) * SURFACE_SCALE)])

    train = essays.train
    words = tfidf.fit_transform(train["essay"])
    scaler.fit(surface_features(train["essay"]))
    of_train = inputs(train["essay"], words)
    transformed = {
        name: inputs(frame["essay"], tfidf.transform(frame["essay"])) for name, frame in essays.others.items()
    }
    models = [Ridge(alpha=alpha).fit(of_train, train["score"]) for alpha in RIDGE_ALPHAS]
    return _best_on_validation(models, transformed, essays)


def gradient_boosting(essays: PromptEssays, seed: int) -> Predictions:
    """Gradient-boosted trees on the surface features alone; dev chooses the learning rate."""
    inputs = surface_features(essays.train["essay"])
    transformed = {name: surface_features(frame["essay"]) for name, frame in essays.others.items()}
    models = [
        HistGradientBoostingRegressor(learning_rate=rate, max_iter=200, max_leaf_nodes=8, random_state=seed).fit(
            inputs, essays.train["score"]
        )
        for rate in BOOSTING_RATES
    ]
    return _best_on_validation(models, transformed, essays)


def _best_on_validation(models, inputs: dict, essays: PromptEssays) -> Predictions:
    gold = essays.others["validation"]["score"]

    def validation_qwk(model) -> float:
        return score_metrics(gold, model.predict(inputs["validation"]), essays.score_range)["qwk"]

    best = max(models, key=validation_qwk)
    return {name: best.predict(features) for name, features in inputs.items()}


def cased_ridge(essays: PromptEssays, seed: int) -> Predictions:
    """The ridge regression that `trm-aes evaluate` sets beside a model, its scale matched on dev."""
    ridge = MatchedRidge.fit(word_features(), essays.train, essays.others["validation"])
    return {name: ridge.predict(frame["essay"]) for name, frame in essays.others.items()}


# Peers with a model for each prompt, from the essays' text.
PROMPT_PEERS: dict[str, Callable[[PromptEssays, int], Predictions]] = {
    "length": length_alone,
    "ridge": tfidf_ridge,
    "boosting": gradient_boosting,
    "cased-ridge": cased_ridge,
    "blend": blend,
}
# One model for all prompts: the checkpoint's whole pretrained encoder, fine-tuned.
ENCODER_PEER = "encoder"
PEERS = (*PROMPT_PEERS, ENCODER_PEER)


def predict_by_prompt(
    peer: str, frames: dict[str, pd.DataFrame], checkpoint: Checkpoint, seed: int
) -> dict[str, pd.DataFrame]:
    """
    Trains a peer on each prompt's training essays.

    Args:
        peer: one of `PROMPT_PEERS`.
        frames: `train`, `validation` and `test`.
        checkpoint: whose vocabulary tells rare words.
        seed: of what is drawn.

    Returns:
        `validation` and `test`, with the predictions in a column `predicted_score`.
    """
    ranges = score_ranges(frames["train"])
    vocabulary = load_tokenizer(checkpoint).get_vocab()
    parts: dict[str, list[pd.DataFrame]] = {"validation": [], "test": []}
    for prompt_id, score_range in ranges.items():
        of_prompt = {name: frame[frame["prompt_id"] == prompt_id] for name, frame in frames.items()}
        others = {name: of_prompt[name] for name in parts}
        predictions = PROMPT_PEERS[peer](PromptEssays(of_prompt["train"], others, score_range, vocabulary), seed)
        for name, frame in others.items():
            parts[name].append(frame.assign(predicted_score=predictions[name]))
    return {name: pd.concat(frames_of_split) for name, frames_of_split in parts.items()}


class _InOrder(Trainer):
    """Essays to be scored stay in their order, by which predictions find them; `group_by_length` would reorder these, too."""

    def _get_eval_sampler(self, eval_dataset) -> SequentialSampler:
        return SequentialSampler(eval_dataset)


def predict_with_encoder(
    checkpoint: Checkpoint, frames: dict[str, pd.DataFrame], seed: int, work_dir: Path, use_cpu: bool, epochs: int = 3
) -> dict[str, pd.DataFrame]:
    """
    Fine-tunes a pretrained encoder as a regressor on all prompts together, with the stock Trainer; dev chooses the epoch.
    Called again with the same `work_dir`, it goes on after the last whole epoch.

    Args:
        checkpoint: the encoder, with its pretrained weights.
        frames: `train`, `validation` and `test`.
        seed: of the new head and the order of batches.
        work_dir: for its checkpoints.
        use_cpu: whether to stay off the GPU.
        epochs: how many.
    """
    tokenizer = load_tokenizer(checkpoint, ENCODER_TOKENS)
    ranges = score_ranges(frames["train"])
    columns = ["score", *(name for name in SCALE_COLUMNS if name in frames["train"])]

    def rows(frame: pd.DataFrame) -> list[dict]:
        encoded = encode_essays(tokenizer, list(frame["prompt"]), list(frame["essay"]), ENCODER_TOKENS, 64)
        numbers = frame[columns].to_dict("records")
        return [{**vars(essay), **number} for essay, number in zip(encoded, numbers, strict=True)]

    pad = EssayCollator(tokenizer)

    def collate(batch: list[dict]) -> dict:
        tensors = pad(batch)
        tensors.pop("score_spans")
        return tensors

    # Without dropout in attention a CPU has a fused kernel for it, and an epoch takes half the time.
    model = AutoModelForSequenceClassification.from_pretrained(
        checkpoint.folder,
        num_labels=1,
        problem_type="regression",
        attention_probs_dropout_prob=0.0,
        local_files_only=True,
    )
    args = TrainingArguments(
        output_dir=str(work_dir), per_device_train_batch_size=16, per_device_eval_batch_size=64, learning_rate=5e-5,
        num_train_epochs=epochs, warmup_steps=0.1, weight_decay=0.01, eval_strategy="epoch", save_strategy="epoch",
        save_total_limit=1, load_best_model_at_end=True, metric_for_best_model="mean_qwk", greater_is_better=True,
        remove_unused_columns=False, seed=seed, use_cpu=use_cpu, report_to="none",
        train_sampling_strategy="group_by_length",
    )  # fmt: skip
    trainer = _InOrder(
        model,
        args,
        train_dataset=rows(frames["train"]),
        eval_dataset=rows(frames["validation"]),
        data_collator=collate,
        compute_metrics=build_compute_metrics(list(frames["validation"]["prompt_id"]), ranges),
    )
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(work_dir)) if work_dir.is_dir() else None)
    # They are of the validation essays.
    trainer.compute_metrics = None
    results = {}
    for name in ("validation", "test"):
        normalized = trainer.predict(rows(frames[name])).predictions.reshape(-1)
        predicted = denormalize_by_prompt(normalized, frames[name]["prompt_id"], ranges)
        results[name] = frames[name].assign(predicted_score=predicted)
    return results
