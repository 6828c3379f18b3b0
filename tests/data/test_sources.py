"""Every source: the ASAP release file with all its oddities, its copies on the Hub, and one's own tables."""

import codecs
import gzip
import json
import lzma
import os
from types import SimpleNamespace

import datasets
import fsspec
import pandas as pd
import pytest
from huggingface_hub import constants

from trm_aes.data.choices import parse_score_ranges
from trm_aes.data.columns import ColumnNames
from trm_aes.data.formats import TableReading
from trm_aes.data.prompts import KnownPrompts, PromptInfo, read_prompt_infos, select_prompt_ids
from trm_aes.data.rejection import RowCheck
from trm_aes.data.schema import REQUIRED_COLUMNS
from trm_aes.data.sources import asap, hub
from trm_aes.data.sources.asap import is_release_file, load_from_hub, load_release, load_table, tell_prompt
from trm_aes.data.sources.own import load_own_table
from trm_aes.data.tables import read_rows, reading
from trm_aes.errors import InputError
from trm_aes.model.score_scale import ScoreRange

HEADER = "essay_id\tessay_set\tessay\trater1_domain1\trater2_domain1\trater3_domain1\tdomain1_score\trater1_trait1"
# Windows-1252 with its undefined bytes, as the release has them.
codecs.register_error("trm_aes.test", lambda error: (error.object[error.start : error.end].encode("latin1"), error.end))
ASAP_DIR = os.environ.get("TRM_AES_ASAP_DIR")


def release(*essays, prompt_id=4, newline="\r\n"):
    rows = [f"{number}\t{prompt_id}\t{essay}\t1\t2\t\t2\t" for number, essay in enumerate(essays, start=1)]
    return newline.join([HEADER, *rows, ""])


