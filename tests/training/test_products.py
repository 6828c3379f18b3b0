"""Linear systems of the products of essays, against matrices that are worked out in full."""

import tracemalloc

import numpy as np
import pytest
from scipy.sparse import random_array

from trm_aes.training.fit import products
from trm_aes.training.fit.products import CenteredProducts


def some_products(num_essays, seed=0):
    rng = np.random.default_rng(seed)
    words = random_array((num_essays, 500), density=0.04, format="csr", rng=rng)
    return CenteredProducts(words, 0.1 * rng.standard_normal((num_essays, 6)))


def test_the_matrix_is_that_of_inputs_less_their_mean():
    inputs = some_products(30)
    together = np.hstack([inputs.words.toarray(), inputs.dense])
    centered = together - together.mean(axis=0)
    np.testing.assert_allclose(inputs.full(), centered @ centered.T, atol=1e-10)


def test_step_by_step_is_the_solution_in_full(monkeypatch):
    inputs, targets = some_products(400), np.random.default_rng(1).standard_normal(400)
    dual, diagonal = inputs.solve(targets, 0.3)
    np.testing.assert_allclose(inputs.full() @ dual + 0.3 * dual, targets, atol=1e-10)
    np.testing.assert_allclose(diagonal, np.linalg.inv(inputs.full() + 0.3 * np.eye(400)).diagonal())
    monkeypatch.setattr(products, "MOST_IN_FULL", 399)
    stepwise, estimated = inputs.solve(targets, 0.3)
    np.testing.assert_allclose(stepwise, dual, atol=1e-6)
    # One value for all, near the mean of those that differ.
    assert len(set(estimated)) == 1 and estimated[0] == pytest.approx(diagonal.mean(), rel=0.03)


def test_memory_grows_with_the_essays_and_not_with_their_pairs():
    """20,000 essays, of whose pairs the matrix would take 3 GB."""
    inputs = some_products(20_000)
    tracemalloc.start()
    try:
        inputs.solve(np.random.default_rng(1).standard_normal(20_000), 2.0)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
