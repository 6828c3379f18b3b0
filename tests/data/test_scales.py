"""From what people have to a prompt's scale: as they say, as the file says, or as the scores look."""

import numpy as np
import pytest

from trm_aes.data.choices import parse_score_ranges
from trm_aes.data.prompts import read_prompt_infos
from trm_aes.data.scales import scale_columns, scale_of_row, usual_step
from trm_aes.data.schema import score_ranges
from trm_aes.data.sources.own import ColumnNames, load_own_table
from trm_aes.errors import InputError
from trm_aes.model.score_scale import ScoreRange


def table(tmp_path, header, *rows, **options):
    path = tmp_path / "t.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return load_own_table(path, **options)


def essays(*scores, prompt="1"):
    return [f"{prompt},essay {number},{score}" for number, score in enumerate(scores)]


HEADER = "prompt_id,essay,score"


def test_what_nobody_gives_is_read_off_the_scores(tmp_path):
    rows = [*essays("4", "6.5", "9"), *essays("1", "3", prompt="2"), *essays("0.05", "0.3", prompt="3")]
    found = table(tmp_path, HEADER, *rows)
    assert score_ranges(found.frame) == {
        "1": ScoreRange(4, 9, 0.5),
        "2": ScoreRange(1, 3),
        "3": ScoreRange(0.05, 0.3, 0.05),
    }
    assert found.provenance.ranges == dict.fromkeys("123", "scores seen")
    given = table(tmp_path, HEADER, *rows, score_ranges=parse_score_ranges(["1=0:9:0.5", "3=0:1:0.01"]))
    assert score_ranges(given.frame)["1"] == ScoreRange(0, 9, 0.5)
    assert given.provenance.ranges == {"1": "given", "2": "scores seen", "3": "given"}


@pytest.mark.parametrize(
    ("scores", "step"),
    [
        ([1, 2, 5], 1),
        ([4.5, 5.5], 0.5),
        ([0.25, 1], 0.25),
        ([0.1, 0.3], 0.1),
        ([70.05, 70.1], 0.05),
        ([66.67], 0.01),
        ([-0.5, 2], 0.5),
        ([0.125], 0.005),
        ([0.0625], None),
        ([1 / 3], None),
    ],
)
def test_the_largest_usual_step_is_taken(scores, step):
    assert usual_step(scores) == step


def test_columns_of_the_file_and_of_a_table_of_prompts(tmp_path):
    rows = ["a,x,1.5,1,5,0.5", "a,y,2,1,5,0.5", "b,z,2,0,4,", "b,w,3,0,4,"]
    found = table(tmp_path, f"{HEADER},min_score,max_score,score_step", *rows)
    assert score_ranges(found.frame) == {"a": ScoreRange(1, 5, 0.5), "b": ScoreRange(0, 4)}
    assert found.provenance.ranges == {"a": "columns", "b": "columns"}
    named = table(
        tmp_path,
        f"{HEADER},low,high,by",
        *rows,
        columns=ColumnNames(min_score="low", max_score="high", score_step="by"),
    )
    assert score_ranges(named.frame) == score_ranges(found.frame)
    assert not {"low", "high", "by"} & set(named.frame)
    prompts = tmp_path / "p.csv"
    prompts.write_text(
        "prompt_id,prompt,min_score,max_score,score_step\n1,Why?,4,9,0.5\n2,How?,0,4,\n", encoding="utf-8"
    )
    infos = read_prompt_infos(prompts)
    assert [info.score_range for info in infos.values()] == [ScoreRange(4, 9, 0.5), ScoreRange(0, 4)]
    assert score_ranges(table(tmp_path, HEADER, *essays("5", "6.5"), prompt_infos=infos).frame)["1"] == ScoreRange(
        4, 9, 0.5
    )


def test_labels_become_places_in_their_list(tmp_path):
    labels = ["A1,A2,B1,B2,C1,C2", "2=F,D,C,B,A"]
    rows = [*essays("B2", "A1", " C2 "), *essays("A", "F", prompt="2")]
    found = table(tmp_path, HEADER, *rows, score_ranges=parse_score_ranges([], labels))
    assert list(found.frame["score"]) == [4, 1, 6, 5, 1]
    ranges = score_ranges(found.frame)
    assert ranges["1"].format(4) == "B2" and ranges["2"].labels == ("F", "D", "C", "B", "A")
    with pytest.raises(
        InputError, match="row 1, column 'score': 'B2' is not a number. If scores are labels, .*`score_labels`"
    ):
        table(tmp_path, HEADER, *rows)
    with pytest.raises(InputError, match="row 2, column 'score': 'D1' is none of the labels A1, .*Mend the score"):
        table(tmp_path, HEADER, *essays("A1", "D1"), score_ranges=parse_score_ranges([], labels[:1]))