ODD_ESSAYS = {
    "plain": ("plain", "plain"),
    "quoted on export": ('"He said ""no"", twice"', 'He said "no", twice'),
    "a quote that opens and never closes": ('"Hello, he wrote', '"Hello, he wrote'),
    "a quote that closes and never opened": ('he wrote, goodbye"', 'he wrote, goodbye"'),
    "begins and ends with quotations": ('"Yes" and "no"', '"Yes" and "no"'),
    "quotes inside": ('the word "free" is long', 'the word "free" is long'),
    "doubled quotes, never quoted": ('a ""free"" word', 'a ""free"" word'),
    "one quote": ('"', '"'),
    "an apostrophe of Windows": ("don\u2019t \u2013 caf\u00e9", "don\u2019t \u2013 caf\u00e9"),
    "comma, semicolon": ("a, b; c", "a, b; c"),
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-8-sig"])
def test_no_row_of_the_release_is_lost_or_merged(tmp_path, encoding, newline):
    path = tmp_path / "training_set_rel3.tsv"
    path.write_bytes(release(*(raw for raw, _ in ODD_ESSAYS.values()), newline=newline).encode(encoding))
    table = load_release(path)
    assert list(table.frame["essay"]) == [expected for _, expected in ODD_ESSAYS.values()]
    assert list(table.frame["essay_id"]) == [str(n + 1) for n in range(len(ODD_ESSAYS))]
    assert tuple(table.frame.columns[:7]) == REQUIRED_COLUMNS
    first = table.frame.iloc[0]
    assert (first["score"], first["min_score"], first["max_score"], first["prompt"]) == (2, 0, 3, "Prompt 4")
    # Raters ride along; columns that are empty throughout do not.
    assert (first["rater1"], first["rater2"]) == (1, 2)
    assert "rater3" not in table.frame and "rater1_trait1" not in table.frame


def test_bytes_that_windows_1252_leaves_undefined_are_kept(tmp_path):
    path = tmp_path / "release.tsv"
    path.write_bytes(release("caf\u00e9 X here").encode("cp1252").replace(b"X", b"\x9d"))
    assert load_release(path).frame["essay"].iloc[0] == "caf\u00e9 \x9d here"


def test_release_may_be_compressed(tmp_path):
    for name, compress in (("a.tsv.gz", gzip.compress), ("a.tsv.xz", lzma.compress)):
        (tmp_path / name).write_bytes(compress(release("one", "two").encode()))
        assert list(load_release(tmp_path / name).frame["essay"]) == ["one", "two"]


def test_release_rows_that_are_damaged_are_named(tmp_path):
    path = tmp_path / "release.tsv"
    path.write_text(release("one") + "2\t4\ttwo\n", encoding="utf-8")
    with pytest.raises(InputError, match="row 2: 3 fields where the header has 8"):
        load_release(path)
    path.write_text(release("one", prompt_id=9), encoding="utf-8")
    with pytest.raises(InputError, match="row 1, column 'essay_set': '9' is no ASAP prompt"):
        load_release(path)
    path.write_text(release("one").replace("\t2\t\r\n", "\t\t\r\n"), encoding="utf-8")
    with pytest.raises(InputError, match="row 1, column 'domain1_score': there is no score"):
        load_release(path)


@pytest.mark.benchmark_data
@pytest.mark.skipif(not ASAP_DIR, reason="TRM_AES_ASAP_DIR does not name the folder of the real ASAP essays")
def test_the_whole_release_loads(tmp_path):
    [path] = [os.path.join(ASAP_DIR, name) for name in os.listdir(ASAP_DIR) if name.startswith("training_set_rel3")]
    table = load_release(path)
    frame = table.frame
    assert len(frame) == 12_978 and frame["essay_id"].is_unique
    counts = [1783, 1800, 1726, 1772, 1805, 1800, 1569, 723]
    assert frame["prompt_id"].value_counts().to_dict() == {str(n + 1): count for n, count in enumerate(counts)}
    assert not frame["essay"].str.contains("\t").any()
    # The same essays from a copy in Windows-1252, the encoding that users download.
    with fsspec.open(path, "rt", encoding="utf-8", newline="", compression="infer") as file:
        text = file.read()
    copy = tmp_path / "training_set_rel3.tsv"
    copy.write_bytes(text.encode("cp1252", errors="trm_aes.test"))
    pd.testing.assert_frame_equal(load_release(copy).frame, frame)


def test_damaged_rows_of_the_release_are_set_aside(tmp_path):
    text = release("one", "two\tcells", "three").replace("3\t4\tthree", "3\t9\tthree")
    (tmp_path / "release.tsv").write_text(text, encoding="utf-8", newline="")
    check = RowCheck(skip=True)
    table = load_release(tmp_path / "release.tsv", check=check)
    assert list(table.frame.index) == [1]
    cells, prompt = check.reasons.values()
    assert "row 2: 9 fields where the header has 8" in cells and "row 3, column 'essay_set': '9' is no ASAP" in prompt


def test_a_workbook_is_read_once(tmp_path, monkeypatch):
    times = []
    read = reading.workbook_rows
    monkeypatch.setattr(reading, "workbook_rows", lambda *given: times.append(1) or read(*given))
    rows = [line.split("\t") for line in release("one", "two").splitlines()]
    for name, header in (("release.xlsx", rows[0]), ("own.xlsx", ["n", "task", "essay", *"abc", "score", "d"])):
        pd.DataFrame(rows[1:], columns=header).to_excel(tmp_path / name, index=False, engine="xlsxwriter")
        known = KnownPrompts(ranges={None: ScoreRange(0, 3)})
        table = load_table(tmp_path / name, ColumnNames(), known, RowCheck())
        assert list(table.frame["essay"]) == ["one", "two"]
        assert table.corpus == (asap.CORPUS if name == "release.xlsx" else None)
    assert len(times) == 2


def hub_copy(path, rows):
    path.mkdir()
    pd.DataFrame(rows).to_parquet(path / "train.parquet")
    return str(path)


def test_hub_prompts_are_told_apart(tmp_path, monkeypatch):
    both = [
        {"prompt": "Effects that computers have on people", "essay": "First.", "domain1_score": 8},
        {"prompt": "Censorship in the Libraries", "essay": "Second.", "domain1_score": 4},
    ]
    repo = hub_copy(tmp_path / "one-two", both)
    monkeypatch.setattr(asap, "HUB_DATASETS", {repo: ("1", "2")})
    frame = load_from_hub().frame
    assert list(frame["prompt_id"]) == ["1", "2"]
    assert list(frame["max_score"]) == [12, 6]
    assert list(frame["prompt"]) == [row["prompt"] for row in both]
    assert frame["essay_id"].is_unique

    strange = hub_copy(tmp_path / "strange", [{**both[0], "prompt": "Something else"}])
    monkeypatch.setattr(asap, "HUB_DATASETS", {strange: ("1", "2")})
    with pytest.raises(InputError, match="which of prompts 1, 2 is 'Something else'"):
        load_from_hub()


def test_hub_that_cannot_be_reached_is_one_clear_error():
    with pytest.raises(InputError, match="llm-aes/asap-7-original cannot be downloaded: offline mode is set"):
        load_from_hub(["7"])


def test_a_data_set_on_the_hub_is_read_at_the_commit_that_its_record_names(tmp_path, monkeypatch):
    assert hub.parse_hub_source("hub:user/name@v1:config") == ("user/name", "v1", "config")
    copy = hub_copy(tmp_path / "copy", [{"essay": "First.", "score": 1}])
    asked = []

    def repo_info(self, name, repo_type, revision=None, **options):
        asked.append((name, repo_type, revision))
        return SimpleNamespace(sha="c0ffee" if revision == "v1" else "decade")

    load = datasets.load_dataset

    def load_dataset(name, config, revision):
        asked.append((name, config, revision))
        return load(copy)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub.HfApi, "repo_info", repo_info)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    rows = hub.read_hub_source("hub:user/name@v1")
    assert rows.source == "user/name@c0ffee (train)" and list(rows.frame["essay"]) == ["First."]
    assert set(asked) == {("user/name", "dataset", "v1"), ("user/name", None, "c0ffee")}
    assert hub.read_hub_source("hub:user/name").source == "user/name@decade (train)"
    with pytest.raises(InputError, match="is a folder, and only the Hub has revisions"):
        hub.read_hub_source(f"hub:{copy}@v1")


