"""Scoring on a Ray cluster: the scores of one process to the bit, in order, whole or not at all, whatever becomes of an actor."""

import csv
import json
import os
import signal
import sys

import pandas as pd
import pyarrow.parquet as pq
import pytest

from trm_aes.cli import score
from trm_aes.cli.runner import INTERRUPTED
from trm_aes.cli.runner import run as run_program
from trm_aes.errors import DependencyError, InputError
from trm_aes.scoring import stream
from trm_aes.scoring.input_rows import ADDED_COLUMNS, BadRows
from trm_aes.scoring.scorer import EssayScorer

ray = pytest.importorskip("ray", reason="needs the extra `ray`")

from trm_aes.scoring.ray import Workers, cluster, dataset, joined, rejected_rows, score_dataset, score_files  # noqa: E402
from trm_aes.scoring.ray import run as ray_run  # noqa: E402

WINDOW = 7
ROWS = [
    {
        # What looks like a number stays as it stands.
        "student": f"00{number}",
        "prompt_id": "ab"[number % 2],
        "essay": f'Essay {number}, "quoted"\nis {word * (1 + number % 9)}.',
    }
    for number, word in enumerate(["bad ", "good ", "excellent ", "fair ", "odd "] * 8)
]
# Two that cannot be scored, and one of a prompt that the scorer does not know.
BAD_ROWS = [dict(row) for row in ROWS]
BAD_ROWS[3]["essay"] = " "
BAD_ROWS[20] |= {"prompt_id": "", "essay": "Of no prompt."}
BAD_ROWS[30]["prompt_id"] = "z"
TWO = Workers(2, device="cpu")


@pytest.fixture(scope="module", autouse=True)
def cluster_of_two():
    """Two workers, and a core for the tasks that read and write; windows are small, so that there are several."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (stream, dataset):
            patch.setattr(module, "WINDOW", WINDOW)
        patch.setattr(ray_run, "ROWS_PER_FILE", 2 * WINDOW)
        ray.init(
            "local", num_cpus=3, include_dashboard=False, object_store_memory=100 * 2**20, log_to_driver=False,
            configure_logging=False,
        )  # fmt: skip
        yield
        ray.shutdown()


@pytest.fixture(scope="module")
def scorer(model_dir):
    return EssayScorer.from_pretrained(model_dir, device="cpu")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The rows in one table."""
    path = tmp_path_factory.mktemp("source") / "in.csv"
    pd.DataFrame(ROWS).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def alone(scorer, source, tmp_path_factory):
    """What one process makes of it."""
    output = tmp_path_factory.mktemp("alone") / "out.parquet"
    stream.score_file(scorer, str(source), str(output))
    return pq.read_table(output)


def command(model_dir, source, output, *options):
    score.main(
        [
            "--model",
            str(model_dir),
            "--engine",
            "ray",
            "--device",
            "cpu",
            "--input",
            str(source),
            "--output",
            str(output),
        ]
        + list(options)
    )


def read_csv(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_of_tables_is_scored_as_one_process_scores_it(model_dir, scorer, tmp_path, capsys):
    """Windows reach over the ends of files and pass over rows that are set aside, as in one process."""
    essays, output = tmp_path / "essays", tmp_path / "scored"
    essays.mkdir()
    pd.DataFrame(BAD_ROWS[:25]).to_csv(essays / "a.csv", index=False)
    pd.DataFrame(BAD_ROWS[25:]).to_json(essays / "b.jsonl", orient="records", lines=True)
    with open(essays / "b.jsonl", "a", encoding="utf-8") as file:
        file.write("no JSON\n")
    (essays / "_SUCCESS").touch()
    pd.DataFrame(BAD_ROWS).to_csv(tmp_path / "whole.csv", index=False)
    bad_rows = BadRows("skip", skip=True)
    stream.score_file(scorer, str(tmp_path / "whole.csv"), str(tmp_path / "alone.parquet"), bad_rows=bad_rows)

    command(model_dir, essays, output, "--on-error", "skip", "--unknown-prompt", "skip", "--ray-workers", "2")
    expected, found = pq.read_table(tmp_path / "alone.parquet"), pq.read_table(output)
    assert found.column_names == ["student", "prompt_id", "essay", "scored_as_prompt", *ADDED_COLUMNS]
    assert found.to_pylist() == expected.to_pylist()
    # Files follow one another as their names do, and have sixteen windows each in earnest: here two.
    assert [pq.read_metadata(path).num_rows for path in sorted(output.glob("*.parquet"))] == [14, 14, 10]
    success = json.loads((output / "_SUCCESS").read_text(encoding="utf-8"))
    assert success["counts"]["scored"] == 37 and success["weights_sha256"] == scorer.checksums()["weights_sha256"]
    rejected = read_csv(tmp_path / "scored.rejected.csv")
    assert [row["student"] for row in rejected] == ["003", "0020", ""] and rejected[2]["unread_row"] == "no JSON"
    assert f"{essays}/a.csv, row 4: the essay is empty" in rejected[0]["reason"]
    assert "a.csv, row 21: No prompt_id" in rejected[1]["reason"] and "b.jsonl, row 16" in rejected[2]["reason"]
    said = capsys.readouterr().err
    assert f"Read 41 rows of {essays}. Scored 37 essays" in said and "3 rows cannot be used; they are in" in said
    assert "1 essays answer prompts that the model does not know" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "alone.parquet", "alone.parquet.rejected.csv", "essays", "scored", "scored.rejected.csv", "whole.csv"
    ]  # fmt: skip


