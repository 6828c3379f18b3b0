"""What has changed since an earlier administration, and what is not compared."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from report_data import constant_frame, essay_data, report_of
from scipy.stats import fisher_exact

from trm_aes.errors import InputError
from trm_aes.files import write_json
from trm_aes.model.score_scale import ScoreRange
from trm_aes.records import Distribution, EvaluationRecord
from trm_aes.report.drift import Reference, _drift_row, drift_section, population_stability
from trm_aes.report.files import write_report
from trm_aes.report.record import AdvisoryRow


def test_population_stability_by_hand():
    # Two bins, up to 1 and above: shares 3/4 and 1/4 before, 1/2 and 1/2 now.
    before, now = np.array([0.0, 1, 1, 2]), np.array([1.0, 1, 2, 2])
    expected = -0.25 * np.log(2 / 3) + 0.25 * np.log(2)
    assert population_stability(before, now, bins=2) == pytest.approx(expected)
    assert population_stability(before, before, bins=2) == 0
    # All of one bin before: the other counts as half an essay of 4.
    expected = (0.5 - 1) * np.log(0.5) + (0.5 - 0.125) * np.log(0.5 / 0.125)
    assert population_stability(np.ones(4), np.array([1.0, 1, 2, 2]), bins=2) == pytest.approx(expected)


def test_without_drift_small_administrations_are_green(tmp_path):
    rng = np.random.default_rng(0)
    prompts = [str(number) for number in range(200)]
    before, now = ([distribution("words", rng.normal(size=60), name) for name in prompts] for _ in range(2))
    drift, _ = drift_section(reference_of(tmp_path, before), now, [], 60 * 200)
    psi = np.array([row.psi for row in drift.rows])
    assert psi.mean() < 0.1 and (psi > 0.1).any()
    # The test of 200 prompts at the level of 5 %: more than 18 would be a chance of 1 in 100.
    assert sum(row.level != "green" for row in drift.rows) <= 18


def distribution(what, values, prompt_id="a"):
    different, counts = np.unique(values, return_counts=True)
    return Distribution(prompt_id=prompt_id, what=what, values=different.tolist(), counts=counts.tolist())


def reference_of(tmp_path, distributions, name="evaluation.json"):
    record = EvaluationRecord(
        model="m", split="test", by_prompt={}, means={"mean_qwk": 1.0}, constant_mean_qwk=0, distributions=distributions,
        created="2026-01-02T03:04:05+00:00",
    )  # fmt: skip
    write_json(tmp_path / name, asdict(record))
    return Reference(tmp_path / name)


def test_what_has_shifted_is_found(tmp_path):
    rng = np.random.default_rng(1)
    words, longer = rng.normal(200, 40, 300).round(), rng.normal(230, 40, 300).round()
    scores = rng.integers(1, 7, 300)
    reference = reference_of(tmp_path, [distribution("words", words), distribution("predicted score", scores)])
    drift, skipped = drift_section(
        reference, [distribution("words", longer), distribution("predicted score", rng.permutation(scores))], [], 300
    )
    assert drift.reference == "m, split test, 2026-01-02" and not skipped
    shifted, same = drift.rows
    assert (shifted.what, shifted.n_reference, shifted.n) == ("prompt a: words", 300, 300)
    assert shifted.mean == pytest.approx(longer.mean()) and shifted.mean_reference == pytest.approx(words.mean())
    assert shifted.level == "red" and shifted.psi > 0.25 and shifted.p < 0.001
    assert same.level == "green" and same.psi == same.ks == 0 and same.p == 1


def test_what_one_of_the_two_lacks_or_has_few_essays_of_is_said(tmp_path):
    some, few = np.arange(40), np.arange(39)
    reference = reference_of(tmp_path, [distribution("words", some), distribution("words", few, "b")])
    drift, [said] = drift_section(
        reference,
        [distribution("words", some), distribution("words", some, "b"), distribution("words", some, "c")],
        [],
        120,
    )
    assert [row.what for row in drift.rows] == ["prompt a: words"]
    assert said.endswith("fewer than 40 essays: prompt b: words, prompt c: words.")


def test_shares_of_advisories_are_compared(tmp_path):
    def with_advisories(number):
        report = report_of(essay_data(constant_frame([0, 1, 2, 3] * 25), {"a": ScoreRange(0, 4)}), [0, 1, 2, 3] * 25)
        row = AdvisoryRow(name="Too Brief", rule="…", n=number, share=number / 100)
        return report.distributions, [row], report

    distributions, rows, report = with_advisories(5)
    folder = tmp_path / "earlier"
    folder.mkdir()
    write_report(type(report)(**{**vars(report), "advisories": rows}), folder)
    drift, _ = drift_section(Reference(folder / "report.json"), distributions, with_advisories(40)[1], 100)
    found = drift.rows[-1]
    assert (found.what, found.mean_reference, found.mean, found.ks) == (
        "advisory: Too Brief",
        0.05,
        0.4,
        pytest.approx(0.35),
    )
    assert found.psi == pytest.approx(0.35 * np.log(0.4 / 0.05) - 0.35 * np.log(0.6 / 0.95)) and found.level == "red"


def test_advisories_that_are_ten_times_as_frequent_are_no_longer_green():
    rare, common = (np.repeat([1.0, 0.0], [n, 1000 - n]) for n in (2, 20))
    found = _drift_row("advisory: Too Brief", rare, common)
    assert found.psi < 0.1 and found.p == pytest.approx(fisher_exact([[2, 998], [20, 980]]).pvalue) and found.p < 0.001
    assert found.level == "amber" and _drift_row("advisory: Too Brief", rare, rare).level == "green"
    assert _drift_row("prompt a: words", rare, common).level == "green"


@pytest.mark.parametrize(
    "content, said",
    [
        ("{", "is not valid JSON"),
        ("[]", "holds no JSON object"),
        ('{"subject": 3}', "lacks 'created'"),
        ('{"model": "m"}', "lacks 'split'"),
    ],
)
def test_a_reference_that_is_none_is_refused(tmp_path, content, said):
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(InputError, match=said):
        Reference(tmp_path / "report.json")


def test_an_evaluation_without_distributions_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no distributions of scores and lengths: an earlier version wrote it"):
        reference_of(tmp_path, [])


def test_a_report_with_a_wrong_part_deep_within_it_is_refused(tmp_path):
    report = report_of(essay_data(constant_frame([0, 1, 2, 3]), {"a": ScoreRange(0, 4)}), [0, 1, 2, 3])
    write_report(report, tmp_path)
    content = json.loads((tmp_path / "report.json").read_text())
    content["agreement"][0]["measures"]["qwk"]["value"] = "high"
    (tmp_path / "report.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"agreement 1, measures, qwk: 'value' must be a number or null, not \"high\""):
        Reference(tmp_path / "report.json")
