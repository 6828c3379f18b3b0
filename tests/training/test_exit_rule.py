"""Leaving the recursion once the score rests, and the tolerance that validation essays choose."""

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import essay_batch, registered_model, small_model

from trm_aes.model.score_scale import ScoreRange
from trm_aes.training.fit.exit_rule import choose_exit_tolerance, exit_steps

RANGES = {"a": ScoreRange(0, 10)}


def test_exit_steps_by_hand():
    scores = np.array([[0.1, 0.5, 0.52, 0.9], [0.3, 0.3, 0.8, 0.8], [0.0, 0.2, 0.4, 0.6]])
    assert exit_steps(scores, 0.03).tolist() == [3, 2, 4]
    assert exit_steps(scores, 0.5).tolist() == [2, 2, 2]
    assert exit_steps(scores[:, :1], 0.5).tolist() == [1, 1, 1]


def test_the_largest_tolerance_that_costs_nothing():
    gold = np.arange(60) % 11
    # Right from the fourth step on; before it, nearer by half at each step.
    wrong = np.where(gold % 2 == 0, 0.08, -0.08)
    steps = np.stack([gold / 10 + wrong / 2**step for step in range(8)], axis=1)
    essays = pd.DataFrame({"prompt_id": "a", "score": gold})
    chosen = choose_exit_tolerance(steps, essays, RANGES)
    # A move of 0.02 leads to an error of 0.02, less than half a point; one of 0.04 (step 2) to 0.04 as well.
    assert chosen["tolerance"] == 0.05 and chosen["mean_steps"] == 2
    assert chosen["mean_qwk"] == chosen["mean_qwk_of_all_steps"] == 1
    # Where the last step alone is right, nobody may leave before it.
    late = np.stack([steps[:, 0]] * 7 + [gold / 10], axis=1)
    chosen = choose_exit_tolerance(late, essays, RANGES)
    assert chosen["tolerance"] is None and chosen["mean_steps"] == 8 and chosen["mean_qwk"] == 1


@pytest.mark.parametrize("make", [small_model, registered_model], ids=["tokens", "latents"])
def test_essays_leave_where_their_scores_rest(make):
    model = make(num_supervision_steps=6).eval()
    batch = essay_batch([9, 6, 12, 7])
    with torch.no_grad():
        steps = model(**batch).step_logits
        moves = (steps[:, 1:] - steps[:, :-1]).abs().flatten().sort().values
        model.config.exit_tolerance = float(moves[9:11].mean())
        outputs = model(**batch)
        expected = exit_steps(steps.numpy(), model.config.exit_tolerance)
        assert outputs.steps_used.tolist() == expected.tolist() and len(set(expected.tolist())) > 1
        left = steps[torch.arange(4), torch.tensor(expected) - 1]
        torch.testing.assert_close(outputs.logits[:, 0], left, atol=1e-5, rtol=1e-5)
        # In training all steps are taken.
        assert model.train()(**batch).steps_used.tolist() == [6] * 4
