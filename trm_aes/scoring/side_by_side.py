"""Batches side by side: on a CPU several are computed at once, each by a share of PyTorch's threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

# Each takes memory of its own.
MOST_AT_ONCE = 4


def side_by_side(compute: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """
    What a function computes of each item with PyTorch on the CPU, in order. A batch of essays is many small products, which a
    second thread makes little faster; a second batch beside it keeps that thread busy (measured on two cores, where scores
    were the same to the bit, docs/lab/performance.md). One item alone has all threads, and is computed in this one.

    PyTorch's number of threads is a setting of the process, too: threads that first use PyTorch meanwhile take a share for
    their number, and keep it.

    Args:
        compute: called in other threads where there are several items, so without this one's autocast or inference mode.
        items: looked at as they are needed, few more than are computed at once.
    """
    items, num_threads = iter(items), torch.get_num_threads()
    first = list(islice(items, MOST_AT_ONCE))
    at_once = min(num_threads, len(first))
    items = chain(iter(first), items)
    del first
    if at_once <= 1:
        yield from map(compute, items)
        return
    # They add up to all threads.
    shares = [num_threads // at_once + (place < num_threads % at_once) for place in range(at_once)]
    pool = ThreadPoolExecutor(at_once, "side-by-side", lambda: torch.set_num_threads(shares.pop()))
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(compute, item))
            if len(waiting) > at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        # For threads to come, and for MKL, whose number is the process's.
        torch.set_num_threads(num_threads)
