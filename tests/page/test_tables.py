"""Tables that visitors send: taken from the disk, looked at, and scored as the command scores them."""

import os
from pathlib import Path

import pytest
from helpers import ROOT

from trm_aes.cli import score
from trm_aes.data.formats import AS_FOUND, FORMATS, TableReading
from trm_aes.data.tables import write_rows
from trm_aes.errors import InputError
from trm_aes.page import limits
from trm_aes.page.tables import WatchedScorer, look, score_table
from trm_aes.page.uploads import Upload, private_folder, uploads_in_private
from trm_aes.page.wording import problem_in_words
from trm_aes.scoring.input_rows import USUAL_COLUMNS
from trm_aes.scoring.scorer import EssayScorer

ROWS = [{"essay_id": f"e{n}", "essay": f"This is good, number {n}.", "prompt_id": "ab"[n % 2]} for n in range(9)]


@pytest.fixture(scope="module")
def scorer(model_dir):
    return EssayScorer.from_pretrained(model_dir, "cpu")


def table(folder, name, rows=ROWS):
    path = folder / name
    if name.endswith(".txt"):
        path.write_text("".join(f"{row['essay']}\n" for row in rows), encoding="utf-8")
    else:
        write_rows(iter(rows), path, path)
    return Upload(name, path.read_bytes())


def scored(scorer, upload, prompt_id=None, skips=False, reading=AS_FOUND):
    return score_table(scorer, upload, reading, USUAL_COLUMNS, prompt_id, skips, problem_in_words)


@pytest.mark.parametrize(
    "name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet", "t.xlsx", "t.txt", "t.csv.gz", "my.essays.csv.zip"]
)
def test_every_format_is_scored_as_the_command_scores_it(scorer, model_dir, tmp_path, name):
    upload, prompt_id = table(tmp_path, name), "a" if name.endswith(".txt") else None
    found = scored(scorer, upload, prompt_id)
    command = ["--model", str(model_dir), "--input", str(tmp_path / name), "--output", str(tmp_path / found.name)]
    score.main([*command, *(["--prompt-id", prompt_id] if prompt_id else [])])
    assert found.content == (tmp_path / found.name).read_bytes()
    assert found.num_scored == 9 and found.rows[0]["essay"] == ROWS[0]["essay"] and not found.rejected
    kinds = {"t.txt": "t-scored.csv", "t.csv.gz": "t-scored.csv", "my.essays.csv.zip": "my.essays-scored.csv"}
    assert found.name == kinds.get(name, name.replace("t.", "t-scored."))


def test_each_batch_is_told(scorer, tmp_path):
    told = []
    watched = WatchedScorer(scorer, told.append)
    watched.batch_tokens = 20
    assert scored(watched, table(tmp_path, "t.csv")).num_scored == sum(told) == 9 and len(told) > 2


def test_nothing_of_a_table_is_left(scorer, tmp_path, monkeypatch):
    folders = []
    monkeypatch.setattr("trm_aes.page.uploads.MEMORY_FOLDER", tmp_path)
    upload = table(tmp_path, "t.csv")
    (tmp_path / "t.csv").unlink()
    with upload.as_file() as path:
        folders.append(path.parent)
        assert os.stat(path.parent).st_mode & 0o777 == 0o700 and path.parent.parent == tmp_path
    look(upload, AS_FOUND)
    scored(scorer, upload)
    with pytest.raises(InputError):
        scored(scorer, Upload("t.csv", b"essay,prompt_id\n,a\n"))
    assert list(tmp_path.iterdir()) == [] and not folders[0].exists()


def test_where_there_is_no_place_in_memory_temporary_files_are_used(tmp_path, monkeypatch):
    monkeypatch.setattr("trm_aes.page.uploads.MEMORY_FOLDER", tmp_path / "nowhere")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with private_folder() as folder:
        assert folder.parent == tmp_path
    assert not folder.exists()


def test_an_upload_is_taken_from_the_disk(tmp_path):
    file = tmp_path / "hash" / "essays.csv"
    file.parent.mkdir()
    file.write_bytes(b"essay\nOne.\n")
    assert Upload.taken(str(file)) == Upload("essays.csv", b"essay\nOne.\n")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="did not arrive. Choose it again"):
        Upload.taken(str(file))


