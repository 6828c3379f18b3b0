"""The ridge regression whose weights the lexical head takes: one prompt's essays, solved in its dual form."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.sparse import csr_matrix

from ...model.heads_trm import TRMLexicalHead
from ...model.traits_trm import TRMTraitHead
from .products import CenteredProducts

MIN_SPREAD = 1e-6


@dataclass(frozen=True)
class Weighing:
    """
    How much of the ridge regression's prior variance each kind of input has, beside rows of words of unit mean square.

    Args:
        penalty: of the regression.
        counts, features, states: variance of each standardized length, text feature, and mean or spread of a state.
    """

    penalty: float
    counts: float
    features: float = 0.0
    states: float = 0.0


@dataclass(frozen=True)
class Inputs:
    """
    What the head sees of the essays of a prompt.

    Args:
        words: `1 + log(count)` of each word piece, `(essays, vocab_size)`.
        counts: lengths, `(essays, 2)`.
        features: standardized text features, `(essays, features)`.
        moments: means and spreads of an encoder's states, `(essays, 2 * width)`; not standardized at first.
    """

    words: csr_matrix
    counts: np.ndarray
    features: np.ndarray
    moments: np.ndarray

    def of(self, places: np.ndarray) -> "Inputs":
        """Those of some of the essays, in the order of `places`."""
        return Inputs(self.words[places], self.counts[places], self.features[places], self.moments[places])

    def standardized(self, head: TRMLexicalHead, place: int) -> "Inputs":
        """These inputs with their moments as the head sees them of essays of the prompt at `place`."""
        if head.states is None or not self.moments.size:
            return self
        places = torch.full((len(self.moments),), place)
        return replace(self, moments=head.standardize_moments(torch.tensor(self.moments), places).double().numpy())


@dataclass(frozen=True)
class Regression:
    """
    A solved ridge regression.

    Args:
        words, counts, features, states: weights of the head's inputs: `(vocab_size,)`, `(3,)` with the constant first,
            `(features,)` and `(2 * width,)`.
        targets: what was learned, `(essays,)`.
        products: of the essays' inputs, less their mean.
        dual: the solution in the space of essays, `(essays,)`.
        inverse_diagonal: of the inverse of the products with the penalty, `(essays,)`.
        penalty: of the regression.
    """

    words: np.ndarray
    counts: np.ndarray
    features: np.ndarray
    states: np.ndarray
    targets: np.ndarray
    products: CenteredProducts
    dual: np.ndarray
    inverse_diagonal: np.ndarray
    penalty: float

    def fitted(self) -> np.ndarray:
        """What the regression says of the essays it was solved on: `(essays,)`."""
        return self.targets - self.penalty * self.dual

    def left_out(self) -> np.ndarray:
        """
        What it would say of each essay if it had been solved on the others alone: `(essays,)`, in closed form (Allen 1974,
        PRESS). The means of inputs and targets stay those of all essays: of a few, the mean of the others moves away from
        the one left out, which hides how far predictions spread. Of more than 5,000 essays it is an estimate (see
        [`CenteredProducts.solve`]).
        """
        return self.targets - self.dual / self.inverse_diagonal

    def by_having_seen(self) -> np.ndarray:
        """What the regression says of each essay less what it would say had it been left out: `(essays,)`."""
        return self.fitted() - self.left_out()

    @torch.no_grad()
    def add_to(self, head: TRMLexicalHead | TRMTraitHead, place: int, times: float = 1.0):
        """
        Adds the weights, multiplied by `times`, to those that the head has for the prompt at `place`, or for the pair of prompt
        and trait there.
        """
        head.words.weight[:, place] += torch.tensor(times * self.words)
        head.counts.weight[place] += torch.tensor(times * self.counts)
        if head.features is not None:
            head.features.weight[place] += torch.tensor(times * self.features)
        if head.states is not None and len(self.states):
            head.states.weight[place] += torch.tensor(times * self.states)


def solve(inputs: Inputs, targets: np.ndarray, weighing: Weighing) -> Regression:
    """
    Solves one prompt's regression (mostly fewer essays than inputs, so in the space of essays). The constant is the targets'
    mean less what the other weights give on average.

    Args:
        inputs: their moments standardized.
        targets: in standard deviations of the prompt's scores, `(essays,)`.
        weighing: how much each kind of input may say.
    """
    word_scale = 1 / np.sqrt(inputs.words.multiply(inputs.words).sum() / inputs.words.shape[0])
    words = inputs.words * word_scale
    count_means, count_stds = inputs.counts.mean(axis=0), np.maximum(inputs.counts.std(axis=0), MIN_SPREAD)
    blocks = {
        "counts": ((inputs.counts - count_means) / count_stds, weighing.counts),
        "features": (inputs.features, weighing.features),
        "states": (inputs.moments, weighing.states),
    }
    dense = np.hstack([values * np.sqrt(variance) for values, variance in blocks.values()])
    word_mean, dense_mean = np.asarray(words.mean(axis=0))[0], dense.mean(axis=0)
    products = CenteredProducts(words, dense)
    dual, inverse_diagonal = products.solve(targets - targets.mean(), weighing.penalty)
    # Of centered inputs.
    of_words = words.T @ dual - word_mean * dual.sum()
    of_dense = dense.T @ dual - dense_mean * dual.sum()
    constant = targets.mean() - word_mean @ of_words - dense_mean @ of_dense
    ends = np.cumsum([values.shape[1] for values, _ in blocks.values()])[:-1]
    of_counts, of_features, of_states = (
        weights * np.sqrt(variance)
        for weights, (_, variance) in zip(np.split(of_dense, ends), blocks.values(), strict=True)
    )
    of_counts = of_counts / count_stds
    counts = np.array([constant - of_counts @ count_means, *of_counts])
    return Regression(
        of_words * word_scale,
        counts,
        of_features,
        of_states,
        targets,
        products,
        dual,
        inverse_diagonal,
        weighing.penalty,
    )
