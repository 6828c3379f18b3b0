"""Speed of the model's code beside that of another checkout, on the same random weights, in turn."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from benchmarks.program import add_output_options, program, write_measured
from benchmarks.report import markdown_table
from benchmarks.speed import MEAN_TOKENS, PROMPT_TOKENS, essay_lengths, ratios
from benchmarks.words import VOCABULARY, draw_words
from torch import nn
from tqdm import tqdm
from transformers.dynamic_module_utils import get_class_from_dynamic_module

from trm_aes.checkpoints import find_checkpoint, load_tokenizer
from trm_aes.cli.parser import CommandParser
from trm_aes.cli.runner import run
from trm_aes.errors import InputError
from trm_aes.model.modeling_trm import TRMForEssayScoring
from trm_aes.presets import load_recipe
from trm_aes.scoring.onnx import export_onnx, open_graph
from trm_aes.scoring.scorer import DEFAULT_BATCH_TOKENS, DTYPES, EssayScorer, batches_by_tokens

# Scores a batch: `(batch,)`, 0-1.
Way = Callable[[dict[str, torch.Tensor]], torch.Tensor]
# Run by the other checkout: a model of its own, saved with the code.
SAVE = """
import json, sys, torch
try:  # Where they were at first.
    from trm_aes.configuration_trm import TRMConfig
    from trm_aes.modeling_trm import TRMForEssayScoring
except ModuleNotFoundError:
    from trm_aes.model.configuration_trm import TRMConfig
    from trm_aes.model.modeling_trm import TRMForEssayScoring
TRMConfig.register_for_auto_class()
TRMForEssayScoring.register_for_auto_class("AutoModelForSequenceClassification")
model = TRMForEssayScoring(TRMConfig(**json.loads(sys.argv[2])))
for weight in model.parameters():
    torch.nn.init.normal_(weight, std=0.05)
model.save_pretrained(sys.argv[1])
"""
# Of the recipe `fast`: what a checkout may be too old to know.
LATER = ("passage_check",)


def build_parser() -> CommandParser:
    parser = CommandParser(description=__doc__)
    parser.add_argument("--against", required=True, type=Path, help="folder of the other checkout")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--num-threads", type=int, help="threads of the CPU (default: PyTorch's choice)")
    parser.add_argument("--essays", type=int, default=64, help="essays in the mix of lengths")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured, in turn")
    parser.add_argument("--latency-calls", type=int, default=30, help="single essays in each round")
    parser.add_argument("--onnx", action="store_true", help="measure this code's ONNX graph, too (float32)")
    add_output_options(parser)
    return parser


def run_benchmark(args: argparse.Namespace):
    if not (args.against / "trm_aes").is_dir():
        raise InputError(f"`against` {args.against} is no checkout: it has no folder trm_aes.")
    if args.onnx and args.dtype != "float32":
        raise InputError(f"`onnx` with `dtype` {args.dtype}: graphs compute in float32.")
    if args.num_threads:
        torch.set_num_threads(args.num_threads)
    with tempfile.TemporaryDirectory() as folder:
        save_other(args.against, Path(folder))
        # The code that travels with the weights.
        other = get_class_from_dynamic_module("modeling_trm.TRMForEssayScoring", folder)
        dtype = getattr(torch, args.dtype)
        codes: dict[str, type] = {"other": other, "this": TRMForEssayScoring}
        models = {name: code.from_pretrained(folder, dtype=dtype).eval() for name, code in codes.items()}
        ways: dict[str, Way] = {name: partial(score, model) for name, model in models.items()}
        if args.onnx:
            ways["this, as an ONNX graph"] = onnx_graph(models["this"], Path(folder) / "model.onnx")
    measured, difference = measure(ways, args)
    rows = {
        name: {
            "essays/s": f"{np.median(values['rates']):.1f}",
            "times other": "{:.2f} ({:.2f} to {:.2f})".format(*ratios(values["rates"], measured["other"]["rates"])),
            "latency p50 (ms)": f"{np.median(values['latencies']):.2f}",
            "share of other's": f"{np.median(values['latencies']) / np.median(measured['other']['latencies']):.2f}",
        }
        for name, values in measured.items()
    }
    print(f"\n{args.dtype}, {torch.get_num_threads()} threads; scores (0-1) differ by {difference:.1e} at most")
    print(markdown_table(pd.DataFrame.from_dict(rows, orient="index").rename_axis("code")))
    write_measured(args, measured=measured, difference=difference)


def save_other(checkout: Path, folder: Path):
    """A random model of the shape of `fast` and one prompt, with the checkout's code, which must find itself first."""
    model = {name: value for name, value in load_recipe("fast").model.items() if name not in LATER}
    config = {"vocab_size": VOCABULARY, "embedding_size": 768, "score_ranges": {"1": [0, 6]}, **model}
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
    command = [sys.executable, "-c", SAVE, str(folder), json.dumps(config)]
    subprocess.run(command, check=True, env=environment, cwd=checkout, stdout=subprocess.DEVNULL)


