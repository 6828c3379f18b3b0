"""The exported graph against PyTorch: any batch, any length, the recursion in it; int8 close to it."""

import importlib.util
import json

import numpy as np
import pytest
import torch
from helpers import ROOT

from trm_aes.errors import InputError
from trm_aes.scoring.onnx import export_onnx, score_with_onnx
from trm_aes.scoring.scorer import EssayScorer

spec = importlib.util.spec_from_file_location("export_onnx_script", ROOT / "scripts" / "export_onnx.py")
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)


@pytest.fixture(scope="module")
def sure_dir(trait_model_dir, tmp_path_factory):
    """A scorer of traits, with an error model of made-up numbers."""
    scorer = EssayScorer.from_pretrained(trait_model_dir, "cpu")
    error_model = scorer.model.add_error_model("predicted_error")
    error_model.slopes.fill_(-0.2)
    error_model.quantiles.copy_(torch.tensor([[1.4, 2.0], [1.6, torch.inf]]))
    path = tmp_path_factory.mktemp("sure") / "model"
    scorer.save_pretrained(path)
    return path


def test_the_script_exports_compares_and_reports(sure_dir, data_dir, tmp_path, capsys):
    out = tmp_path / "onnx"
    script.main(["--model", str(sure_dir), "--data", str(data_dir), "--output-dir", str(out)])
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    results = report["results"]
    assert results["float32"]["largest_difference"] < 1e-4 and results["float32"]["megabytes"] > 1
    assert 0 < results["int8"]["largest_difference"] < 0.1
    assert results["int8"]["megabytes"] < results["float32"]["megabytes"]
    assert results["float32"]["mean_qwk"] == pytest.approx(results["pytorch"]["mean_qwk"])
    assert "int8" in capsys.readouterr().out

    # Other batch sizes and lengths than those it was exported with, each essay's score its own.
    scorer = EssayScorer.from_pretrained(sure_dir, "cpu", batch_tokens=150)
    prompt_ids = ["a", "b", "a"] * 3
    encoded = scorer.encode(["Good.", "Bad bad " * 20, "Fair and good and excellent."] * 3, prompt_ids)
    rows = [{**vars(essay), "prompt_id": prompt_id} for essay, prompt_id in zip(encoded, prompt_ids, strict=True)]
    found, expected = score_with_onnx(out / "model.onnx", scorer, rows), scorer.score_tokens(rows)
    scores = found.normalized
    np.testing.assert_allclose(scores, expected.normalized, atol=1e-4)
    np.testing.assert_allclose(found.predicted_errors, expected.predicted_errors, atol=1e-4)
    np.testing.assert_allclose(found.intervals, expected.intervals, atol=1e-3)
    # Voice is no trait of prompt b.
    assert np.isnan(expected.traits[1]).tolist() == [False, True]
    np.testing.assert_allclose(found.traits, expected.traits, atol=1e-4)
    np.testing.assert_allclose(scores[:3], scores[3:6], atol=1e-5)
    # Nothing is overwritten unasked.
    with pytest.raises(InputError, match="exists"):
        script.main(["--model", str(sure_dir), "--data", str(data_dir), "--output-dir", str(out)])


def test_wrong_split_says_what_there_is(model_dir, data_dir, tmp_path):
    arguments = [
        "--model",
        str(model_dir),
        "--data",
        str(data_dir),
        "--output-dir",
        str(tmp_path / "o"),
        "--split",
        "dev",
    ]
    with pytest.raises(InputError, match="--split dev: .* has train, validation, test"):
        script.main(arguments)
    assert not (tmp_path / "o").exists()


def test_essays_that_halt_cannot_be_exported(model_dir, tmp_path):
    scorer = EssayScorer.from_pretrained(model_dir, "cpu")
    scorer.model.config.halt_at_inference = True
    with pytest.raises(InputError, match="halt_at_inference"):
        export_onnx(scorer, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
