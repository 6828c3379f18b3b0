"""The error model: expected errors and intervals against loops written out, and models that have none."""

import json

import numpy as np
import pytest
import torch
from helpers import essay_batch, registered_model, run_without_package
from scipy.stats import norm

from trm_aes import TRMForEssayScoring
from trm_aes.model.confidence_trm import FEATURES, TRMErrorModel


def fitted_model(**changes):
    """A model of two prompts, 2 to 12 and 0 to 4, with an error model of odd numbers."""
    model = registered_model(review_by="predicted_error", passage_check=True, **changes)
    error_model = model.error_model
    torch.manual_seed(5)
    error_model.slopes.copy_(torch.tensor([-0.2, 0.1]))
    error_model.deviations.copy_(torch.tensor([0.4, 0.7]))
    error_model.weights.copy_(torch.linspace(-0.1, 0.2, len(FEATURES) + 1))
    error_model.quantiles.copy_(torch.tensor([[1.5, 2.0], [1.7, torch.inf]]))
    return model


def test_expected_errors_are_those_of_a_sum_over_the_scale():
    model = fitted_model()
    scores, prompts = torch.tensor([0.03, 0.51, 0.97, 0.03, 0.55, 1.0]), torch.tensor([0, 0, 0, 1, 1, 1])
    center, spread = torch.tensor([0.1, 0.5, 0.9, 0.1, 0.62, 0.9]), torch.tensor([0.1, 0.08, 0.15, 0.2, 0.25, 0.1])
    found = model.error_model.expected_error(center, spread, scores, prompts)
    for place, prompt in enumerate(prompts.tolist()):
        steps = (10, 4)[prompt]
        rounded = np.floor(scores[place].item() * steps + 0.5)
        std = np.sqrt(max((spread[place].item() * steps) ** 2 - 1 / 12, 0.01))
        bounds = np.array([-np.inf, *np.arange(0.5, steps), np.inf])
        shares = np.diff(norm.cdf(bounds, center[place].item() * steps, std))
        expected = shares @ np.abs(np.arange(steps + 1) - rounded) / steps
        assert found[place].item() == pytest.approx(expected, abs=1e-5)


def test_what_a_model_says_is_worked_out_from_its_features():
    model, batch = fitted_model(), essay_batch([9, 6, 12, 10])
    with torch.no_grad():
        outputs = model(**batch)
    error_model, bank, prompts = model.error_model, model.model.prompt_bank, torch.tensor([0, 1, 0, 1])
    features = dict(zip(FEATURES, outputs.error_features.T, strict=True))
    scores, unit = outputs.logits[:, 0].clamp(0, 1), bank.score_stds[prompts]
    steps = torch.tensor([10.0, 4.0])[prompts]
    torch.testing.assert_close(features["place"], (scores - bank.score_means[prompts]) / unit)
    torch.testing.assert_close(features["distance"], (scores * steps - (scores * steps).round()).abs())
    torch.testing.assert_close(features["halting"], outputs.halt_logits)
    torch.testing.assert_close(features["unlike"], torch.log1p(10 * outputs.unlike_shares.sum(dim=1)))
    # Its features are standardized by 0 and 1.
    inputs = outputs.error_features.clamp(-4, 4)
    place = inputs[:, 0]
    center = scores + unit * error_model.slopes[prompts] * place
    ratio = 1 + torch.cat((inputs, place[:, None] ** 2 - 1), dim=1) @ error_model.weights
    spread = unit * (torch.pi / 2) ** 0.5 * error_model.deviations[prompts] * ratio.clamp(0.5, 2)
    half = error_model.quantiles[prompts] * spread[:, None]
    torch.testing.assert_close(outputs.score_intervals[..., 0], center[:, None] - half)
    torch.testing.assert_close(outputs.score_intervals[..., 1], center[:, None] + half)
    torch.testing.assert_close(outputs.predicted_errors, error_model.expected_error(center, spread, scores, prompts))


def test_scores_are_the_same_with_an_error_model_and_without():
    batch = essay_batch([9, 6, 12])
    with torch.no_grad():
        with_errors, without = fitted_model()(**batch), registered_model(passage_check=True)(**batch)
    assert torch.equal(with_errors.logits, without.logits)
    assert without.predicted_errors is without.score_intervals is without.error_features is None


def test_before_it_is_fitted_a_set_is_the_whole_scale():
    model = registered_model()
    model.add_error_model("confidence")
    with torch.no_grad():
        outputs = model(**essay_batch([9, 6]))
    assert outputs.score_intervals[..., 1].isposinf().all() and outputs.score_intervals[..., 0].isneginf().all()
    assert outputs.predicted_errors.isfinite().all()


def test_a_long_scale_counts_as_one_of_a_hundred_steps():
    model = registered_model(review_by="predicted_error", score_ranges={"1": [0, 10**6], "2": [0, 4]})
    assert model.error_model.steps == [100, 4]
    center = scores = torch.tensor([0.4])
    [error] = model.error_model.expected_error(center, torch.tensor([0.1]), scores, torch.tensor([0]))
    # The mean absolute deviation of a normal distribution.
    assert error.item() == pytest.approx(0.1 * np.sqrt(2 / np.pi), rel=0.01)


LOAD = """
import torch
from transformers import AutoModelForSequenceClassification
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1], trust_remote_code=True).eval()
with torch.no_grad():
    outputs = model(**{name: torch.tensor(values) for name, values in json.loads(sys.argv[2]).items()})
print(json.dumps({"errors": outputs.predicted_errors.tolist(), "intervals": outputs.score_intervals.tolist()}))
"""


def test_it_travels_with_the_model(tmp_path):
    model, batch = fitted_model(), essay_batch([9, 6, 12])
    model.save_pretrained(tmp_path / "saved")
    assert (tmp_path / "saved" / "confidence_trm.py").is_file()
    with torch.no_grad():
        expected = model(**batch)
        half = TRMForEssayScoring.from_pretrained(tmp_path / "saved", dtype=torch.bfloat16)
    inputs = json.dumps({name: values.tolist() for name, values in batch.items()})
    found = run_without_package(LOAD, tmp_path / "saved", inputs, cwd=tmp_path)
    assert found["errors"] == expected.predicted_errors.tolist()
    assert found["intervals"] == expected.score_intervals.tolist()
    # An error's last digits are beyond bfloat16.
    assert {buffer.dtype for buffer in half.error_model.buffers()} == {torch.float32}


def test_a_model_that_keeps_no_prompts_apart_has_none():
    with pytest.raises(ValueError, match="`review_by` needs `prompt_registers`"):
        registered_model(prompt_registers=False, lexical_head=False, review_by="confidence")
    assert isinstance(fitted_model().error_model, TRMErrorModel)
