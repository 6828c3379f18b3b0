"""Linear systems of the products of essays' inputs: worked out in full for few essays, solved step by step for many."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import LinearOperator, cg

# Of more essays the products of all pairs are not worked out: of 5,000 they take 200 MB each time that they are copied, and both
# memory and time grow with the square of the number and more.
MOST_IN_FULL = 5000
# Residual of the system, relative to its right side, at which steps end.
TOLERANCE = 1e-8
# Random vectors that estimate a mean over thousands of essays, to about 1 %.
NUM_PROBES = 4


@dataclass(frozen=True)
class CenteredProducts:
    """
    The products of essays' inputs, less the mean input: a matrix `(essays, essays)`, positive semidefinite.

    Args:
        words: `(essays, vocab_size)`.
        dense: all other inputs, `(essays, others)`.
    """

    words: csr_matrix
    dense: np.ndarray

    def __len__(self) -> int:
        return len(self.dense)

    def full(self) -> np.ndarray:
        """The matrix itself."""
        products = (self.words @ self.words.T).toarray() + self.dense @ self.dense.T
        means = products.mean(axis=0)
        return products - means - means[:, None] + means.mean()

    def solve(self, targets: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """
        Solves `(matrix + penalty * identity) @ dual = targets`.

        Args:
            targets: `(essays,)`.
            penalty: above 0.

        Returns:
            `dual`, and the diagonal of the inverse of the matrix with the penalty, both `(essays,)`. For more than 5,000 essays
            conjugate gradients (Hestenes and Stiefel 1952) take the place of the matrix, and in place of each entry of the
            diagonal stands their mean, as in generalized cross-validation (Golub, Heath and Wahba 1979), by Hutchinson's
            estimate (1990).
        """
        if len(self) > MOST_IN_FULL:
            return self._solve_stepwise(targets, penalty)
        factor = cho_factor(self.full() + penalty * np.eye(len(self)))
        return cho_solve(factor, targets), cho_solve(factor, np.eye(len(self))).diagonal()

    def _solve_stepwise(self, targets: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        size = len(self)
        system = LinearOperator((size, size), matvec=lambda vector: self._times(vector) + penalty * vector, dtype=float)
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (NUM_PROBES, size))
        # It ends: the steps that n unknowns take are n at most, and with a penalty far fewer.
        dual, *solved = (cg(system, side, rtol=TOLERANCE, atol=0.0)[0] for side in (targets, *signs))
        return dual, np.full(
            size, np.mean([sign @ inverse for sign, inverse in zip(signs, solved, strict=True)]) / size
        )

    def _times(self, vector: np.ndarray) -> np.ndarray:
        """The matrix times a vector `(essays,)`."""
        centered = vector - vector.mean()
        product = self.words @ (self.words.T @ centered) + self.dense @ (self.dense.T @ centered)
        return product - product.mean()
