"""
Our formulas against RSMTool's on random data. RSMTool takes NumPy 1 alone, so it runs in an environment of its own: `make
test-oracle` makes that, and gives its Python in TRM_AES_ORACLE_PYTHON.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from trm_aes.evaluation.fairness import comparable_scores, group_measures, group_sizes, group_tests
from trm_aes.evaluation.measures import PromptScores, agreement_measures
from trm_aes.evaluation.raters import pair_measures
from trm_aes.evaluation.true_score import prmse
from trm_aes.model.score_scale import ScoreRange

PYTHON = os.environ.get("TRM_AES_ORACLE_PYTHON")
SCALE = ScoreRange(1, 6)
pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(PYTHON is None, reason="RSMTool is absent: `make test-oracle` installs it"),
]


def random_case(seed):
    rng = np.random.default_rng(seed)
    number = int(rng.integers(60, 300))
    true = rng.normal(3.5, 1, number)
    ratings = np.clip(np.round(true[:, None] + rng.normal(0, 0.6, (number, 3))), 1, 6)
    gaps = ratings.copy()
    gaps[:, 1:][rng.random((number, 2)) < 0.5] = np.nan
    return {
        "gold": ratings[:, 0],
        "predicted": SCALE.clip(true + rng.normal(0.1, 0.5, number)),
        "ratings": ratings,
        "gaps": gaps,
        "groups": rng.choice(["a", "b", "c"], number),
        "group": "b",
    }


def measured_here(case):
    times = np.ones((1, len(case["gold"])))
    scores = PromptScores(SCALE, case["gold"], case["predicted"])
    of_all = agreement_measures(scores, times)
    found = {name: of_all[name] for name in ("qwk", "qwk_continuous", "exact", "adjacent", "smd")}
    found["rater_smd"] = pair_measures(case["ratings"][:, 0], case["ratings"][:, 1], times)["smd"]
    found["prmse"] = prmse(case["predicted"], case["ratings"], times)
    found["prmse_with_gaps"] = prmse(case["predicted"], case["gaps"], times)
    frame = comparable_scores([scores])
    of_group = group_measures(frame, case["groups"] == case["group"], times)
    found |= {"group_smd": of_group["smd"], "group_dsm": of_group["dsm"]}
    results = {name: float(values[0]) for name, values in found.items()}
    for name, test in group_tests(
        frame, case["groups"].astype(object), next(iter(group_sizes(case["groups"])))
    ).items():
        results |= {f"{name}_r2": test.r2, f"{name}_p": test.p}
    return results


def as_json(case):
    numbers = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in case.items()}
    numbers["rounded"] = SCALE.round(case["predicted"]).tolist()
    numbers["gaps"] = [[None if np.isnan(rating) else rating for rating in row] for row in numbers["gaps"]]
    return numbers


def test_formulas_are_those_of_rsmtool():
    cases = [random_case(seed) for seed in range(20)]
    run = subprocess.run(
        [PYTHON, str(Path(__file__).with_name("rsmtool_worker.py"))],
        input=json.dumps([as_json(case) for case in cases]), capture_output=True, text=True, timeout=300,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    answer = json.loads(run.stdout.splitlines()[-1])
    print(f"RSMTool {answer['version']}")
    for case, theirs in zip(cases, answer["measures"], strict=True):
        assert measured_here(case) == pytest.approx(theirs, abs=1e-6)
