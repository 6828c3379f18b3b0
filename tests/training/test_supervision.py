"""What a micro-batch hands from step to step, by hand."""

import torch

from trm_aes.training.supervision import MicroBatch


def micro_batch(size, min_steps=None):
    return MicroBatch(rows=torch.arange(size), min_steps=torch.tensor(min_steps or [1] * size))


def test_who_halts_leaves_with_its_carry():
    state = micro_batch(4)
    state.advance(torch.arange(4.0)[:, None], torch.tensor([True, False, True, False]), num_steps_taken=1)
    assert state.rows.tolist() == [1, 3] and state.carry.tolist() == [[1.0], [3.0]]
    inputs = {"labels": torch.arange(4), "input_ids": torch.arange(8).view(4, 2)}
    running = state.running_inputs(inputs)
    assert running["labels"].tolist() == [1, 3] and running["input_ids"].tolist() == [[2, 3], [6, 7]]
    # Places are those of the whole micro-batch, halts those of the essays that run.
    state.advance(torch.tensor([[5.0], [6.0]]), torch.tensor([True, False]), num_steps_taken=2)
    assert state.rows.tolist() == [3] and state.carry.tolist() == [[6.0]]


def test_who_must_go_on_goes_on():
    state = micro_batch(3, [1, 3, 2])
    halts = torch.tensor([True, True, True])
    state.advance(torch.zeros(3, 1), halts, num_steps_taken=1)
    assert state.rows.tolist() == [1, 2]
    state.advance(torch.zeros(2, 1), halts[:2], num_steps_taken=2)
    assert state.rows.tolist() == [1]


def test_where_nobody_is_left_one_row_stands_in():
    state = micro_batch(3)
    state.advance(torch.tensor([[7.0], [8.0], [9.0]]), torch.tensor([True] * 3), num_steps_taken=1)
    assert state.num_running == 0 and state.carry.tolist() == [[7.0]]
    assert state.running_inputs({"labels": torch.tensor([4, 5, 6])})["labels"].tolist() == [4]


def test_exploration_draws_from_two_steps_to_all():
    state = MicroBatch.start(4000, max_steps=4, exploration=0.25, generator=torch.Generator().manual_seed(0))
    shares = torch.bincount(state.min_steps, minlength=5) / 4000
    torch.testing.assert_close(shares, torch.tensor([0, 0.75, 1 / 12, 1 / 12, 1 / 12]), atol=0.02, rtol=0)
    assert state.rows.tolist() == list(range(4000)) and state.carry is None
    never = MicroBatch.start(100, max_steps=4, exploration=0.0, generator=torch.Generator().manual_seed(0))
    assert never.min_steps.tolist() == [1] * 100
