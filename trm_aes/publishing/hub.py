"""Publishing a scorer on the Hub: everything in one commit, so that it is there whole or not at all."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from ..errors import InputError, InterruptedRun, OutputError, brief
from ..records import REPORT_NAME, RUN_RECORD_NAME
from ..report.files import PAGE_NAME, read_report
from .privacy import published_configuration, published_record, published_report

# No checkpoints, no pickled training arguments, no predictions (they hold the ids of people's essays).
PUBLISHED_FILES = (
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "vocab.txt",
    "*.py",
    RUN_RECORD_NAME,
)
CARD_NAME = "README.md"
MADE_BY_THE_HUB = {".gitattributes"}
# Types of repositories, and what makes the pages of a Space.
MODEL, SPACE, SPACE_SDK = "model", "space", "gradio"
# By which parameter each type is named.
PARAMETERS = {MODEL: "repo_id", SPACE: "space"}


def publish(
    folder: Path,
    repo_id: str,
    card: str | None,
    evaluation_file: Path | None = None,
    report_dir: Path | None = None,
    private: bool = False,
    overwrite: bool = False,
    token: str | None = None,
    message: str = "Essay scorer",
) -> str:
    """
    Uploads a scorer: model, tokenizer, the code of both, the record of its run, its evaluation, its report and its card.
    Records and the configuration are published without the paths in them, and the report's page is made anew from such a record.

    Args:
        folder: the scorer's.
        repo_id: `user/name`; made if it does not exist.
        card: text of the model card; the folder's own README.md if not given.
        evaluation_file: uploaded under the name of its folder and its own, as in `evaluation-test/evaluation.json`.
        report_dir: folder of a report, whose record and page are uploaded under its name.
        private: whether a new repository is private.
        overwrite: whether to add a commit to a repository that holds files already. Its history stays.
        token: of an account that may write there; the one of `hf auth login` or HF_TOKEN if not given.
        message: of the commit.

    Returns:
        Address of the commit.

    Raises:
        InputError: without a token or the right to write, if the folder is no scorer, if the repository holds files and
            `overwrite` is false, or if it is public and `private` was asked for.
        OutputError: if the Hub cannot be reached, or the upload breaks off.
    """
    files = [path for pattern in PUBLISHED_FILES for path in sorted(folder.glob(pattern))]
    if not any(path.suffix == ".safetensors" for path in files) or not (folder / "config.json").is_file():
        raise InputError(f"{folder} holds no config.json and model.safetensors: it is no scorer.")
    without_paths = {RUN_RECORD_NAME: published_record, "config.json": published_configuration}
    operations = [
        CommitOperationAdd(path.name, without_paths[path.name](path) if path.name in without_paths else path)
        for path in files
    ]
    if card is not None:
        operations.append(CommitOperationAdd(CARD_NAME, card.encode()))
    elif (folder / CARD_NAME).is_file():
        operations.append(CommitOperationAdd(CARD_NAME, folder / CARD_NAME))
    if evaluation_file is not None:
        name = f"{evaluation_file.parent.name}/{evaluation_file.name}"
        operations.append(CommitOperationAdd(name, published_record(evaluation_file)))
    if report_dir is not None:
        operations += _report_operations(report_dir)
    return commit(repo_id, operations, message, private, overwrite, token)


def commit(
    repo_id: str,
    operations: list[CommitOperationAdd],
    message: str,
    private: bool = False,
    overwrite: bool = False,
    token: str | None = None,
    repo_type: str = MODEL,
) -> str:
    """
    Puts files into a repository, which is made if it does not exist, in one commit.

    Args:
        repo_id, private, overwrite, token, message: as of [`publish`].
        operations: the files.
        repo_type: `model` or `space`.

    Returns:
        Address of the commit.

    Raises:
        InputError, OutputError: as of [`publish`].
    """
    api = _api(repo_id, token, repo_type)
    with explain_hub_errors(repo_id, "Nothing was published."):
        is_new = _make_repo(api, repo_id, private, overwrite, repo_type)
    left = f"The repository is there, {'empty' if is_new else 'as it was'}: all files come with one commit, which was not confirmed"
    with explain_hub_errors(repo_id, f"{left}. Run the same command again."):
        return api.create_commit(repo_id, operations, commit_message=message, repo_type=repo_type).commit_url


def check_may_be_written(
    repo_id: str, private: bool = False, overwrite: bool = False, token: str | None = None, repo_type: str = MODEL
):
    """
    Checks, before anything is published, that files may be put into a repository, there or not. Arguments are those of
    [`commit`].

    Raises:
        InputError, OutputError: as of [`publish`].
    """
    api = _api(repo_id, token, repo_type)
    with explain_hub_errors(repo_id, "Nothing was published."):
        _is_there(api, repo_id, private, overwrite, repo_type)


def _api(repo_id: str, token: str | None, repo_type: str) -> HfApi:
    check_repo_id(repo_id, repo_type)
    token = token or get_token()
    if token is None:
        raise InputError(
            "No token for the Hub. Make one with the right to write at https://huggingface.co/settings/tokens, then run "
            "`hf auth login` or set HF_TOKEN."
        )
    return HfApi(token=token)


def _report_operations(folder: Path) -> list[CommitOperationAdd]:
    from ..report.page import render_page

    report = published_report(read_report(folder))
    content = {
        REPORT_NAME: json.dumps(asdict(report), indent=2, ensure_ascii=False) + "\n",
        PAGE_NAME: render_page(report),
    }
    return [CommitOperationAdd(f"{folder.name}/{name}", text.encode()) for name, text in content.items()]


def _make_repo(api: HfApi, repo_id: str, private: bool, overwrite: bool, repo_type: str) -> bool:
    """Makes the repository, or checks that this one may be written to; whether it is new (or empty)."""
    held = _is_there(api, repo_id, private, overwrite, repo_type)
    if held is None:
        # Unless asked, the account's own default.
        api.create_repo(
            repo_id, private=private or None, repo_type=repo_type, space_sdk=SPACE_SDK if repo_type == SPACE else None
        )
    return not held


def _is_there(api: HfApi, repo_id: str, private: bool, overwrite: bool, repo_type: str) -> int | None:
    """How many files a repository holds, if it may be written to; None where there is none."""
    try:
        info = api.space_info(repo_id) if repo_type == SPACE else api.model_info(repo_id)
    except RepositoryNotFoundError:
        return None
    if private and not info.private:
        raise InputError(
            f"{repo_id} exists and is public. Make it private on its settings page, or choose another `{PARAMETERS[repo_type]}`."
        )
    held = {file.rfilename for file in info.siblings or []} - MADE_BY_THE_HUB
    if held and not overwrite:
        raise InputError(
            f"{repo_id} exists and holds {len(held)} files. Choose another `{PARAMETERS[repo_type]}`, or pass `overwrite` "
            "to add a commit to it."
        )
    return len(held)


def check_repo_id(repo_id: str, repo_type: str = MODEL) -> None:
    """
    Checks that a repository on the Hub may have an id.

    Raises:
        InputError: if it may not.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise InputError(f"`{PARAMETERS[repo_type]}` {repo_id}: {brief(error)}") from None


@contextmanager
def explain_hub_errors(repo_id: str, state: str) -> Iterator[None]:
    """Turns what the client raises into one message that says what has become of the repository."""
    try:
        yield
    except InputError:
        raise
    except KeyboardInterrupt:
        raise InterruptedRun(f"{repo_id}: interrupted. {state}") from None
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            raise InputError(
                f"{repo_id}: the Hub refuses this token ({brief(error)}). Is it valid, and may it write there? {state}"
            ) from None
        raise OutputError(f"{repo_id}: the Hub answered: {brief(error)}. {state}") from error
    except Exception as error:  # the client's transport errors differ between its versions
        raise OutputError(
            f"{repo_id}: the upload broke off ({type(error).__name__}: {brief(error)}). {state}"
        ) from error
