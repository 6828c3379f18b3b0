"""What several tests share: small models and batches, options of a small run, programs run without the package."""

import json
import math
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from trm_aes import TRMConfig, TRMForEssayScoring
from trm_aes.data.folder import CARD_NAME, file_checksums
from trm_aes.files import read_json, write_json
from trm_aes.scoring.scorer import EssayScorer
from trm_aes.training.arguments import RunArguments
from trm_aes.training.fit.lexical import fit_lexical_head
from trm_aes.training.recipe import resolve_plan
from trm_aes.training.untrained import Pretrained, build_model

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
# The files of code that a model's `save_pretrained` writes.
MODEL_CODE = [
    "confidence_trm.py", "configuration_trm.py", "encoder_trm.py", "essays_trm.py", "heads_trm.py",
    "initialization_trm.py", "latents_trm.py", "layers_trm.py", "modeling_trm.py", "outputs_trm.py", "passages_trm.py",
    "prompts_trm.py", "score_scale.py", "supervision_trm.py", "traits_trm.py",
]  # fmt: skip
# Small enough to train in seconds.
SMALL_MODEL = [
    "--hidden_size", "32", "--num_attention_heads", "2", "--intermediate_size", "48", "--learning_rate", "3e-3",
]  # fmt: skip


def small_config(**changes) -> TRMConfig:
    """A model of a few thousand weights, without dropout."""
    settings = {
        "vocab_size": 60,
        "hidden_size": 16,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 32,
        "H_cycles": 2,
        "L_cycles": 2,
        "num_supervision_steps": 2,
        "hidden_dropout_prob": 0.0,
        "embedding_dropout_prob": 0.0,
        "residual_initialization": "lecun",
    }
    return TRMConfig(**{**settings, **changes})


def small_model(seed: int = 0, **changes) -> TRMForEssayScoring:
    torch.manual_seed(seed)
    return TRMForEssayScoring(small_config(**changes))


# Of the prompts that `registered_model` knows.
PROMPT_TOKENS = ([5, 6, 7], [8, 9])


def essay_batch(lengths, seed=1, vocab_size=60):
    """Random essays of the given lengths after one prompt and the other, padded on the right."""
    generator = torch.Generator().manual_seed(seed)
    longest = max(lengths)
    input_ids = torch.zeros(len(lengths), longest, dtype=torch.long)
    attention_mask = torch.zeros_like(input_ids)
    token_type_ids = torch.zeros_like(input_ids)
    for row, length in enumerate(lengths):
        input_ids[row, :length] = torch.randint(1, vocab_size, (length,), generator=generator)
        prompt = PROMPT_TOKENS[row % 2]
        input_ids[row, : len(prompt)] = torch.tensor(prompt)
        attention_mask[row, :length] = 1
        token_type_ids[row, len(prompt) : length] = 1
    return {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}


REGISTERED = {
    "num_latents": 3,
    "embedding_size": 8,
    "prompt_registers": True,
    "lexical_head": True,
    "score_ranges": {"1": [2, 12], "2": [0, 4]},
    "max_prompt_tokens": 4,
}


def registered_model(known=2, **changes):
    """A model that knows two prompts, those of `PROMPT_TOKENS`, or the first alone."""
    model = small_model(**{**REGISTERED, **changes}).eval()
    words = model.get_input_embeddings().weight.detach()
    model.model.prompt_bank.set_statistics(
        signatures=torch.stack([words[tokens].mean(0) for tokens in PROMPT_TOKENS[:known]]),
        score_means=torch.tensor([0.6, 0.3])[:known],
        score_stds=torch.tensor([0.1, 0.2])[:known],
        length_means=torch.tensor([math.log(4 / 256), math.log(8 / 256)])[:known],
        length_stds=torch.tensor([0.5, 0.5])[:known],
    )
    torch.manual_seed(3)
    heads = [model.model.prompt_bank.score_weights]
    if model.lexical_head is not None:
        heads += [model.lexical_head.words, model.lexical_head.counts]
    for weights in heads:
        nn.init.normal_(weights.weight, std=0.1)
    return model


