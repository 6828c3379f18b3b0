"""The door for traits: columns of the source, a table joined by ids, scales by prompt."""

import json

import numpy as np
import pandas as pd
import pytest

from trm_aes.cli import build
from trm_aes.data.dataset import load_essay_dataset
from trm_aes.errors import InputError
from trm_aes.files import write_json
from trm_aes.model.score_scale import ScoreRange

SHORT = ["--max-tokens", "64", "--max-prompt-tokens", "8"]


def essays(number=60, **columns):
    """Essays of two prompts, a and b; `columns` are functions of an essay's number."""
    rows = {
        "essay_id": [f"e{n:03}" for n in range(number)],
        "prompt_id": ["ab"[n % 2] for n in range(number)],
        "essay": [f"Essay {n} is fair." for n in range(number)],
        "score": [n // 2 % 4 for n in range(number)],
    }
    return pd.DataFrame({**rows, **{name: [made(n) for n in range(number)] for name, made in columns.items()}})


def write(path, frame):
    frame.to_csv(path, index=False)
    return path


def run(tmp_path, *options):
    build.main([*map(str, options), "--output-dir", str(tmp_path / "out"), *SHORT])
    return load_essay_dataset(tmp_path / "out")


def rows_of(data):
    return pd.concat(split.to_pandas() for split in data.splits.values()).set_index("essay_id").sort_index()


def test_scales_by_prompt_and_missing_scores(tmp_path, capsys):
    """Organization is scored 1 to 6 in a and 0 to 3 by half points in b; style in a alone, and not in every essay."""
    table = essays(
        organization=lambda n: n // 2 % 7 / 2 if n % 2 else n // 2 % 6 + 1,
        style=lambda n: "" if n % 2 or n < 6 else n // 2 % 5,
    )
    source = write(tmp_path / "e.csv", table)
    options = [
        "--trait-column",
        "organization=1:6",
        "--trait-column",
        "organization=b=0:3:0.5",
        "--trait-column",
        "style",
    ]
    data = run(tmp_path, "--source", source, *options)
    assert data.trait_ranges == {
        "organization": {"a": ScoreRange(1, 6), "b": ScoreRange(0, 3, 0.5)},
        # As the essays have them.
        "style": {"a": ScoreRange(0, 4)},
    }
    rows = rows_of(data)
    assert rows["organization"].notna().all() and rows["style"].isna().sum() == 33
    np.testing.assert_array_equal(rows["organization"], table["organization"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "organization 1 to 6 (given) in a; 0 to 3 by 0.5 (given) in b style 0 to 4 (scores seen) in a" in printed


def test_a_table_of_traits_is_joined_by_ids(tmp_path, capsys):
    source = write(tmp_path / "e.csv", essays())
    traits = pd.DataFrame(
        {
            "essay_id": [f"e{n:03}" for n in reversed(range(3, 70))],
            "prompt_id": "whatever",
            "voice": [n % 5 for n in reversed(range(3, 70))],
            "remark": "fine",
            "grammar": [n % 3 / 2 if n % 2 else np.nan for n in reversed(range(3, 70))],
        }
    )
    data = run(tmp_path, "--source", source, "--traits", write(tmp_path / "t.csv", traits))
    assert data.trait_ranges == {
        "voice": {"a": ScoreRange(0, 4), "b": ScoreRange(0, 4)},
        "grammar": {"b": ScoreRange(0, 1, 0.5)},
    }
    rows = rows_of(data)
    assert rows.loc[["e000", "e001", "e002"], "voice"].isna().all()
    assert list(rows["voice"].iloc[3:]) == [n % 5 for n in range(3, 60)]
    assert rows.loc["e007", "grammar"] == 0.5 and np.isnan(rows.loc["e008", "grammar"])
    # The source's own column stays.
    assert set(rows["prompt_id"]) == {"a", "b"} and "remark" not in rows
    printed = capsys.readouterr().out
    assert "57 essays have a row there. 10 rows of it match no essay. 3 essays have no row there" in printed
    assert "Not read of it: remark" in printed

    # Named, some of them are read.
    scales = tmp_path / "scales.json"
    write_json(scales, {"voice": {"a": [-1, 9], "b": [0, 8, 2]}})
    with pytest.raises(InputError, match=r"t\.csv, row 67, column 'voice': 3 is not on the scale 0 to 8 by 2"):
        run(tmp_path, "--source", source, "--traits", tmp_path / "t.csv", "--trait-scales", scales, "--overwrite")
    write_json(scales, {"voice": {"a": [-1, 9]}, "grammar": {}})
    options = ["--source", source, "--traits", tmp_path / "t.csv", "--trait-scales", scales, "--overwrite"]
    data = run(tmp_path, *options)
    assert data.trait_ranges["voice"] == {"a": ScoreRange(-1, 9), "b": ScoreRange(0, 4)}


def test_a_prompt_that_is_left_out_takes_its_traits_along(tmp_path):
    source = write(tmp_path / "e.csv", essays(style=lambda n: "" if n % 2 else n // 2 % 5, voice=lambda n: n % 3))
    options = ["--trait-column", "style", "--trait-column", "voice", "--prompt-set", "b"]
    data = run(tmp_path, "--source", source, *options)
    assert data.trait_ranges == {"style": {}, "voice": {"b": ScoreRange(0, 2)}}


def test_essays_with_a_bad_score_of_a_trait_are_set_aside(tmp_path):
    source = write(tmp_path / "e.csv", essays())
    traits = pd.DataFrame(
        {"essay_id": [f"e{n:03}" for n in range(60)], "voice": [9 if n == 4 else n % 5 for n in range(60)]}
    )
    options = ["--traits", write(tmp_path / "t.csv", traits), "--trait-column", "voice=0:4", "--on-error", "skip"]
    data = run(tmp_path, "--source", source, *options)
    assert "e004" not in rows_of(data).index and len(rows_of(data)) == 59
    rejected = pd.read_csv(tmp_path / "out.rejected.csv")
    assert list(rejected["essay_id"]) == ["e004"]
    assert rejected["reason"][0].endswith("t.csv, row 5, column 'voice': 9 is not on the scale 0 to 4.")


def test_training_essays_without_two_scores_of_a_trait_are_warned_of(tmp_path, capsys):
    splits = ["train", "train", "validation", "test"]
    table = essays(split=lambda n: splits[n // 2 % 4], style=lambda n: 1 if splits[n // 2 % 4] == "train" else n % 5)
    run(tmp_path, "--source", write(tmp_path / "e.csv", table), "--trait-column", "style=0:4")
    assert "no two different scores of trait 'style' in a, b: it is not learned there" in capsys.readouterr().out


def refused(tmp_path, options, message, **files):
    for name, content in files.items():
        path = tmp_path / name.replace("_", ".")
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    write(tmp_path / "e.csv", essays(style=lambda n: n % 5, same=lambda n: 2, note=lambda n: "x"))
    with pytest.raises(InputError, match=message):
        run(
            tmp_path, "--source", tmp_path / "e.csv", *[str(option).replace("TMP", str(tmp_path)) for option in options]
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trait-column", "style=0:3"], r"e\.csv, row 5, column 'style': 4 is not on the scale 0 to 3"),
        (["--trait-column", "note"], r"row 1, column 'note': 'x' is not a number"),
        (["--trait-column", "same"], r"trait 'same' of prompt 'a' are all 2.*--trait-column, as in same=a=1:6"),
        (
            ["--trait-column", "style=c=0:4"],
            r"--trait-column: trait 'style' has a scale for prompt 'c', which .* lacks",
        ),
        (["--trait-column", "style=0:4", "--trait-column", "style=0:5"], "given twice.*trait 'style'"),
        (["--trait-column", "style=lots"], "--trait-column lots: give LOWEST:HIGHEST"),
        (["--trait-column", "score"], "cannot be read as two things"),
        (["--traits", "TMP/missing.csv"], "missing.csv does not exist"),
    ],
)
def test_what_is_refused_of_columns(tmp_path, options, message):
    refused(tmp_path, options, message)


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        ("essay_id,voice\ne001,1\ne001,2\n", [], r"t\.csv, row 2: essay_id 'e001' is that of row 1, too"),
        ("id,voice\ne001,1\n", [], r"t\.csv has no column 'essay_id'; it has id, voice"),
        ("essay_id,voice\nx1,1\n", [], r"none of its ids is one of .*'x1' and 'e000'"),
        ("essay_id,voice\n,1\n", [], r"row 1, column 'essay_id': there is no id"),
        ("essay_id,voice\ne001,loud\n", [], r"no column of numbers"),
        ("essay_id,style\ne001,1\n", ["--trait-column", "style"], r"'style' stands in the source and in .*t\.csv"),
        ("essay_id,voice\ne001,1\n", ["--trait-column", "vioce"], r"no column 'vioce'.*Did you mean 'voice'"),
        ("essay_id,error\ne001,1\ne002,2\n", ["--trait-column", "error=1:6"], "a trait cannot be called 'error'"),
    ],
)
def test_what_is_refused_of_a_table(tmp_path, content, more, message):
    refused(tmp_path, ["--traits", "TMP/t.csv", *more], message, t_csv=content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "names no traits"),
        ({"style": [6, 1]}, "style: .*6, 1.*: 1 is not above 6"),
        ({"style": {"a": ["A1", "A2"]}}, r"style, a: .*a scale is \[lowest, highest\]"),
        ({"style": 6}, "style: 6: a scale is"),
    ],
)
def test_what_is_refused_of_scales(tmp_path, content, message):
    refused(tmp_path, ["--trait-scales", "TMP/s.json"], message, s_json=content)


def test_a_trait_is_named_in_one_place(tmp_path):
    options = ["--trait-scales", "TMP/s.json", "--trait-column", "style=0:4"]
    refused(tmp_path, options, "trait 'style' is named with --trait-column, too", s_json={"style": [0, 4]})


def test_the_demo_corpus_has_traits_of_its_own(demo_dir):
    data = load_essay_dataset(demo_dir)
    assert set(data.trait_ranges["organization"].values()) == {ScoreRange(0, 100)}
    assert list(data.trait_ranges["organization"]) == list(data.score_ranges)


def test_data_sets_of_earlier_versions_have_one_scale_for_all_prompts(tmp_path):
    data = run(
        tmp_path, "--source", write(tmp_path / "e.csv", essays(style=lambda n: n % 5)), "--trait-column", "style"
    )
    scale = data.card["values"]["traits"]["style"]["a"]
    data.card["values"]["traits"] = {"style": scale}
    assert data.trait_ranges == {"style": {"a": ScoreRange(0, 4), "b": ScoreRange(0, 4)}}
