"""A Space published with a scorer to a Hub on localhost, and its app started from the files that came down."""

import subprocess
import sys

import httpx
import pytest
from helpers import ROOT, free_port
from hub_server import SPACES, LocalHub, client, environment
from huggingface_hub import SpaceCard

from trm_aes.publishing.space import SDK_VERSION

PUSH = [sys.executable, str(ROOT / "scripts" / "push_to_hub.py")]
REPO, SPACE = "user/essay-scorer", "user/essay-page"
# Put into the Space's own copy of the page's foot: what runs is that copy.
OWN_FOOT = "This is the copy in the Space."


@pytest.fixture(scope="module")
def pushed(model_dir, tmp_path_factory):
    """A Hub with a scorer and its Space, and what the command said."""
    folder = tmp_path_factory.mktemp("pushed")
    with LocalHub() as hub:
        run = push(model_dir, hub, folder)
        assert run.returncode == 0, run.stderr[-3000:]
        yield hub, run


def push(folder, hub, tmp_path, *more):
    return client([*PUSH, "--model", str(folder), "--repo-id", REPO, "--space", SPACE, *more], hub, tmp_path)


def test_the_space_names_the_scorer_and_holds_the_package(pushed):
    hub, run = pushed
    assert f"Published the Space {SPACE}: {hub.url}/{SPACES}{SPACE}/commit/" in run.stdout
    files, messages = hub.repositories[SPACES + SPACE].files, hub.repositories[SPACES + SPACE].messages
    assert messages == [f"Page of {REPO}"] and "model.safetensors" in hub.repositories[REPO].files
    card = SpaceCard(files["README.md"].decode()).data
    assert (card.sdk, card.sdk_version, card.app_file) == ("gradio", SDK_VERSION, "app.py")
    assert card.models == [REPO] and card.license == "apache-2.0" and card.title == "essay-page"
    assert files["requirements.txt"] == (ROOT / "requirements.txt").read_bytes()
    own = {"app.py", "requirements.txt", "README.md", ".gitattributes"}
    assert {"trm_aes/page/app.py", "trm_aes/page/style.css", "trm_aes/publishing/model_card.md"} <= set(files) - own
    assert all(name.startswith("trm_aes/") for name in set(files) - own) and not any(
        "__pycache__" in name for name in files
    )


def test_the_version_of_gradio_is_the_one_that_the_tests_run_with():
    assert f"gradio=={SDK_VERSION}\n" in (ROOT / "constraints.txt").read_text(encoding="utf-8")


def test_the_app_shows_the_published_scorer(pushed, tmp_path):
    hub, _ = pushed
    space, port = tmp_path / "space", free_port()
    for name, content in hub.repositories[SPACES + SPACE].files.items():
        (space / name).parent.mkdir(parents=True, exist_ok=True)
        (space / name).write_bytes(content)
    foot = space / "trm_aes" / "page" / "templates" / "foot.html"
    foot.write_text(foot.read_text(encoding="utf-8") + OWN_FOOT, encoding="utf-8")
    places = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port)}
    app = subprocess.Popen(
        [sys.executable, "app.py"], env=environment(hub, tmp_path, **places), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, cwd=space,
    )  # fmt: skip
    try:
        line = app.stdout.readline()
        assert line == f"{REPO} is at http://127.0.0.1:{port}/ until you press Ctrl-C.\n", app.communicate()[1][-3000:]
        page = httpx.get(f"http://127.0.0.1:{port}/").text
        assert REPO in page and OWN_FOOT in page and "Intended use" in page
    finally:
        app.terminate()
        assert app.wait(30) == 143


def test_nothing_is_published_where_the_space_may_not_be_written(pushed, model_dir, tmp_path):
    hub, _ = pushed
    again = push(model_dir, hub, tmp_path)
    assert again.returncode == 2 and f"{SPACE} exists and holds" in again.stderr
    assert "Choose another --space, or pass --overwrite" in again.stderr
    bad = push(model_dir, hub, tmp_path, "--space", "a/b/c")
    assert bad.returncode == 2 and "--space a/b/c" in bad.stderr
    assert len(hub.repositories[REPO].messages) == len(hub.repositories[SPACES + SPACE].messages) == 1