# Windows of six word pieces.
SMALL_ENCODER = {
    "model_type": "bert", "vocab_size": 60, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 16, "max_position_embeddings": 8,
}  # fmt: skip
READING = {
    "encoder": SMALL_ENCODER, "num_convolutions": 0, "cls_token_id": 1, "sep_token_id": 2,
    "auxiliary_targets": ["rater1", "style"],
}  # fmt: skip


def reading_model(**changes):
    """As [`registered_model`], with an encoder whose states the latents and the lexical head read."""
    model = registered_model(**{**READING, **changes})
    if model.lexical_head is not None:
        nn.init.normal_(model.lexical_head.states.weight, std=0.1)
    return model


# Organization is scored for both prompts, voice for the second alone.
TRAITS = {"organization": {"1": [1, 6], "2": [0, 3, 0.5]}, "voice": {"2": [2, 12]}}


def trait_model(make=reading_model, traits=TRAITS, **changes):
    """As [`reading_model`], or another, with traits; their weights and scales are made up."""
    targets = {"auxiliary_targets": ["rater1", *traits]} if make is reading_model else {}
    model = make(**{**targets, "traits": traits, **changes})
    head = model.trait_head
    for weights in (head.words, head.counts, head.features, head.states):
        if weights is not None:
            nn.init.normal_(weights.weight, std=0.1)
    head.means.copy_(torch.linspace(0.3, 0.6, len(head.means)))
    head.stds.copy_(torch.linspace(0.1, 0.2, len(head.stds)))
    return model


def prompted(prompt, essay):
    return {
        "input_ids": torch.tensor([prompt + essay]),
        "token_type_ids": torch.tensor([[0] * len(prompt) + [1] * len(essay)]),
    }


def untrained_scorer(data):
    """A scorer of a data set by its linear head alone, which takes no training."""
    shape = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 48, "embedding_size": 16}
    run = RunArguments(data=str(data.folder), recipe="tiny", hardware="cpu", embeddings="none")
    plan = resolve_plan(run, {**shape, "lexical_share": 1.0}, {"output_dir": "not written"})
    model = build_model(plan, data, data.load_tokenizer(), Pretrained(None, None)).eval()
    fit_lexical_head(model, data)
    return EssayScorer(model, data.load_tokenizer(), "untrained")


NO_DROPOUT = ["--hidden_dropout_prob", "0", "--embedding_dropout_prob", "0", "--word_dropout_prob", "0"]


def dense_inputs(essays, vocab_size):
    """What a lexical head without text features sees of words and lengths, as dense rows `(essays, words + 2)`."""
    counts = np.zeros((len(essays), vocab_size))
    for row, essay in enumerate(essays):
        for token, segment in zip(essay["input_ids"], essay["token_type_ids"], strict=True):
            counts[row, token] += segment
    words = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0)
    words /= np.sqrt((words**2).sum() / len(essays))
    lengths = np.column_stack([np.log(counts.sum(axis=1)), (counts > 0).sum(axis=1)])
    lengths = 0.1 * (lengths - lengths.mean(axis=0)) / np.maximum(lengths.std(axis=0), 1e-6)
    features = np.column_stack([words, lengths])
    return features - features.mean(axis=0)


def options(data_dir, output_dir, *more):
    return ["--data", str(data_dir), "--recipe", "tiny", "--hardware", "cpu", "--output_dir", str(output_dir),
            *SMALL_MODEL, "--disable_tqdm", "true", *more]  # fmt: skip


def seal(data_dir):
    """Takes the files of a data set that a test has changed for what was built."""
    card = read_json(data_dir / CARD_NAME)
    write_json(data_dir / CARD_NAME, {**card, "files": file_checksums(data_dir)})


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


# Runs before the program: whoever asks for the package gets an ImportError.
BLOCKER = """
import importlib.abc, json, sys
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "trm_aes":
            raise ImportError("trm_aes is blocked")
sys.meta_path.insert(0, Blocker())
"""


def run_without_package(program, *arguments, cwd):
    """The JSON that a program prints last, run where `trm_aes` cannot be imported."""
    run = subprocess.run(
        [sys.executable, "-c", BLOCKER + program, *map(str, arguments)],
        # Nobody answers whether remote code is to be trusted.
        stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=cwd, timeout=240,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])
