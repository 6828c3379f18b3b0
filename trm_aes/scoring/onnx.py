"""A scorer as an ONNX graph: scored by onnxruntime without PyTorch, in float32 or with int8 weights."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from ..errors import InputError
from ..model.modeling_trm import TRMForEssayScoring
from .scorer import EssayScorer, RawScores, tokenized_rows

if TYPE_CHECKING:
    import onnxruntime

INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids", "prompt_indices", "text_features")
OF_TOKENS = INPUT_NAMES[:3]
OUTPUT_NAMES = ("score", "confidence")
# Of a scorer of traits, and of one with an error model, too.
TRAIT_NAME = "traits"
ERROR_NAMES = ("predicted_error", "intervals")
# Of the outputs, where the names in [`RawScores`] differ.
FIELDS = {"score": "normalized", "predicted_error": "predicted_errors"}
MAX_BATCH = 4096


class _ScoresAlone(nn.Module):
    """What the graph gives: see [`export_onnx`]."""

    def __init__(self, model: TRMForEssayScoring):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids, prompt_indices=None, text_features=None):
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            prompt_indices=prompt_indices,
            text_features=text_features,
        )
        scores = [outputs.logits[:, 0], outputs.halt_logits.sigmoid()]
        if self.model.trait_head is not None:
            scores.append(outputs.logits[:, 1:])
        if outputs.predicted_errors is not None:
            scores += [outputs.predicted_errors, outputs.score_intervals]
        return tuple(scores)


def export_onnx(scorer: EssayScorer, path: Path) -> Path:
    """
    Writes a scorer as one ONNX file with any batch size and length, and returns its path; the recursion is unrolled in it.

    Args:
        scorer: on the CPU.
        path: of the file. Inputs: `input_ids`, `attention_mask`, `token_type_ids`, `(batch, tokens)` int64; where the model
            keeps prompts apart, `prompt_indices`, `(batch,)` int64, places in the configuration's `score_ranges`; where it
            takes them, `text_features`, `(batch, features)` float32. Outputs: `score` (0-1 of the prompt's range, not
            clipped) and `confidence` (0-1), `(batch,)` float32; of a scorer of traits `traits`, `(batch, traits)`, each 0-1 of
            the trait's range in the essay's prompt, NaN where that lacks the trait; of a scorer with an error model
            `predicted_error`, `(batch,)`, and `intervals`, `(batch, 2, 2)`, on the 0-1 scale: the ends at the levels 0.9 and
            0.95.

    Raises:
        InputError: if the scorer lets essays halt, which a graph of fixed depth cannot.
    """
    config = scorer.model.config
    if config.halt_at_inference or config.exit_tolerance is not None:
        raise InputError(
            f"{scorer.name} has halt_at_inference or exit_tolerance set: an ONNX graph takes the same steps for all "
            "essays. Switch them off in its config.json (false, null)."
        )
    prompt_id = next(iter(scorer.score_ranges))
    encoded = scorer.encode(["An example.", "Another one, longer."], [prompt_id] * 2)
    [(_, example)] = scorer.batches(tokenized_rows(encoded, [prompt_id] * 2))
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    tokens = torch.export.Dim("tokens", min=2, max=config.max_position_embeddings)
    input_names = [name for name in INPUT_NAMES if name in example]
    implementation = config._attn_implementation
    scorer.model.set_attn_implementation("eager")
    try:
        torch.onnx.export(
            _ScoresAlone(scorer.model).eval(),
            tuple(example[name] for name in input_names),
            path,
            input_names=list(input_names),
            output_names=_output_names(scorer.model),
            dynamic_shapes=tuple({0: batch, 1: tokens} if name in OF_TOKENS else {0: batch} for name in input_names),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    finally:
        scorer.model.set_attn_implementation(implementation)
    return path


def _output_names(model: TRMForEssayScoring) -> list[str]:
    of_traits = [] if model.trait_head is None else [TRAIT_NAME]
    return [*OUTPUT_NAMES, *of_traits, *([] if model.error_model is None else ERROR_NAMES)]


def quantize_onnx(path: Path, quantized: Path):
    """Writes a copy of a graph whose matrix products have int8 weights; activations are quantized as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(path, quantized, weight_type=QuantType.QInt8)


def open_graph(path: Path) -> "onnxruntime.InferenceSession":
    """A graph, ready to run on the CPU with as many threads as PyTorch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def score_with_onnx(path: Path, scorer: EssayScorer, rows: Sequence[dict]) -> RawScores:
    """What [`EssayScorer.score_tokens`] gives, computed by a graph."""
    session = open_graph(path)
    # A graph of version 0.1 recognizes prompts by their text, and takes no indices.
    taken = [graph_input.name for graph_input in session.get_inputs()]
    names = [output.name for output in session.get_outputs()]
    # A graph of a scorer without traits or error model, or of an earlier version, has no such outputs.
    num_traits = len(scorer.trait_ranges) if TRAIT_NAME in names else 0
    raw = RawScores.to_be_filled(len(rows), has_errors="intervals" in names, num_traits=num_traits)
    raw.supervision_steps[:] = scorer.model.config.num_supervision_steps
    for indices, batch in scorer.batches(rows):
        values = session.run(names, {name: batch[name].numpy() for name in taken})
        raw.fill(indices, {FIELDS.get(name, name): value for name, value in zip(names, values, strict=True)})
    return raw


def compare_with_onnx(paths: dict[str, Path], scorer: EssayScorer, rows: Sequence[dict]) -> dict[str, dict]:
    """
    Scores essays with PyTorch and with each graph.

    Returns:
        For `pytorch` and each name of `paths`: `normalized` (scores, 0-1), `seconds`, and for graphs `megabytes` and
        `largest_difference` to PyTorch's scores.
    """
    started = time.perf_counter()
    expected = scorer.score_tokens(rows).normalized
    results = {"pytorch": {"normalized": expected, "seconds": time.perf_counter() - started}}
    for name, path in paths.items():
        started = time.perf_counter()
        scores = score_with_onnx(path, scorer, rows).normalized
        results[name] = {
            "normalized": scores,
            "seconds": time.perf_counter() - started,
            "megabytes": path.stat().st_size / 1e6,
            "largest_difference": float(np.abs(scores - expected).max()),
        }
    return results
