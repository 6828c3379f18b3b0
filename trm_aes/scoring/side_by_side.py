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
    second thread makes little faster; a second batch beside it keeps that thread busy (docs/lab/performance.md). One item
    alone has all threads. Results are those of one after the other, to the bit.

    Args:
        compute: called in threads other than this one, where there are several items.
        items: looked at as they are needed; at most one more than are computed at once is in memory.
    """
    items, num_threads = iter(items), torch.get_num_threads()
    at_once = min(num_threads, MOST_AT_ONCE)
    first = list(islice(items, 2))
    if at_once == 1 or len(first) < 2:
        yield from map(compute, chain(first, items))
        return
    pool = ThreadPoolExecutor(at_once, "side-by-side", torch.set_num_threads, (num_threads // at_once,))
    waiting: deque[Future[Result]] = deque()
    try:
        for item in chain(first, items):
            waiting.append(pool.submit(compute, item))
            if len(waiting) > at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        # Some of its settings belong to the process (MKL's).
        torch.set_num_threads(num_threads)