def test_an_upload_that_is_too_large_is_not_kept(tmp_path):
    file = tmp_path / "large.csv"
    with file.open("wb") as sparse:
        sparse.truncate(limits.MAX_UPLOAD + 1)
    with pytest.raises(InputError, match="large.csv has 10.0 MB, and this page takes at most 10 MB"):
        Upload.taken(str(file))
    assert not file.exists()


def test_uploads_of_gradio_go_to_the_private_folder(monkeypatch):
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    with uploads_in_private() as folder:
        assert os.environ["GRADIO_TEMP_DIR"] == str(folder) and folder.is_dir()
    assert "GRADIO_TEMP_DIR" not in os.environ and not folder.exists()
    monkeypatch.setenv("GRADIO_TEMP_DIR", "/before")
    with uploads_in_private():
        pass
    assert os.environ["GRADIO_TEMP_DIR"] == "/before"


def test_what_is_in_a_table_is_seen(tmp_path):
    found = look(table(tmp_path, "t.csv"), AS_FOUND)
    assert (found.columns, found.num_rows, len(found.rows)) == (["essay_id", "essay", "prompt_id"], 9, 8)
    with pytest.raises(InputError, match="^t.csv, row 1, line 2: the text is not utf-8"):
        look(Upload("t.csv", "essay\nCafé\n".encode("latin-1")), AS_FOUND)
    assert look(Upload("t.csv", "essay\nCafé\n".encode("latin-1")), TableReading("latin-1")).rows == [{"essay": "Café"}]
    with pytest.raises(InputError, match="^t.csv holds no rows"):
        look(Upload("t.csv", b"essay\n"), AS_FOUND)


def test_a_table_of_too_many_rows_is_refused_before_it_is_scored(monkeypatch, tmp_path):
    monkeypatch.setattr("trm_aes.page.tables.MAX_ROWS", 8)
    with pytest.raises(InputError, match="t.csv has more than 8 rows"):
        look(table(tmp_path, "t.csv"), AS_FOUND)


def test_a_table_that_is_too_large_to_be_given_back_is_refused(monkeypatch, scorer, tmp_path):
    monkeypatch.setattr("trm_aes.page.tables.MAX_DOWNLOAD", 100)
    with pytest.raises(InputError, match="gives back at most 0. Use the command"):
        scored(scorer, table(tmp_path, "t.csv"))


def test_bad_rows_are_left_out_with_their_reasons(scorer, tmp_path):
    upload = table(tmp_path, "t.csv", [*ROWS, {**ROWS[0], "essay": " "}, {**ROWS[0], "prompt_id": "z"}])
    found = scored(scorer, upload, skips=True)
    assert (found.num_scored, found.num_rejected) == (9, 2)
    assert found.rejected[0] == "t.csv, row 10: the essay is empty."
    assert not any(str(Path("/dev/shm")) in reason or "`" in reason for reason in found.rejected)


def test_the_page_takes_every_format_that_is_read():
    from trm_aes.page.table_tab import FILE_TYPES

    assert {f".{name}" for name in FORMATS} | {".gz", ".zip"} <= set(FILE_TYPES)
    assert (ROOT / "trm_aes" / "page" / "style.css").is_file()


def test_a_table_of_too_many_letters_is_refused_before_it_is_scored(monkeypatch, tmp_path):
    (tmp_path / "long.csv").write_text("essay\n" + "Some words.\n" * 5, encoding="utf-8")
    upload = Upload("long.csv", (tmp_path / "long.csv").read_bytes())
    monkeypatch.setattr("trm_aes.page.tables.MAX_TABLE_LETTERS", 50)
    with pytest.raises(InputError, match="long.csv has more than 50 letters"):
        look(upload, AS_FOUND)
    monkeypatch.setattr(limits, "MAX_LETTERS", 5)
    with pytest.raises(InputError, match="The essay has 11 letters"):
        look(upload, AS_FOUND)
