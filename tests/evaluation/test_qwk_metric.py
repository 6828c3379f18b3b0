"""The `evaluate` metric: its values, and the example of its documentation, run as it stands."""

import inspect
import re

import numpy as np
import pytest
import torch

from trm_aes.evaluation.agreement import quadratic_weighted_kappa
from trm_aes.evaluation.qwk import QuadraticWeightedKappa


def test_it_is_the_kappa_of_the_whole_range_and_needs_no_hub():
    qwk = QuadraticWeightedKappa()
    assert qwk.compute(references=[1, 2, 3], predictions=[1, 2, 2], min_score=1, max_score=3) == {
        "qwk": pytest.approx(2 / 3)
    }
    # Nobody got a 2: see test_qwk_counts_the_whole_range.
    assert qwk.compute(references=[1, 3, 4, 1], predictions=[3, 3, 4, 1], min_score=1, max_score=4) == {
        "qwk": pytest.approx(1 - 4 / 12.5)
    }


def test_half_points_count_in_steps():
    qwk = QuadraticWeightedKappa()
    # As above, at half the distance.
    scores = {"references": [1, 1.5, 2], "predictions": [1, 1.5, 1.5]}
    assert qwk.compute(**scores, min_score=1, max_score=2, score_step=0.5) == {"qwk": pytest.approx(2 / 3)}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"predictions": [1.6, 2.6, 3.6]}, "`predictions` have 3 scores that are not on the scale 1 to 3, 1.6 first"),
        ({"predictions": [1, 2, 4]}, "`predictions` have 1 scores that are not on the scale 1 to 3, 4 first"),
        ({"references": [0, 2, 3]}, "`references` have 1 scores that are not on the scale 1 to 3, 0 first"),
        ({"references": [1, 2, float("nan")]}, "nan first"),
        ({"min_score": 3}, "3 is not above 3"),
        ({"score_step": 0.3}, "no whole number of steps"),
    ],
)
def test_scores_off_the_scale_are_refused(wrong, message):
    given = {"references": [1, 2, 3], "predictions": [1, 2, 2], "min_score": 1, "max_score": 3}
    with pytest.raises(ValueError, match=message):
        QuadraticWeightedKappa().compute(**{**given, **wrong})


def test_the_documented_example_trains_and_measures(data_dir, model_dir, tmp_path, monkeypatch, capsys):
    [example] = re.findall(r"```python\n(.*?)```", inspect.getdoc(QuadraticWeightedKappa), re.DOTALL)
    (tmp_path / "runs").mkdir()
    for name, folder in (("data", data_dir), ("model", model_dir)):
        (tmp_path / "runs" / name).symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(example, names)
    trainer, essays = names["trainer"], names["essays"]["validation"]
    measured = trainer.evaluate()["eval_qwk"]
    assert f"{measured}\n" in capsys.readouterr().out
    assert set(essays["prompt_id"]) == {"a"} and len(essays) == 6
    # The same by hand, from the model's outputs.
    trainer.model.eval()
    with torch.no_grad():
        outputs = [trainer.model(**names["EssayCollator"](names["tokenizer"])([row])).logits.item() for row in essays]
    scores = np.rint(3 * np.clip(outputs, 0, 1)).astype(int)
    gold = np.asarray(essays["score"]).astype(int)
    assert measured == pytest.approx(quadratic_weighted_kappa(gold, scores, 0, 3))
