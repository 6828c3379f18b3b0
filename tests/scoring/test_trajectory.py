"""The path of the recursion, cycle by cycle, against the steps that the model itself reports."""

import pytest
import torch
from made_up_scorer import ESSAY, full_scorer

from trm_aes.errors import InputError
from trm_aes.scoring.trajectory import by_single_cycles


@pytest.fixture(scope="module")
def scorer(tokenizer):
    return full_scorer(tokenizer, H_cycles=3, num_supervision_steps=2)


def test_the_last_point_is_the_score(scorer):
    points = scorer.trajectory(ESSAY, "1")
    [result] = scorer.score([ESSAY], ["1"])
    assert [(point.step, point.cycle) for point in points] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    assert points[-1].score == pytest.approx(result.score, abs=1e-5)
    assert points[-1].confidence == pytest.approx(result.confidence, abs=1e-5)
    assert len({round(point.score, 4) for point in points}) == 6


def test_each_step_ends_where_the_model_has_it(scorer):
    points = scorer.trajectory(ESSAY, "2", num_steps=4)
    [encoded] = scorer.encode([ESSAY], ["2"])
    scores, confidences = scorer.score_steps([{**vars(encoded), "prompt_id": "2"}], 4)
    ends = [point for point in points if point.cycle == 3]
    assert len(points) == 12 and [point.step for point in ends] == [1, 2, 3, 4]
    for point, score, confidence in zip(ends, scores[0], confidences[0], strict=True):
        assert point.score == pytest.approx(4 * score, abs=1e-5)
        assert point.confidence == pytest.approx(confidence, abs=1e-5)


def test_a_point_is_what_a_model_of_fewer_cycles_gives(scorer, tokenizer):
    shorter = full_scorer(tokenizer, H_cycles=2, num_supervision_steps=1)
    [result] = shorter.score([ESSAY], ["1"])
    assert scorer.trajectory(ESSAY, "1")[1].score == pytest.approx(result.score, abs=1e-5)


def test_an_essay_that_leaves_early_has_a_short_path(scorer, tokenizer):
    leaving = full_scorer(tokenizer, H_cycles=3, num_supervision_steps=4, exit_tolerance=0.9)
    [result] = leaving.score([ESSAY], ["1"])
    points = leaving.trajectory(ESSAY, "1")
    assert result.supervision_steps == 2 and len(points) == 6
    assert points[-1].score == pytest.approx(result.score, abs=1e-5)
    # Steps that are asked for are taken.
    assert len(leaving.trajectory(ESSAY, "1", num_steps=3)) == 9


def test_steps_are_at_least_one(scorer):
    with pytest.raises(InputError, match="`num_steps` must be at least 1, got 0"):
        scorer.trajectory(ESSAY, "1", num_steps=0)


def test_the_model_is_left_as_it_is(scorer):
    single = by_single_cycles(scorer.model)
    assert single.config.H_cycles == single.model.config.H_cycles == 1
    assert scorer.model.config.H_cycles == scorer.model.model.config.H_cycles == 3
    # No weight stands in memory twice.
    for one, other in zip(single.state_dict().values(), scorer.model.state_dict().values(), strict=True):
        assert isinstance(one, torch.Tensor) and one.data_ptr() == other.data_ptr()