def test_tell_prompt_needs_exactly_one():
    assert tell_prompt("How the cyclist fares", ["3", "4"]) == "3"
    assert tell_prompt("The cyclist and the hibiscus", ["3", "4"]) is None


def test_is_release_file():
    assert is_release_file(HEADER + "\r\n") and not is_release_file("essay_id\tessay\tscore\n")


ROWS = [
    {"id": 7, "task": "T1", "text": 'One,\nwith a "quote"', "mark": 3, "class": "A", "extra": 0.5},
    {"id": 8, "task": "T2", "text": "Two", "mark": 10, "class": "B", "extra": 1.5},
    {"id": 9, "task": "T1", "text": "Three", "mark": 1, "class": "A", "extra": 2.5},
    {"id": 10, "task": "T2", "text": "Four", "mark": 0, "class": "B", "extra": 3.5},
]
COLUMNS = ColumnNames(essay="text", score="mark", essay_id="id", prompt="task")


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet", "t.csv.gz", "t.jsonl.xz"])
def test_own_tables_of_every_format(tmp_path, name):
    path = tmp_path / name
    frame = pd.DataFrame(ROWS)
    if ".csv" in name:
        frame.to_csv(path, index=False)
    elif ".tsv" in name:
        frame.to_csv(path, index=False, sep="\t")
    elif ".jsonl" in name:
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)
    table = load_own_table(path, COLUMNS)
    assert list(table.frame["essay_id"]) == ["7", "8", "9", "10"]
    assert list(table.frame["essay"]) == [row["text"] for row in ROWS]
    # Without prompt ids each text is a prompt; without ranges they are read off the scores.
    assert list(table.frame["prompt_id"]) == ["1", "2", "1", "2"]
    assert list(table.frame["min_score"]) == [1, 0, 1, 0] and list(table.frame["max_score"]) == [3, 10, 3, 10]
    assert list(table.frame["class"]) == ["A", "B", "A", "B"]
    # Other columns stay as they are: text where the file has text.
    extra = [row["extra"] for row in ROWS]
    assert list(table.frame["extra"]) == (extra if "jsonl" in name or "parquet" in name else list(map(str, extra)))


