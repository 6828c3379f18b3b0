"""The error model as it is fitted: coverage and errors on essays that had no part in it, and few essays."""

import math

import numpy as np
import pytest
import torch
from helpers import registered_model

from trm_aes.model.confidence_trm import FEATURES, LEVELS
from trm_aes.model.score_scale import ScoreRange
from trm_aes.training.fit import confidence
from trm_aes.training.fit.confidence import Judged, conformal_quantile, drawn_means
from trm_aes.training.fit.transfer import with_prompts

RANGES = {"1": ScoreRange(2, 12), "2": ScoreRange(0, 4)}
STEPS = np.array([10, 4])


def simulated(num_essays, seed):
    """
    Essays whose human scores lie around seven tenths of the way from the mean of the prompt to the score, farther where the
    heads disagree.
    """
    rng = np.random.default_rng(seed)
    prompts = rng.integers(0, 2, num_essays)
    unit = np.where(prompts == 0, 0.15, 0.25)
    place, disagreement = rng.standard_normal(num_essays), rng.exponential(1.0, num_essays)
    scores = np.clip(0.5 + unit * place, 0, 1)
    latent = 0.5 + unit * (0.7 * place + (0.3 + 0.3 * disagreement) * rng.standard_normal(num_essays))
    steps = STEPS[prompts]
    gold = np.floor(np.clip(latent, 0, 1) * steps + 0.5) / steps
    features = rng.standard_normal((num_essays, len(FEATURES)))
    features[:, FEATURES.index("place")] = (scores - 0.5) / unit
    features[:, FEATURES.index("disagreement")] = disagreement
    tensors = (torch.tensor(values, dtype=torch.float32) for values in (features, scores, gold, unit))
    return Judged(*tensors, torch.tensor(prompts))


def fitted(judged, ranges=RANGES):
    error_model = registered_model().add_error_model("predicted_error")
    crossed = confidence._cross_fit(error_model, judged, ranges)
    confidence._fit(error_model, judged)
    confidence._set_quantiles(error_model, crossed.distances, judged.prompts.numpy())
    return error_model, crossed


@pytest.fixture(scope="module")
def large():
    judged = simulated(600, seed=0)
    return judged, *fitted(judged)


def test_sets_cover_as_many_new_essays_as_they_say(large):
    _, error_model, _ = large
    others = simulated(4000, seed=1)
    _, intervals = error_model(*others.inputs())
    inside = (intervals[..., 0] <= others.gold[:, None]) & (others.gold[:, None] <= intervals[..., 1])
    for column, level in enumerate(LEVELS):
        for place in range(2):
            covered = inside[others.prompts == place, column].float().mean().item()
            # About 300 validation essays and 2,000 others: three standard errors of both together.
            assert covered == pytest.approx(level, abs=3 * math.sqrt(level * (1 - level) * (1 / 300 + 1 / 2000)))


def test_predicted_errors_are_right_on_average_and_tell_essays_apart(large):
    _, error_model, _ = large
    others = simulated(4000, seed=2)
    predicted, _ = error_model(*others.inputs())
    steps = torch.tensor(STEPS)[others.prompts]
    rounded = torch.floor(others.scores * steps + 0.5) / steps
    actual = (rounded - others.gold).abs()
    for place in range(2):
        of_prompt = others.prompts == place
        assert predicted[of_prompt].mean().item() == pytest.approx(actual[of_prompt].mean().item(), rel=0.1)
        in_order = predicted[of_prompt].argsort()
        least, most = actual[of_prompt][in_order].tensor_split(2)
        assert least.mean() < 0.7 * most.mean()
    # Center and spread are what was simulated.
    assert error_model.slopes.tolist() == pytest.approx([-0.3, -0.3], abs=0.08)
    assert error_model.weights.argmax() == FEATURES.index("disagreement")


