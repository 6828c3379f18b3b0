"""A Space of the Hub that shows a published scorer: the page of `trm-aes demo`, with this package inside."""

from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import CommitOperationAdd, SpaceCard, SpaceCardData

from .hub import CARD_NAME, SPACE, SPACE_SDK, commit

# The version of Gradio with which the page was tested (constraints.txt), and the newest Python.
SDK_VERSION, PYTHON_VERSION = "6.31.0", "3.13"
APP_NAME, REQUIREMENTS_NAME = "app.py", "requirements.txt"
PACKAGE = Path(__file__).parent.parent
# What the package needs: a link to the list at the top. Gradio comes with the Space.
REQUIREMENTS = Path(__file__).with_name(REQUIREMENTS_NAME)
# Compiled for the Python of this machine.
NOT_PUBLISHED = {".pyc", ".pyo"}
APP = '''"""The page of the essay scorer {repo_id}: `trm-aes demo` as a Space of the Hub."""

import os
import sys

from trm_aes.cli.runner import run
from trm_aes.page.app import Address, serve

if __name__ == "__main__":
    address = Address(os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0"), int(os.environ.get("GRADIO_SERVER_PORT", "7860")))
    sys.exit(run(lambda _: serve({repo_id!r}, address)))
'''
CARD = """---
{{{{ card_data }}}}
---

# {title}

The page of the essay scorer [{repo_id}](https://huggingface.co/{repo_id}): a score for one essay with what moved it, scores for a
table, and what is known of the scorer. What visitors send is scored in memory; it is not kept and not logged.

No score should matter to a person without a human who reads the essay.

The folder `trm_aes` is the package that made the scorer. A private scorer needs a token that may read it, as the secret
`HF_TOKEN` of this Space.
"""


def publish_space(
    space_id: str, repo_id: str, license: str, private: bool = False, overwrite: bool = False, token: str | None = None
) -> str:
    """
    Uploads a Space that shows a scorer, in one commit.

    Args:
        space_id: `user/name` of the Space; made if it does not exist.
        repo_id: of the scorer on the Hub.
        license: by the Hub's name for it.
        private: whether a new Space is private.
        overwrite: whether to add a commit to a Space that holds files already.
        token: as of [`publish`].

    Returns:
        Address of the commit.

    Raises:
        InputError, OutputError: as of [`publish`].
    """
    files = {name: text.encode() for name, text in _own_files(space_id, repo_id, license).items()} | dict(
        _package_files()
    )
    operations = [CommitOperationAdd(name, content) for name, content in files.items()]
    return commit(space_id, operations, f"Page of {repo_id}", private, overwrite, token, SPACE)


def _own_files(space_id: str, repo_id: str, license: str) -> dict[str, str]:
    title = space_id.rsplit("/", 1)[-1]
    data = SpaceCardData(
        title=title, sdk=SPACE_SDK, sdk_version=SDK_VERSION, python_version=PYTHON_VERSION, app_file=APP_NAME,
        license=license, models=[repo_id],
    )  # fmt: skip
    card = SpaceCard.from_template(data, template_str=CARD.format(title=title, repo_id=repo_id))
    return {
        APP_NAME: APP.format(repo_id=repo_id),
        REQUIREMENTS_NAME: REQUIREMENTS.read_text(encoding="utf-8"),
        CARD_NAME: str(card),
    }


def _package_files() -> Iterator[tuple[str, bytes]]:
    """This package, file by file."""
    for path in sorted(PACKAGE.rglob("*")):
        if path.is_file() and path.suffix not in NOT_PUBLISHED:
            yield f"{PACKAGE.name}/{path.relative_to(PACKAGE).as_posix()}", path.read_bytes()
