"""`trm-aes build` of a data set on the Hub: its splits are taken, its classes are read by their names."""

import pytest
from building import assert_refused, essays, rows_of, run
from datasets import ClassLabel, Dataset, Features, Value

from trm_aes.data.sources.hub import as_frame


def hub_copy(folder, **splits):
    folder.mkdir()
    for name, frame in splits.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    return f"hub:{folder}"


def test_a_data_set_on_the_hub(tmp_path):
    table = essays(60, essay_id=lambda n: n).rename(columns={"essay": "text", "score": "grade"})
    source = hub_copy(tmp_path / "one", train=table)
    data = run(tmp_path, "--source", source, "--essay-column", "text", "--score-column", "grade")
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 36, "validation": 12, "test": 12}
    assert set(rows_of(data)["essay_id"]) == {str(n) for n in range(60)}
    assert_refused(tmp_path, "has no column 'essay'; it has text, grade", "--source", source, "--overwrite")


def test_splits_of_a_data_set_on_the_hub_are_taken(tmp_path):
    source = hub_copy(tmp_path / "many", train=essays(40), validation=essays(12, 40), test=essays(8, 52))
    data = run(tmp_path, "--source", source)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 40, "validation": 12, "test": 8}
    drawn = run(tmp_path, "--source", source, "--test-share", "0.5", "--overwrite")
    assert len(drawn.splits["test"]) == 30


def test_a_share_for_validation_leaves_the_test_essays_of_the_hub_alone(tmp_path):
    source = hub_copy(tmp_path / "two", train=essays(50), test=essays(20, 50))
    data = run(tmp_path, "--source", source, "--validation-share", "0.1")
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 45, "validation": 5, "test": 20}
    assert {int(text.split()[1]) for text in data.splits["test"]["essay"]} == set(range(50, 70))
    # A column is no part.
    source = hub_copy(tmp_path / "column", train=essays(60, split=lambda n: 2019 + n % 2))
    drawn = run(tmp_path, "--source", source, "--validation-share", "0.1", "--overwrite")
    assert {name: len(split) for name, split in drawn.splits.items()} == {"train": 42, "validation": 6, "test": 12}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("hub:user/name", "user/name cannot be downloaded: offline mode is set"),
        ("hub:", "--source hub:: give the name of a data set"),
        ("hub:{folder}:other", "cannot be loaded: .*other"),
    ],
)
def test_a_data_set_on_the_hub_that_is_not_there(tmp_path, source, message):
    hub_copy(tmp_path / "one", train=essays())
    assert_refused(tmp_path, message, "--source", source.format(folder=tmp_path / "one"))


def test_classes_of_a_data_set_on_the_hub_are_read_by_their_names():
    features = Features({"grade": ClassLabel(names=["excellent", "good", "poor"]), "essay": Value("string")})
    rows = Dataset.from_dict({"grade": [0, 2, -1, None], "essay": ["a", "b", "c", "d"]}, features=features)
    assert as_frame(rows)["grade"].tolist() == ["excellent", "poor", None, None]