def test_an_actor_that_is_killed_loses_and_doubles_nothing(scorer, alone, tmp_path, monkeypatch):
    died = tmp_path / "died"

    class DiesOnce(dataset.ScoringActor):
        def __call__(self, window):
            if "0017" in window["student"].to_pylist() and not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(window)

    monkeypatch.setattr(dataset, "ScoringActor", DiesOnce)
    rows = score_dataset(ray.data.from_items(ROWS, override_num_blocks=3), scorer, workers=TWO).take_all()
    assert died.exists()
    assert rows == alone.to_pylist()


def test_files_of_any_file_system(scorer, source, alone, tmp_path):
    """`local://` is fsspec's, so that Arrow, which does not know it, has to go through it."""
    output = tmp_path / "scored"
    bad = tmp_path / "bad.csv"
    bad.write_text(source.read_text(encoding="utf-8") + "0041,a, \n", encoding="utf-8")
    arguments = {"bad_rows": BadRows(skip=True), "workers": Workers(1, device="cpu")}
    summary = score_files(scorer, f"local://{bad}", f"local://{output}", **arguments)
    assert (summary.num_read, summary.num_scored) == (41, 40)
    assert (
        summary.rejected == f"1 rows cannot be used; they are in local://{output}.rejected.csv, each with the reason."
    )
    assert pq.read_table(output).to_pylist() == alone.to_pylist() and (output / "_SUCCESS").is_file()
    [rejected] = read_csv(f"{output}.rejected.csv")
    assert rejected["student"] == "0041" and rejected["reason"].startswith(f"local://{bad}, row 41: the essay is empty")
    with pytest.raises(InputError, match="scored exists. Choose another output"):
        score_files(scorer, f"local://{bad}", f"local://{output}", **arguments)
    with pytest.raises(InputError, match="only folders of this machine are replaced whole"):
        score_files(scorer, f"local://{bad}", f"local://{output}", overwrite=True, **arguments)
    with pytest.raises(InputError, match="nowhere://essays cannot be reached"):
        score_files(scorer, "nowhere://essays", str(tmp_path / "other"))


def test_rows_that_cannot_be_scored_end_it_or_are_told_apart(scorer):
    rows = ray.data.from_items(BAD_ROWS[:10], override_num_blocks=2)
    with pytest.raises(InputError, match="a row of the data set: the essay is empty"):
        score_dataset(rows, scorer, workers=Workers(1, device="cpu")).take_all()
    [rejected] = rejected_rows(rows, scorer).take_all()
    assert rejected == {**BAD_ROWS[3], "reason": "a row of the data set: the essay is empty."}
    with pytest.raises(InputError, match="`prompt_id`: Unknown prompt_id 'z'"):
        score_dataset(rows, scorer, prompt_id="z")


