"""Batches side by side give what one after the other gives, in order, look no further ahead than they must, and end cleanly."""

import threading
import time

import numpy as np
import pytest
import torch
from helpers import untrained_scorer

from trm_aes.data.dataset import load_essay_dataset
from trm_aes.scoring.side_by_side import MOST_AT_ONCE, side_by_side


@pytest.fixture
def threads():
    """Sets PyTorch's threads for a test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_results_come_in_order_whoever_is_done_first(threads):
    threads(3)
    assert list(side_by_side(lambda wait: time.sleep(wait) or wait, [0.1, 0.0, 0.05, 0.0])) == [0.1, 0.0, 0.05, 0.0]
    assert list(side_by_side(abs, [])) == []


@pytest.mark.parametrize(
    ("num_threads", "num_items", "at_once", "shares"),
    [(1, 5, 1, {1}), (2, 1, 1, {2}), (2, 5, 2, {1}), (9, 9, 4, {2, 3}), (8, 3, 3, {2, 3}), (8, 2, 2, {4})],
)
def test_all_threads_are_shared_among_as_many_as_there_are_items(threads, num_threads, num_items, at_once, shares):
    assert MOST_AT_ONCE == 4
    threads(num_threads)
    running: dict[int, int] = {}
    lock, seen = threading.Lock(), []

    def compute(item):
        with lock:
            running[threading.get_ident()] = torch.get_num_threads()
            seen.append(dict(running))
        time.sleep(0.2)
        with lock:
            return running.pop(threading.get_ident())

    assert set(side_by_side(compute, range(num_items))) == shares
    fullest = max(seen, key=len)
    assert (len(fullest), sum(fullest.values())) == (at_once, num_threads)
    assert torch.get_num_threads() == num_threads


def test_items_are_looked_at_as_they_are_needed(threads):
    threads(2)
    taken = []
    results = side_by_side(abs, (taken.append(item) or item for item in range(20)))
    for place in range(5):
        assert next(results) == place
        assert len(taken) == max(4, place + 3)
    results.close()
    assert len(taken) == 7
    assert torch.get_num_threads() == 2


def test_an_error_is_raised_where_its_result_would_be(threads):
    threads(2)
    results = side_by_side(lambda item: 1 / item, [1, 2, 0, 4, 5])
    assert [next(results), next(results)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert torch.get_num_threads() == 2


def test_scores_do_not_depend_on_it_to_the_bit(threads, data_dir, monkeypatch):
    data = load_essay_dataset(data_dir)
    scorer = untrained_scorer(data)
    scorer.batch_tokens = 64
    rows = scorer.rows(data.splits["train"])
    threads(2)
    beside = scorer.score_tokens(rows).normalized
    # Each batch by both threads, one after the other.
    monkeypatch.setattr("trm_aes.scoring.scorer.side_by_side", map)
    assert np.array_equal(scorer.score_tokens(rows).normalized, beside)
    assert len(set(beside)) > 5
