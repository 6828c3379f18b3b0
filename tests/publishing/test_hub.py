"""Published with the real client to a Hub on localhost, downloaded with it into an empty cache, and scored."""

import csv
import json
import re
import shutil
import sys
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest
from helpers import BLOCKER, ROOT, options
from hub_server import TOKEN, LocalHub, client
from huggingface_hub import ModelCard
from made_up_report import bare_report

from trm_aes.cli import evaluate
from trm_aes.cli import push as cli_push
from trm_aes.cli.runner import INTERRUPTED
from trm_aes.cli.runner import run as run_program
from trm_aes.files import read_json, write_json
from trm_aes.publishing import hub
from trm_aes.publishing.privacy import published_configuration, published_record
from trm_aes.report.record import GroupColumn
from trm_aes.scoring.scorer import EssayScorer

PUSH = [sys.executable, str(ROOT / "scripts" / "push_to_hub.py")]
REPO = "user/essay-scorer"
REMOTE_CODE = {path.name for path in (ROOT / "trm_aes" / "model").glob("*.py")} - {"__init__.py"}


# Runs after the card's own code.
AUTO_CLASSES = f"""
from transformers import AutoModelForSequenceClassification, AutoTokenizer
model = AutoModelForSequenceClassification.from_pretrained("{REPO}", trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained("{REPO}", trust_remote_code=True)
logits = model(**tokenizer("Write about a.", "The text of an essay ...", return_tensors="pt")).logits
assert abs(3 * logits.item() - result["score"]) < 1e-5
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def evaluated(model_dir, data_dir, tmp_path_factory):
    """A trained scorer with its evaluation on the test split."""
    folder = tmp_path_factory.mktemp("hub") / "scorer"
    shutil.copytree(model_dir, folder)
    evaluate.main(["--model", str(folder), "--data", str(data_dir), "--split", "test"])
    return folder


def push(folder, hub, tmp_path, *more, **how):
    return client([*PUSH, "--model", str(folder), "--repo-id", REPO, *more], hub, tmp_path, **how)


def test_pushed_downloaded_and_scored_by_the_code_of_its_card(evaluated, tmp_path):
    with LocalHub() as hub:
        run = push(evaluated, hub, tmp_path, "--private")
        assert run.returncode == 0, run.stderr[-3000:]
        assert f"Published {REPO}: {hub.url}/{REPO}/commit/" in run.stdout
        repository = hub.repositories[REPO]
        assert repository.private and len(repository.messages) == 1
        assert any(request.startswith("PUT /large/") for request in hub.requests)
        assert "POST /api/validate-yaml" in hub.requests
        assert set(repository.files) == {
            ".gitattributes", "README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
            "run.json", "evaluation-test/evaluation.json", *REMOTE_CODE,
        }  # fmt: skip
        [code] = re.findall(r"```python\n(.*?)```", repository.files["README.md"].decode(), re.DOTALL)
        scored = client([sys.executable, "-c", f"{BLOCKER}{code}{AUTO_CLASSES}"], hub, tmp_path)
        assert scored.returncode == 0, scored.stderr[-3000:]
        # With the package no trust is needed.
        (tmp_path / "new.csv").write_text("essay,prompt_id\nThe text of an essay ...,a\n", encoding="utf-8")
        command = [sys.executable, str(ROOT / "scripts" / "score.py"), "--model", REPO, "--input", "new.csv"]
        assert client([*command, "--output", "out.csv"], hub, tmp_path).returncode == 0
    result = json.loads(scored.stdout.splitlines()[-1])
    [expected] = EssayScorer.from_pretrained(evaluated, "cpu").score(["The text of an essay ..."], ["a"])
    assert result["score"] == pytest.approx(expected.score, abs=1e-6)
    assert result["prompt_id"] == "a" and 0 <= result["rounded_score"] <= 3
    [row] = csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8"))
    assert float(row["predicted_score"]) == pytest.approx(expected.score, abs=1e-4)


def test_the_card_says_what_was_measured(evaluated, tmp_path):
    with LocalHub() as hub:
        run = push(evaluated, hub, tmp_path, "--card-only")
        assert run.returncode == 0 and not hub.requests
    card = ModelCard(run.stdout)
    metrics = json.loads((evaluated / "evaluation-test" / "evaluation.json").read_text(encoding="utf-8"))
    record = json.loads((evaluated / "run.json").read_text(encoding="utf-8"))
    results = {result.dataset_config: result for result in card.data.eval_results}
    assert set(results) == {"prompt a", "prompt b"}
    for prompt_id, measured in metrics["by_prompt"].items():
        result = results[f"prompt {prompt_id}"]
        assert result.metric_value == round(measured["qwk"], 4) and result.dataset_split == "test"
        raters = metrics["rater_qwk"][prompt_id]
        assert f"| {prompt_id} | {measured['n']} | {measured['qwk']:.3f} | {raters:.3f} |" in card.text
    data = card.data.to_dict()
    assert (data["license"], data["language"], data["library_name"]) == ("apache-2.0", "en", "transformers")
    assert data["pipeline_tag"] == "text-classification" and "automated-essay-scoring" in data["tags"]
    assert data["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert f"{record['num_parameters']:,} parameters" in card.text and "H=2, L=2" in card.text
    assert "Write about a." in card.text and "essays.csv" in card.text
    # Nothing unfilled, no path of this machine.
    assert "{{" not in run.stdout and "{%" not in run.stdout and str(evaluated.parent) not in run.stdout


def test_the_report_beside_the_scorer_is_published_without_paths(evaluated, tmp_path):
    folder = tmp_path / "scorer"
    shutil.copytree(evaluated, folder)
    (folder / "report-test").mkdir()
    report = bare_report()
    report = replace(
        report,
        subject=replace(report.subject, model="/home/someone/scorer", data="/home/someone/essays.csv"),
        command=["trm-aes", "report", "--model", "/home/someone/scorer", "--data=/home/someone/data"],
        fairness=[
            GroupColumn(column="teacher", least_n=100, groups=[], left_out={"Doe": 20, "Roe": 9}, tests={}, note="Few.")
        ],
    )
    write_json(folder / "report-test" / "report.json", asdict(report))
    with LocalHub() as hub:
        run = push(folder, hub, tmp_path)
        assert run.returncode == 0, run.stderr[-3000:]
        files = hub.repositories[REPO].files
    published, page = json.loads(files["report-test/report.json"]), files["report-test/report.html"].decode()
    assert (published["subject"]["model"], published["subject"]["data"]) == ("scorer", "essays.csv")
    assert "trm-aes report --model scorer --data=data" in page and "scorer · essays.csv, test split · 1 essay" in page
    # A small group may be one person.
    assert published["fairness"][0]["left_out"] == {"2 groups in all": 29} and "2 groups in all (29)" in page
    assert "Roe" not in json.dumps(published) and "Roe" not in page
    assert "- Of one essay nothing can be said." in files["README.md"].decode()
    assert not any(b"/home/someone" in content for content in files.values())


def test_where_an_encoder_lay_is_not_published(evaluated, tmp_path):
    folder = tmp_path / "scorer"
    shutil.copytree(evaluated, folder)
    for name in ("config.json", "run.json"):
        content = read_json(folder / name)
        of_the_model = content if name == "config.json" else content["model"]
        # As earlier versions wrote it, whose models are not all trained anew.
        of_the_model |= {"encoder": {"model_type": "bert", "_name_or_path": "/home/someone/bert", "vocab_size": 10}}
        write_json(folder / name, content)
    shown = published_configuration(folder / "config.json") + published_record(folder / "run.json")
    assert b"someone" not in shown and shown.count(b'"vocab_size": 10') == 2
    content = read_json(folder / "config.json")
    del content["encoder"]["_name_or_path"]
    assert json.loads(published_configuration(folder / "config.json")) == content


def test_a_card_without_an_evaluation_claims_nothing(model_dir, tmp_path):
    with LocalHub() as hub:
        run = push(model_dir, hub, tmp_path, "--card-only")
        missing = push(model_dir, hub, tmp_path, "--evaluation", str(tmp_path))
    assert "Not measured on held-out essays yet." in run.stdout and "model-index" not in run.stdout
    assert missing.returncode == 2 and f"--evaluation {tmp_path} holds no evaluation.json" in missing.stderr


def test_what_is_there_is_not_overwritten(evaluated, tmp_path):
    with LocalHub() as hub:
        assert push(evaluated, hub, tmp_path).returncode == 0
        again = push(evaluated, hub, tmp_path)
        num_files = len(set(hub.repositories[REPO].files) - {".gitattributes"})
        assert again.returncode == 2 and f"{REPO} exists and holds {num_files} files" in again.stderr
        # It is public, and what is public cannot be published in private.
        private = push(evaluated, hub, tmp_path, "--private", "--overwrite")
        assert private.returncode == 2 and "exists and is public" in private.stderr
        assert len(hub.repositories[REPO].messages) == 1
        assert push(evaluated, hub, tmp_path, "--overwrite").returncode == 0
        assert len(hub.repositories[REPO].messages) == 2


@pytest.mark.parametrize(
    "token, dies_at, message",
    [
        (None, None, "No token for the Hub.*hf auth login"),
        ("hf_wrong", None, "the Hub refuses this token.*Nothing was published"),
        (TOKEN, "/api/repos/create", "broke off.*Nothing was published"),
    ],
    ids=["no token", "wrong token", "dead at once"],
)
def test_what_goes_wrong_is_said_in_one_line(evaluated, tmp_path, token, dies_at, message):
    with LocalHub(dies_at) as hub:
        run = push(evaluated, hub, tmp_path, token=token)
        check_failed(run, hub, message)


def test_a_hub_that_dies_half_way_leaves_nothing_behind(evaluated, tmp_path):
    with LocalHub("/large/") as hub:
        run = push(evaluated, hub, tmp_path)
        check_failed(
            run, hub, "broke off.*empty: all files come with one commit, which was not confirmed.*Run the same"
        )
        hub.dies_at = None
        assert push(evaluated, hub, tmp_path).returncode == 0
        assert "model.safetensors" in hub.repositories[REPO].files


@pytest.mark.parametrize("place", ["model_info", "create_commit"])
def test_ctrl_c_says_what_has_become_of_the_repository(evaluated, monkeypatch, capsys, place):
    class Interrupted:
        def __getattr__(self, name):
            def call(*_, **__):
                if name == place:
                    raise KeyboardInterrupt
                return SimpleNamespace(private=False, siblings=[])

            return call

    monkeypatch.setattr(hub, "_api", lambda *_: Interrupted())
    code = run_program(cli_push.main, ["--model", str(evaluated), "--repo-id", REPO])
    said = (
        "Nothing was published." if place == "model_info" else "all files come with one commit, which was not confirmed"
    )
    error = capsys.readouterr().err
    assert code == INTERRUPTED and f"{REPO}: interrupted." in error and said in error
    assert "nothing that was there before has changed" not in error


def check_failed(run, hub, message):
    assert run.returncode == 2 and "Traceback" not in run.stderr
    # Before it, on the same line, may stand a progress bar of an upload that broke off.
    [error] = re.findall("trm-aes: error: .*", run.stderr)
    assert re.search(message, error), error
    assert all(set(repository.files) == {".gitattributes"} for repository in hub.repositories.values())


@pytest.mark.parametrize("strategy", ["end", "every_save"])
def test_the_trainer_publishes_too(data_dir, tmp_path, strategy):
    pushing = ["--push-to-hub", "true", "--hub-model-id", REPO, "--hub-token", TOKEN, "--num-train-epochs", "2"]
    pushing += ["--hub-strategy", strategy]
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *options(data_dir, tmp_path / "m", *pushing)]
    with LocalHub() as hub:
        run = client([*command, "--embeddings", "none"], hub, tmp_path, token=None)
        assert run.returncode == 0, run.stderr[-3000:]
        files, messages = hub.repositories[REPO].files, hub.repositories[REPO].messages
    assert len(messages) == (1 if strategy == "end" else 3)
    assert not any(TOKEN.encode() in path.read_bytes() for path in (tmp_path / "m").rglob("*") if path.is_file())
    assert not any(str(tmp_path).encode() in content for content in files.values())
    assert {"README.md", "run.json", "model.safetensors", "modeling_trm.py", "tokenizer.json"} <= set(files)
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pth"))]
    record = json.loads(files["run.json"])
    assert record["run"]["data"] == data_dir.name and record["training"]["output_dir"] == "m"
    assert record["training"]["hub_model_id"] == REPO and "<hidden>" in record["command"]
    card = ModelCard(files["README.md"].decode())
    assert card.data.license == "apache-2.0" and "Recipe `tiny`" in card.text and card.data.base_model is None


@pytest.mark.parametrize("strategy", ["checkpoint", "all_checkpoints"])
def test_whole_checkpoints_are_not_published(data_dir, tmp_path, strategy):
    pushing = ["--push-to-hub", "true", "--hub-model-id", REPO, "--hub-token", TOKEN, "--hub-strategy", strategy]
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *options(data_dir, tmp_path / "m", *pushing)]
    with LocalHub() as hub:
        run = client([*command, "--embeddings", "none"], hub, tmp_path, token=None)
        assert run.returncode == 2 and f"--hub-strategy {strategy} would publish whole checkpoints" in run.stderr
        assert not hub.repositories
    assert not (tmp_path / "m").exists()


# A program of one's own, without a record of ours: args are the output folder and what `push_to_hub` is called with.
OWN_PROGRAM = f"""
import json, sys, torch
sys.path.insert(0, {str(ROOT / "tests")!r})
from helpers import small_model
from trm_aes.training.arguments import TRMTrainingArguments
from trm_aes.training.trainer import TRMTrainer
args = TRMTrainingArguments(
    sys.argv[1], use_cpu=True, eval_strategy="no", load_best_model_at_end=False, hub_model_id="{REPO}",
    hub_token="{TOKEN}", report_to="none", **json.loads(sys.argv[3])
)
trainer = TRMTrainer(small_model(), args)
print(trainer.push_to_hub(**json.loads(sys.argv[2])))
"""


def own_program(hub, tmp_path, call=None, **args):
    words = [str(tmp_path / "own"), json.dumps(call or {}), json.dumps(args)]
    return client([sys.executable, "-c", OWN_PROGRAM, *words], hub, tmp_path, token=None)


@pytest.mark.parametrize("args", [{}, {"push_to_hub": True}], ids=["called alone", "push_to_hub"])
def test_a_program_of_ones_own_publishes_without_pickled_files(tmp_path, args):
    with LocalHub() as hub:
        run = own_program(hub, tmp_path, {"commit_message": "mine", "license": "mit", "language": "en"}, **args)
        assert run.returncode == 0, run.stderr[-3000:]
        assert f"{hub.url}/{REPO}/commit/" in run.stdout
        repository = hub.repositories[REPO]
    assert repository.messages == ["mine"]
    # Without a pipeline, the code of model and configuration alone.
    written = {".gitattributes", "README.md", "config.json", "model.safetensors", "modeling_trm.py"}
    assert written <= set(repository.files) <= written | REMOTE_CODE
    assert ModelCard(repository.files["README.md"].decode()).data.license == "mit"
    # It was there to be uploaded.
    assert (tmp_path / "own" / "training_args.bin").is_file()


@pytest.mark.parametrize(
    ("call", "args"), [({"private": True}, {}), ({}, {"hub_private_repo": True})], ids=["call", "arguments"]
)
def test_what_is_to_be_private_is_not_published_in_public(tmp_path, call, args):
    described = {"license": "mit", "language": "en"}
    with LocalHub() as hub:
        run = own_program(hub, tmp_path, {**described, **call}, **args)
        assert run.returncode == 0, run.stderr[-3000:]
        assert hub.repositories[REPO].private
    with LocalHub() as hub:
        run = own_program(hub, tmp_path, described)
        assert run.returncode == 0, run.stderr[-3000:]
        files = dict(hub.repositories[REPO].files)
        run = own_program(hub, tmp_path, {**described, **call}, **args)
        assert run.returncode == 1 and "exists and is public. Make it private" in run.stderr
        assert hub.repositories[REPO].files == files and len(hub.repositories[REPO].messages) == 1


@pytest.mark.parametrize(
    ("call", "args"),
    [({"blocking": False}, {}), ({"revision": "v1"}, {}), ({}, {"hub_revision": "v1"})],
    ids=["not blocking", "revision", "hub_revision"],
)
def test_what_publishing_cannot_do_is_refused(tmp_path, call, args):
    with LocalHub() as hub:
        run = own_program(hub, tmp_path, call, **args)
        assert run.returncode == 1 and "InputError: A scorer is published" in run.stderr
        assert not hub.repositories