def onnx_graph(model: nn.Module, path: Path) -> Way:
    """Scores batches by a model's graph, which is written to a path, with as many threads as PyTorch has."""
    session = open_graph(export_onnx(EssayScorer(model, load_tokenizer(find_checkpoint()), "random"), path))
    taken = [graph_input.name for graph_input in session.get_inputs()]

    def score_by_graph(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        given = without_prompts(batch)
        [scores] = session.run(["score"], {name: given[name].numpy() for name in taken})
        return torch.from_numpy(scores)

    return score_by_graph


@torch.inference_mode()
def measure(ways: dict[str, Way], args: argparse.Namespace) -> tuple[dict[str, dict], float]:
    """By code: essays a second of each round, and milliseconds of each single essay; and how far scores differ at most."""
    lengths = essay_lengths(args.essays)
    places = batches_by_tokens([int(length) for length in lengths], DEFAULT_BATCH_TOKENS)
    batches = [with_prompts([int(lengths[place]) for place in group]) for group in places]
    single = with_prompts([MEAN_TOKENS])
    first, *others = [torch.cat([way(batch) for batch in batches]) for way in ways.values()]
    measured: dict[str, dict] = {name: {"rates": [], "latencies": []} for name in ways}
    for _ in tqdm(range(args.rounds), desc="Measuring", unit="round", disable=None):
        for name, way in ways.items():
            started = time.perf_counter()
            for batch in batches:
                way(batch)
            measured[name]["rates"].append(args.essays / (time.perf_counter() - started))
            for _ in range(args.latency_calls):
                started = time.perf_counter()
                way(single)
                measured[name]["latencies"].append(1000 * (time.perf_counter() - started))
    return measured, max(float((first - other).abs().max()) for other in others)


def with_prompts(lengths: list[int]) -> dict[str, torch.Tensor]:
    """A batch of essays of these lengths, each behind the same prompt."""
    places = torch.arange(max(lengths) + PROMPT_TOKENS)
    is_token = places < torch.tensor(lengths)[:, None] + PROMPT_TOKENS
    is_essay = is_token & (places >= PROMPT_TOKENS)
    return {
        "input_ids": draw_words(*is_token.shape) * is_token,
        "attention_mask": is_token.long(),
        "token_type_ids": is_essay.long(),
    }


def without_prompts(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A batch as the present scorer gives it to its model: prompts are named and left out."""
    given = {name: values[:, PROMPT_TOKENS:] for name, values in batch.items()}
    return {**given, "prompt_indices": torch.zeros(len(batch["input_ids"]), dtype=torch.long)}


def score(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Scores of a batch, given to the model as its scorer gave it."""
    given = without_prompts(batch) if isinstance(model, TRMForEssayScoring) else batch
    return model(**given).logits[:, 0].float()


main = program(build_parser, run_benchmark)

if __name__ == "__main__":
    sys.exit(run(main))
