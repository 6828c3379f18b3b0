"""Speed, memory and arithmetic of scorers, ours beside pretrained encoders' shapes, in one run on one machine."""

import contextlib
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    ModernBertConfig,
    PreTrainedConfig,
)

from trm_aes.model.configuration_trm import TRMConfig
from trm_aes.model.modeling_trm import TRMForEssayScoring
from trm_aes.model.text_features_trm import FEATURE_NAMES
from trm_aes.presets import load_recipe, recipe_names
from trm_aes.scoring.scorer import batches_by_tokens

from .cost import first_prompt, forward_gflop
from .words import VOCABULARY, draw_words

# Essays and mean length in word pieces of ASAP's eight prompts; their lengths are about log-normal.
ASAP_COUNTS = (1783, 1800, 1726, 1772, 1805, 1800, 1569, 723)
ASAP_MEAN_TOKENS = (452, 459, 132, 114, 154, 195, 216, 752)
SPREAD = 0.4
PROMPT_TOKENS = 64
MAX_TOKENS = 1024
MEAN_TOKENS = 276
PLAIN = ":plain"

PEERS: dict[str, Callable[[], PreTrainedConfig]] = {
    "BERT-base": lambda: BertConfig(num_labels=1),
    "DistilBERT": lambda: DistilBertConfig(num_labels=1),
    "all-MiniLM-L6-v2": lambda: BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536, num_labels=1
    ),
    "ModernBERT-base": lambda: ModernBertConfig(num_labels=1),
}


@dataclass
class Measured:
    """Repeated measurements of one system: rates in essays a second by round, latencies in milliseconds."""

    score_rates: list[float] = field(default_factory=list)
    train_rates: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    mean_tokens: float = 0.0
    gflop: float = 0.0
    peak_mib: float = 0.0
    parameters: int = 0


def system_names() -> list[str]:
    """Our recipes, `published` also as it would be run plainly, and the peers."""
    return [*recipe_names(), f"published{PLAIN}", *PEERS]


def essay_lengths(num_essays: int) -> np.ndarray:
    """
    Lengths in word pieces with ASAP's mix, in random order: mean about 276, cut at 1,024 less room for a prompt. They are
    evenly spaced quantiles of many draws, so that few essays have the mix too.
    """
    random = np.random.default_rng(0)
    means = random.choice(ASAP_MEAN_TOKENS, 20_000, p=np.array(ASAP_COUNTS) / sum(ASAP_COUNTS))
    lengths = means * random.lognormal(-(SPREAD**2) / 2, SPREAD, len(means))
    chosen = np.quantile(lengths, (np.arange(num_essays) + 0.5) / num_essays)
    return random.permutation(chosen.round().clip(20, MAX_TOKENS - PROMPT_TOKENS).astype(int))


def build_system(name: str) -> nn.Module:
    """A model of the named shape with random weights, which are as fast as trained ones."""
    torch.manual_seed(0)
    if name in PEERS:
        return AutoModelForSequenceClassification.from_config(PEERS[name]()).eval()
    recipe = load_recipe(name.removesuffix(PLAIN))
    inputs: dict[str, Any] = {"text_features": list(FEATURE_NAMES)} if recipe.text_features else {}
    if recipe.encoder:
        # Recipes name all-MiniLM-L6-v2.
        encoder = PEERS["all-MiniLM-L6-v2"]()
        encoder.num_hidden_layers = recipe.encoder["layers"]
        inputs |= {"encoder": encoder, "num_convolutions": 0, "cls_token_id": 101, "sep_token_id": 102}
    else:
        inputs["embedding_size"] = 768
    config = TRMConfig(
        vocab_size=VOCABULARY,
        score_ranges={str(prompt): [0, 6] for prompt in range(1, 9)},
        max_prompt_tokens=PROMPT_TOKENS,
        **inputs,
        **recipe.model,
    )
    model = TRMForEssayScoring(config).eval()
    # As `trm-aes train` has it.
    if model.model.encoder is not None:
        model.model.encoder.requires_grad_(not recipe.encoder.get("freeze", True))
    else:
        model.get_input_embeddings().requires_grad_(not recipe.freeze_embeddings)
    if model.lexical_head is not None:
        model.lexical_head.requires_grad_(False)
    return model


