"""Models saved by version 0.1 load, and score as they did."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from trm_aes import TRMForEssayScoring, TRMModel

# Saved by version 0.1: a state for each token, and latents with prompt registers and a lexical head.
SAVED = Path(__file__).parent / "saved_0_1"
EXPECTED = json.loads((SAVED / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_saved_model_scores_as_it_did(name, tmp_path):
    expected = EXPECTED[name]
    inputs = {key: torch.tensor(values) for key, values in expected["inputs"].items()}
    model, loading = TRMForEssayScoring.from_pretrained(SAVED / name, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    again = tmp_path / "again"
    model.save_pretrained(again)
    # Saved again, its weights have the names of today.
    with safe_open(again / "model.safetensors", framework="pt") as weights:
        assert set(weights.keys()) == set(model.state_dict())
    for scorer in (model, TRMForEssayScoring.from_pretrained(again)):
        with torch.no_grad():
            outputs = scorer(**inputs)
        for key, values in (("step_logits", outputs.step_logits), ("halt_logits", outputs.halt_logits)):
            torch.testing.assert_close(values, torch.tensor(expected[key]), atol=1e-6, rtol=0)
        torch.testing.assert_close(outputs.logits[:, 0], torch.tensor(expected["logits"]), atol=1e-6, rtol=0)


def test_the_model_without_heads_loads_too():
    base = TRMModel.from_pretrained(SAVED / "latents")
    whole = TRMForEssayScoring.from_pretrained(SAVED / "latents").model
    for (name, first), second in zip(base.state_dict().items(), whole.state_dict().values(), strict=True):
        assert torch.equal(first, second), name