BAD_TABLES = {
    "bad row": ("prompt_id,essay\na,x\nb,\n", "in.csv, row 2: the essay is empty"),
    "no JSON": ("prompt_id,essay\na,x\nb,x,y,z\n", "in.csv, row 2.*fields where the header has 2"),
    "no essay column": ("prompt_id,text\na,x\n", "row 1: no column 'essay'; there are .* Name it with --essay-column"),
    "column of ours": ("prompt_id,essay,confidence\na,x,1\n", "has a column 'confidence' of its own"),
    "no rows": ("prompt_id,essay\n", "in.csv holds no essays"),
    "NUL": ("prompt_id,essay\na,x\nb,\0y\n", "in.csv.*NUL"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_rows_are_found_before_the_first_essay_is_scored(model_dir, tmp_path, monkeypatch, case):
    text, message = BAD_TABLES[case]
    (tmp_path / "in.csv").write_text(text, encoding="utf-8")
    monkeypatch.setattr(ray_run, "score_checked", lambda *_: pytest.fail("scored before all was checked"))
    with pytest.raises(InputError, match=message):
        command(model_dir, tmp_path / "in.csv", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_ctrl_c_leaves_nothing(model_dir, source, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(ray_run, "score_checked", interrupted)
    code = run_program(lambda _: command(model_dir, source, tmp_path / "out"))
    assert code == INTERRUPTED and "interrupted; nothing that was there before has changed." in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_ray_cannot_honor_is_refused(model_dir, source, tmp_path):
    occupied = tmp_path / "occupied"
    occupied.mkdir()
    (occupied / "mine.txt").touch()
    mixed = tmp_path / "mixed"
    (mixed / "more").mkdir(parents=True)
    (mixed / "essays.csv").write_text("essay\nSome words.\n", encoding="utf-8")
    refused = {
        ("--safe-for-spreadsheets",): "--safe-for-spreadsheets has no effect with --engine ray, which writes Parquet",
        ("--output", "-"): "--output -: with --engine ray, give a file or a folder",
        ("--input", "-"): "--input -: with --engine ray, give a file or a folder",
        ("--device", "mps"): "--device mps: workers of Ray compute on cpu or cuda",
        ("--output", "scored.csv"): "scored.csv cannot be written: --engine ray writes a folder of Parquet files",
        ("--input", "nowhere"): "nowhere does not exist",
        ("--input", str(mixed)): "mixed holds tables and the folder more as well, which would not be read",
        ("--output", str(occupied)): "occupied exists. Choose another output, or pass --overwrite",
        ("--output", str(occupied), "--overwrite"): "occupied is not what `trm-aes score` wrote",
        ("--ray-workers", "9"): "9 workers with --ray-cpus 1 do not fit the Ray cluster, which has 3 cores",
        ("--device", "cuda"): "--device cuda: the Ray cluster has no GPU",
        ("--engine", "local", "--ray-cpus", "2"): "--ray-cpus has no effect without --engine ray",
    }
    for options, message in refused.items():
        with pytest.raises(InputError, match=message) as refusal:
            command(model_dir, source, tmp_path / "out", *options)
        # Options, not parameters: of those none is left.
        assert "`" not in str(refusal.value).replace("`trm-aes score`", "")
    assert [path.name for path in tmp_path.iterdir()] == ["mixed", "occupied"]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", "no Ray cluster answers there"),
        ("head", "give HOST:PORT"),
        ("[::1]:99999", "no Ray cluster answers"),
    ],
)
def test_an_address_where_no_cluster_answers(monkeypatch, address, message):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("Ray would wait for minutes"))
    with pytest.raises(InputError, match=f"`ray_address` .*{message}"), joined(address, TWO):
        pass


def test_a_cluster_of_this_machine_has_a_core_for_reading(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert [Workers(*given).num_local_cpus() for given in ((), (3,), (None, 4), (2, 4), (None, 16))] == [9, 4, 9, 9, 17]
    resources = {"CPU": 33.0, "GPU": 2.0}
    monkeypatch.setattr(ray, "cluster_resources", lambda: resources)
    assert Workers().fitted() == Workers(2, 1, "cuda")
    assert Workers(device="cpu", cpus=4).fitted() == Workers(8, 4, "cpu")
    assert Workers(1).fitted() == Workers(1, 1, "cuda")
    resources.pop("GPU")
    assert Workers().fitted() == Workers(32, 1, "cpu")


def test_where_ray_is_absent_the_command_says_what_to_install(model_dir, source, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, cluster.__name__)
    with pytest.raises(DependencyError, match=r"^Scoring on a cluster needs Ray, .*: pip install 'trm-aes\[ray\]'"):
        command(model_dir, source, tmp_path / "out")
