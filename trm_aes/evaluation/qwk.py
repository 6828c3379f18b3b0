"""Quadratic weighted kappa as an `evaluate.Metric` that needs no Hub. Importing `evaluate` takes seconds."""

import datasets
import evaluate

from .agreement import quadratic_weighted_kappa


class QuadraticWeightedKappa(evaluate.Metric):
    """
    Example:

    ```python
    >>> from trm_aes.qwk import QuadraticWeightedKappa
    >>> QuadraticWeightedKappa().compute(references=[1, 2, 3], predictions=[1, 2, 3], min_score=1, max_score=6)
    {'qwk': 1.0}
    ```
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Cohen's kappa with quadratic weights over a prompt's whole score range.",
            citation="Cohen, J. (1968). Weighted kappa. Psychological Bulletin 70(4).",
            inputs_description="predictions, references: whole scores; min_score, max_score: the prompt's range.",
            features=datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}),
        )

    def _compute(self, predictions, references, min_score: int, max_score: int) -> dict[str, float]:
        return {"qwk": quadratic_weighted_kappa(references, predictions, min_score, max_score)}