class SpeedTest:
    """
    One system, ready to be measured again and again.

    Args:
        name: see [`system_names`].
        device: where.
        dtype: `float32`, or `bfloat16`: the whole model for scoring, autocast for training.
        lengths: of the essays. A peer that takes fewer tokens than an essay has reads its beginning; it gets no prompt.
        batch_tokens: of a batch when scoring, padding among them.
        train_batch_size: essays in a batch when training, drawn at random as in training.
    """

    def __init__(
        self,
        name: str,
        device: torch.device,
        dtype: torch.dtype,
        lengths: Sequence[int],
        batch_tokens: int,
        train_batch_size: int,
    ):
        self.name, self.device, self.dtype = name, device, dtype
        self.batch_tokens, self.train_batch_size = batch_tokens, train_batch_size
        self.is_ours = name not in PEERS
        self.is_plain = name.endswith(PLAIN)
        model = build_system(name)
        self.max_tokens = model.config.max_position_embeddings
        # The scorer leaves out the prompt's text where the model is told the prompt.
        reads_prompt = self.is_ours and not model.config.prompt_registers
        self.prompt_tokens = PROMPT_TOKENS if reads_prompt else 0
        self.lengths = [min(int(length), self.max_tokens - self.prompt_tokens) for length in lengths]
        self.model = model.to(device)
        self.scoring_model = self._as_scored(model)

    def _as_scored(self, model: nn.Module) -> nn.Module:
        if self.dtype == torch.float32 or self.is_plain:
            return model
        copy = build_system(self.name).to(self.device, self.dtype)
        # As `from_pretrained` would have it.
        for path, part in copy.named_modules():
            if path.rsplit(".", 1)[-1] in (copy._keep_in_fp32_modules_strict or ()):
                part.float()
        return copy

    def measure_gflop(self) -> float:
        """GFLOP to score an essay of the mean length, its prompt included where that is read."""
        return forward_gflop(self.model, MEAN_TOKENS + self.prompt_tokens)

    @torch.inference_mode()
    def score_rate(self, min_seconds: float) -> float:
        """Essays scored a second, in batches of like length unless plain; the essays are scored over until time is up."""
        batches = list(self._batches())
        started, num_scored = time.perf_counter(), 0
        while True:
            for batch in batches:
                self.scoring_model(**batch)
                num_scored += len(batch["input_ids"])
            self._finish()
            seconds = time.perf_counter() - started
            if seconds >= min_seconds:
                return num_scored / seconds

    @torch.inference_mode()
    def latencies(self, num_calls: int) -> list[float]:
        """Milliseconds to score one essay of the mean length, call by call."""
        batch = self._batch([min(MEAN_TOKENS, max(self.lengths))])
        times = []
        for _ in range(num_calls):
            started = time.perf_counter()
            self.scoring_model(**batch)
            self._finish()
            times.append(1000 * (time.perf_counter() - started))
        return times

    def train_rate(self, num_steps: int) -> float:
        """
        Essays a second of ordinary training: forward, backward and a fused AdamW step on random batches. A frozen encoder's
        states are there already, as in all epochs but for the first reading.
        """
        model = self.model.train()
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=1e-5, fused=True)
        random = np.random.default_rng(0)
        options = {"num_supervision_steps": 1} if self.is_ours else {}
        seconds = 0.0
        for step in range(num_steps + 1):
            lengths = list(random.choice(self.lengths, self.train_batch_size))
            batch = self._batch(lengths)
            if self.is_ours and model.config.encoder is not None:
                states = torch.randn(len(lengths), max(lengths), model.config.encoder.hidden_size, dtype=torch.float16)
                batch["encoder_states"] = states.to(self.device)
            started = time.perf_counter()
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
                loss = model(**batch, labels=torch.rand(self.train_batch_size, device=self.device), **options).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            self._finish()
            # The first step makes the optimizer's state, and warms up.
            seconds += time.perf_counter() - started if step else 0.0
        model.eval()
        return num_steps * self.train_batch_size / seconds

    def _batches(self) -> Iterator[dict[str, torch.Tensor]]:
        if self.is_plain:
            for start in range(0, len(self.lengths), 8):
                yield self._batch(self.lengths[start : start + 8])
            return
        for places in batches_by_tokens([length + self.prompt_tokens for length in self.lengths], self.batch_tokens):
            yield self._batch([self.lengths[place] for place in places])

    def _batch(self, lengths: Sequence[int]) -> dict[str, torch.Tensor]:
        places = torch.arange(max(lengths) + self.prompt_tokens)
        is_token = places < torch.tensor(lengths)[:, None] + self.prompt_tokens
        batch = {"input_ids": draw_words(*is_token.shape) * is_token}
        batch["attention_mask"] = is_token.long()
        if self.is_ours:
            batch["token_type_ids"] = (is_token & (places >= self.prompt_tokens)).long()
            batch |= first_prompt(self.model, len(lengths))
        return {name: tensor.to(self.device) for name, tensor in batch.items()}

    def _finish(self):
        if self.device.type != "cpu":
            torch.accelerator.synchronize()


def matmul_gflops(device: torch.device, dtype: torch.dtype, largest: int = 2048, rounds: int = 5) -> float:
    """
    The machine's rate for a large matrix product in GFLOP/s: the best of some rounds. A type that the machine only
    emulates is measured on a smaller product, the first that takes a tenth of a second.
    """
    size, seconds = 128, 0.0
    while size < largest and seconds < 0.1:
        size *= 2
        seconds = _product_seconds(size, device, dtype)
    return 2 * size**3 / min(_product_seconds(size, device, dtype) for _ in range(rounds)) / 1e9


def _product_seconds(size: int, device: torch.device, dtype: torch.dtype) -> float:
    left, right = (torch.rand(size, size, device=device, dtype=dtype) for _ in range(2))
    started = time.perf_counter()
    torch.mm(left, right)
    if device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter() - started


def peak_memory(test: dict) -> float:
    """
    MiB that a process of its own takes at most to load a system and score (on an accelerator: of the accelerator's memory).

    Args:
        test: arguments of [`SpeedTest`].
    """
    # Not multiprocessing's Pool, which waits for ever for a process that dies.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_peak_memory, test, torch.get_num_threads()).result()


def _peak_memory(test: dict, num_threads: int) -> float:
    torch.set_num_threads(num_threads)
    SpeedTest(**test).score_rate(0)
    if test["device"].type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return peak_resident(os.getpid())


def peak_resident(pid: int) -> float:
    """
    The most memory that a running process has held so far, in MiB; 0 if it has ended. (On Linux not `ru_maxrss`, which
    in a new process starts from what its parent held.)
    """
    if sys.platform == "linux":
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) / 2**10
        return 0.0
    who = resource.RUSAGE_SELF if pid == os.getpid() else resource.RUSAGE_CHILDREN
    # Bytes on a Mac.
    return resource.getrusage(who).ru_maxrss / 2**20


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Median, least and largest ratio of rates measured in the same rounds."""
    found = [a / b for a, b in zip(ours, theirs, strict=True)]
    return statistics.median(found), min(found), max(found)
