"""Runs in RSMTool's own environment: reads scores as JSON from standard input, prints what RSMTool makes of them."""

import json
import sys

import numpy as np
import pandas as pd
from rsmtool.fairness_utils import get_fairness_analyses
from rsmtool.utils.metrics import (
    agreement,
    difference_of_standardized_means,
    quadratic_weighted_kappa,
    standardized_mean_difference,
)
from rsmtool.utils.prmse import prmse_true
from rsmtool.version import __version__


def measure(case):
    gold, predicted = (np.array(case[name]) for name in ("gold", "predicted"))
    rounded, groups = np.array(case["rounded"]), np.array(case["groups"])
    ratings = np.array(case["ratings"], dtype=float)
    frame = pd.DataFrame({"sc1": gold, "system": predicted, "writer": groups})
    _, fairness = get_fairness_analyses(frame, "writer", "system")
    table = fairness.get_frame("fairness_metrics_by_writer")
    names = {"Overall score accuracy": "osa", "Overall score difference": "osd", "Conditional score difference": "csd"}
    member = groups == case["group"]
    return {
        "qwk": quadratic_weighted_kappa(gold, rounded),
        "qwk_continuous": quadratic_weighted_kappa(gold, predicted),
        "exact": agreement(gold, rounded) / 100,
        "adjacent": agreement(gold, rounded, tolerance=1) / 100,
        "smd": standardized_mean_difference(gold, predicted),
        "rater_smd": standardized_mean_difference(ratings[:, 0], ratings[:, 1], method="pooled"),
        "prmse": prmse_true(predicted, ratings),
        "prmse_with_gaps": prmse_true(predicted, np.array(case["gaps"], dtype=float)),
        "group_smd": standardized_mean_difference(
            gold[member], predicted[member], np.std(gold, ddof=1), method="johnson"
        ),
        "group_dsm": difference_of_standardized_means(
            gold[member],
            predicted[member],
            np.mean(gold),
            np.mean(predicted),
            np.std(gold, ddof=1),
            np.std(predicted, ddof=1),
        ),
        **{f"{names[test]}_r2": float(table.loc["R2", test]) for test in names},
        **{f"{names[test]}_p": float(table.loc["sig", test]) for test in names},
    }


print(json.dumps({"version": __version__, "measures": [measure(case) for case in json.load(sys.stdin)]}))