OFF_SCALE = {
    "half a point": (
        ["5", "6.5"],
        ["1:9"],
        "1 scores of prompt '1' are not on the scale 1 to 9, the first 6.5 in row 2",
    ),
    "a third": (["5", "6.3"], ["4:9:0.5"], "the first 6.3 in row 2. Mend them, or give the scale"),
    "outside": (["5", "9.5"], ["4:9:0.5"], "1 scores of prompt '1' lie outside 4 to 9, the first 9.5 in row 2"),
    "no usual scale": (["5", "6.3333333"], [], "row 2: 6.33333 is on no usual scale"),
    "one mistyped": (["0", "1", "2000000000"], [], "row 3: with the score 2e\\+09, prompt '1' has no scale"),
    "one too high": (["0", "1", "2", "65000"], [], "row 4: with the score 65000, .* 65,000 steps, .* 0:65000:1"),
    "one too precise": (["0", "4", "3.999"], [], "4,000 steps, 0 to 4 by 0.001"),
}


@pytest.mark.parametrize("case", OFF_SCALE)
def test_scores_off_their_scale_name_their_row(tmp_path, case):
    scores, ranges, message = OFF_SCALE[case]
    with pytest.raises(InputError, match=message):
        table(tmp_path, HEADER, *essays(*scores), score_ranges=parse_score_ranges(ranges))


def test_a_wide_scale_is_for_whoever_says_so(tmp_path):
    columns = f"{HEADER},min_score,max_score"
    with pytest.raises(
        InputError, match="row 1, prompt '1' has a scale of 5,000 steps, 0 to 5000.* `score_ranges` 0:5000:1"
    ):
        table(tmp_path, columns, "1,x,3,0,5000", "1,y,4,0,5000")
    found = table(tmp_path, HEADER, *essays("0", "65000"), score_ranges=parse_score_ranges(["0:65000:1"]))
    assert score_ranges(found.frame)["1"].num_steps == 65000


BAD_COLUMNS = {
    "a lone column": (
        "max_score",
        "10",
        "has a column 'max_score', but a scale is told by both 'min_score' and 'max_score'",
    ),
    "a lone step": ("score_step", "0.5", "has a column 'score_step', but a scale is told by both"),
    "no number": ("min_score,max_score", "1,high", "row 1, column 'max_score': 'high' is not a number"),
    "the wrong way round": ("min_score,max_score", "5,1", "row 1, columns min_score, max_score: 1 is not above 5"),
    "no whole number of steps": ("min_score,max_score", "1,4.5", "row 1, .*1 to 4.5 is no whole number of steps of 1"),
    "endless": ("min_score,max_score", "1,inf", "row 1, column 'max_score': the score is inf"),
}


@pytest.mark.parametrize("case", BAD_COLUMNS)
def test_columns_that_make_no_scale_are_refused(tmp_path, case):
    names, values, message = BAD_COLUMNS[case]
    with pytest.raises(InputError, match=message):
        table(tmp_path, f"{HEADER},{names}", f"1,x,1,{values}", f"1,y,2,{values}")


@pytest.mark.parametrize(
    ("ranges", "labels", "message"),
    [
        (["1:5:0.3"], [], "`score_ranges` 1:5:0.3: give LOWEST:HIGHEST .*no whole number of steps"),
        (["1:5:0"], [], "a step must be above 0"),
        (["1:5:-1"], [], "a step must be above 0"),
        (["1:nan"], [], "this is no range"),
        (["1:1e3"], [], "this is no range"),
        (["1:5", "0:4"], [], "`score_ranges`: the scale of every prompt is given twice"),
        (["a=1:5"], ["a=A,B"], "`score_labels`: the scale of prompt 'a' is given twice"),
        ([], ["A"], "`score_labels` A: give labels from the lowest to the highest"),
        ([], ["A,,B"], "`score_labels` A,,B: give labels"),
        ([], ["A,B,A"], "`score_labels` A,B,A: give labels"),
    ],
)
def test_options_that_make_no_scale_are_refused(ranges, labels, message):
    with pytest.raises(InputError, match=message):
        parse_score_ranges(ranges, labels)


def test_rows_keep_their_scales():
    ranges = [ScoreRange(2, 12), ScoreRange(1, 5, 0.5), ScoreRange.of_labels("ABC")]
    columns = scale_columns(ranges)
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    assert [scale_of_row(row) for row in rows] == ranges
    # Of version 0.1.
    assert scale_of_row({"min_score": 2.0, "max_score": 12.0}) == ScoreRange(2, 12)
    assert np.array_equal(columns["score_step"], [1, 0.5, 1])