def test_no_essay_judges_itself(large):
    judged, _, crossed = large
    gold = judged.gold.clone()
    gold[7] = 0 if gold[7] > 0.4 else 1
    _, again = fitted(Judged(judged.features, judged.scores, gold, judged.unit, judged.prompts))
    assert again.errors[7] == crossed.errors[7]
    # Essays of other parts are judged with its help.
    assert (again.errors != crossed.errors).sum() > 500


def test_a_quantile_by_hand():
    distances = np.arange(1.0, 10.0)
    # Of 9 essays the largest: a tenth is beyond it with a probability of one tenth. Of 8 there is none so far.
    assert conformal_quantile(distances, 0.9) == 9 and conformal_quantile(distances[:8], 0.9) == math.inf
    assert (
        conformal_quantile(np.arange(1.0, 20.0), 0.95) == 19 and conformal_quantile(np.arange(18.0), 0.95) == math.inf
    )
    assert conformal_quantile(np.random.default_rng(0).permutation(99) + 1.0, 0.9) == 90


def test_a_prompt_of_few_essays_is_drawn_toward_the_mean_of_all():
    values, prompts = np.array([1.0, 2.0, 3.0, 6.0]), np.array([0, 0, 0, 2])
    prior = confidence.PRIOR_ESSAYS
    expected = [(6 + prior * 3) / (3 + prior), 3, (6 + prior * 3) / (1 + prior)]
    np.testing.assert_allclose(drawn_means(values, prompts, 3), expected)
    np.testing.assert_allclose(drawn_means(np.stack([values, -values], axis=1), prompts, 3)[:, 1], -np.array(expected))


def test_a_prompt_of_too_few_essays_gets_the_whole_scale():
    judged = simulated(600, seed=3)
    places = torch.cat([(judged.prompts == 0).nonzero()[:, 0], (judged.prompts == 1).nonzero()[:8, 0]])
    error_model, _ = fitted(judged.part(places.numpy()))
    assert error_model.quantiles[0].isfinite().all() and error_model.quantiles[1].isinf().all()
    predicted, intervals = error_model(*judged.inputs())
    assert predicted.isfinite().all()
    assert intervals[judged.prompts == 1].isinf().all()


def test_what_never_varies_says_nothing():
    judged = simulated(100, seed=4)
    judged.features[:, FEATURES.index("unlike")] = 0
    error_model, _ = fitted(judged)
    judged.features[:, FEATURES.index("unlike")] = 3
    changed, _ = error_model(*judged.inputs())
    judged.features[:, FEATURES.index("unlike")] = 0
    torch.testing.assert_close(changed, error_model(*judged.inputs())[0])


def test_a_new_prompt_has_errors_as_the_others_do_and_the_whole_scale(large, tokenizer):
    _, error_model, _ = large
    # Words for the signature of the prompt's text.
    model = registered_model(review_by="predicted_error", vocab_size=len(tokenizer), max_position_embeddings=64)
    model.error_model.load_state_dict(error_model.state_dict())
    grown = with_prompts(model, tokenizer, {"3": [0, 30]}, {"3": "Write about ships."}).error_model
    assert grown.quantiles[:2].isfinite().all() and grown.quantiles[2].isinf().all()
    torch.testing.assert_close(grown.deviations[2], error_model.deviations.mean())
    assert grown.steps == [10, 4, 30]
    for name in ("weights", "thresholds"):
        torch.testing.assert_close(getattr(grown, name), getattr(error_model, name))


def test_thresholds_and_agreement_by_the_share_released(large):
    _, error_model, _ = large
    doubts, is_right = np.arange(200) / 200, np.arange(200) < 100
    confidence._set_thresholds(error_model, np.random.default_rng(0).permutation(doubts), is_right)
    confidence._set_thresholds(error_model, doubts, is_right)
    assert error_model.thresholds[0] == -math.inf
    torch.testing.assert_close(error_model.thresholds[[50, 100]], torch.tensor([0.495, 0.995]))
    # Of 28 released essays nothing is said.
    assert error_model.released_agreement[14] == 0
    torch.testing.assert_close(error_model.released_agreement[[15, 50, 80, 100]], torch.tensor([1, 1, 0.625, 0.5]))