def test_ranges_given_win(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("prompt_id,essay,score,min_score,max_score\na,x,1,0,5\nb,y,2,0,5\n", encoding="utf-8")
    table = load_own_table(path, score_ranges=parse_score_ranges(["b=1:3"]))
    assert table.frame[["min_score", "max_score"]].to_numpy().tolist() == [[0, 5], [1, 3]]
    table = load_own_table(path, score_ranges=parse_score_ranges(["0:9", "b=1:3"]))
    assert table.frame[["min_score", "max_score"]].to_numpy().tolist() == [[0, 9], [1, 3]]
    with pytest.raises(InputError, match="no prompt 'c'"):
        load_own_table(path, score_ranges=parse_score_ranges(["c=1:3"]))


def test_a_column_that_would_be_hidden_is_renamed(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("essay,grade,score\nx,1,9\ny,2,8\n", encoding="utf-8")
    frame = load_own_table(path, ColumnNames(score="grade")).frame
    assert list(frame["score"]) == [1, 2] and list(frame["score_in_source"]) == ["9", "8"]


BAD_TABLES = {
    "no such column": ("id,essay\n1,x\n", "has no column 'score'; it has id, essay"),
    "no score": ("essay,score\nx,1\ny,\n", "row 2, column 'score': there is no score"),
    "no number": ("essay,score\nx,1\ny,good\n", "row 2, column 'score': 'good' is not a number"),
    "NaN": ("essay,score\nx,1\ny,NaN\n", "row 2, column 'score': the score is nan"),
    "infinite": ("essay,score\nx,1\ny,inf\n", "row 2, column 'score': the score is inf"),
    "empty essay": ("essay,score\nx,1\n  ,2\n", r"row 2 \(essay_id 2\): the essay is empty"),
    "NUL": ("essay,score\nx,1\ny\0z,2\n", "NUL"),
    "duplicate ids": ("essay_id,essay,score\na,x,1\nb,y,2\na,z,3\n", "essay_id 'a' is in rows 1, 3"),
    "one score": ("essay,score\nx,1\ny,1\n", "nothing to learn"),
    "out of range": (
        "essay,score,min_score,max_score\nx,1,1,4\ny,9,1,4\n",
        "1 scores of prompt '1' lie outside 1 to 4",
    ),
    "two ranges": ("essay,score,min_score,max_score\nx,1,1,4\ny,2,1,6\n", "has 2 score ranges"),
    "half points on a whole scale": (
        "essay,score,min_score,max_score\nx,1,1,4\ny,2.5,1,4\n",
        "1 scores of prompt '1' are not on the scale 1 to 4, the first 2.5 in row 2. Mend them, or give the scale",
    ),
    "quote never closed": ('essay,score\n"x,1\ny,2\n', "a quote is opened and never closed"),
    "too many fields": ("essay,score\nx,1\ny, and z,2\n", "line 3: 3 fields where the header has 2"),
    "header only": ("essay,score\n", "holds no rows"),
    "twice a column": ("essay,score,score\nx,1,1\n", "several columns named 'score'"),
    "another text": ("prompt_id,prompt,essay,score\na,P,x,1\na,Q,y,2\n", "prompt 'a' has another text"),
    "no id": ("essay_id,essay,score\n,x,1\n", "row 1, column 'essay_id': there is no id"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_tables_say_which_row(tmp_path, case):
    text, message = BAD_TABLES[case]
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        load_own_table(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="missing.csv does not exist"):
        list(read_rows(tmp_path / "missing.csv"))
    (tmp_path / "essays.docx").write_bytes(b"PK")
    with pytest.raises(InputError, match="unknown format"):
        list(read_rows(tmp_path / "essays.docx"))
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        list(read_rows(tmp_path / "empty.csv"))
    (tmp_path / "latin.csv").write_bytes("essay,score\nca\u00f1on,1\n".encode("latin1"))
    with pytest.raises(InputError, match="is not utf-8: byte 0xf1"):
        list(read_rows(tmp_path / "latin.csv"))
    assert list(read_rows(tmp_path / "latin.csv", TableReading("windows-1252"))) == [
        {"essay": "ca\u00f1on", "score": "1"}
    ]
    with pytest.raises(InputError, match="no such encoding"):
        list(read_rows(tmp_path / "latin.csv", TableReading("klingon")))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(InputError, match="is not a Parquet file"):
        list(read_rows(tmp_path / "bad.parquet"))
    (tmp_path / "bad.csv.gz").write_bytes(gzip.compress(b"essay,score\nx,1\n" * 1000)[:40])
    with pytest.raises(InputError, match="cannot be read"):
        list(read_rows(tmp_path / "bad.csv.gz"))
    (tmp_path / "bad.jsonl").write_text('{"essay": "x"}\n{"essay": \n', encoding="utf-8")
    with pytest.raises(InputError, match="line 2: not JSON"):
        list(read_rows(tmp_path / "bad.jsonl"))
    (tmp_path / "list.jsonl").write_text("[1]\n", encoding="utf-8")
    with pytest.raises(InputError, match="one JSON object a line"):
        list(read_rows(tmp_path / "list.jsonl"))


def test_long_essays_fit_a_field(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("essay,score\n" + "word " * 100_000 + ",1\nshort,2\n", encoding="utf-8")
    assert len(load_own_table(path).frame["essay"].iloc[0].split()) == 100_000


def test_prompt_tables(tmp_path):
    path = tmp_path / "prompts.csv"
    path.write_text("essay_set,prompt,min_score,max_score\n4,Why?,0,3\n5,How?,0,4\n", encoding="utf-8")
    assert read_prompt_infos(path) == {
        "4": PromptInfo("Why?", ScoreRange(0, 3)),
        "5": PromptInfo("How?", ScoreRange(0, 4)),
    }
    release_path = tmp_path / "r.tsv"
    release_path.write_text(release("one"), encoding="utf-8")
    assert load_release(release_path, read_prompt_infos(path)).frame["prompt"].iloc[0] == "Why?"
    path.write_text("prompt_id,prompt\n4,Why?\n4,How?\n", encoding="utf-8")
    with pytest.raises(InputError, match="row 2: prompt '4' is listed twice"):
        read_prompt_infos(path)


def test_prompt_sets():
    known = [str(number) for number in range(1, 9)]
    assert select_prompt_ids("1-2", known) == ["1", "2"]
    assert select_prompt_ids("8,3-5", known) == ["3", "4", "5", "8"]
    assert select_prompt_ids("all", known) == known
    with pytest.raises(InputError, match="there is no prompt '9'; there are 1, 2"):
        select_prompt_ids("7-9", known)


@pytest.mark.parametrize("text", ["4", "4:1", "a:b", "1:1", "1=2"])
def test_score_ranges_must_be_ranges(text):
    with pytest.raises(InputError, match="`score_ranges`"):
        parse_score_ranges([text])


def test_json_values_need_not_be_text(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(
        "\n".join(json.dumps({"essay": text, "score": s}) for text, s in ((5, 1), ("y", 2))), encoding="utf-8"
    )
    with pytest.raises(InputError, match="row 1.*not text but int"):
        load_own_table(path)
