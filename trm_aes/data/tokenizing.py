"""Tables of essays tokenized: in memory, or chunk by chunk to the disk, in memory that holds no tokens but a chunk's."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pandas as pd
import pyarrow as pa
from datasets import Dataset, concatenate_datasets
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from ..errors import InputError
from ..model.essay_tokens import EncodedEssay, check_limits, encode_essays
from ..model.text_features_trm import FEATURE_NAMES
from .schema import LIST_COLUMNS, TOKEN_COLUMNS

CHUNK = 512
# Of the numbers in LIST_COLUMNS.
LIST_TYPES = (pa.int64(), pa.int64(), pa.float64())
CUT_COLUMNS = tuple(name for name in TOKEN_COLUMNS if name not in LIST_COLUMNS)


@dataclass(frozen=True)
class TokenLimits:
    """
    How long the sequences of a data set may be, in tokens.

    Args:
        max_tokens: longest sequence, special tokens among them.
        max_prompt_tokens: what is left of the prompt where a sequence is too long.
        drop_longer_than: leave out essays whose uncut sequence is longer than this.
    """

    max_tokens: int
    max_prompt_tokens: int
    drop_longer_than: int | None = None


@dataclass(frozen=True)
class TokenizedSplit:
    """
    One split of a data set.

    Args:
        dataset: its essays with their tokens, which lie on the disk.
        frame: the same essays without what is a list for each; with how many tokens were cut.
        num_dropped: essays that were left out as too long.
    """

    dataset: Dataset
    frame: pd.DataFrame
    num_dropped: int


def tokenize_frame(
    frame: pd.DataFrame,
    tokenizer: PreTrainedTokenizerBase,
    limits: TokenLimits,
    progress: str,
    skip_repetition: bool = True,
) -> list[EncodedEssay]:
    """
    Tokens and text features of every essay of a table, in its order, with a progress bar.

    Raises:
        InputError: if the limits leave no room for an essay.
    """
    return list(chain.from_iterable(_chunks(frame, tokenizer, limits, progress, skip_repetition)))


def _chunks(
    frame: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, limits: TokenLimits, progress: str, skip_repetition: bool
) -> Iterator[list[EncodedEssay]]:
    """What [`tokenize_frame`] gives, some essays at a time."""
    try:
        check_limits(tokenizer, limits.max_tokens, limits.max_prompt_tokens)
    except ValueError as error:
        raise InputError(str(error)) from None
    with tqdm(total=len(frame), desc=progress, unit="essay", disable=None) as bar:
        for start in range(0, len(frame), CHUNK):
            chunk = frame.iloc[start : start + CHUNK]
            yield encode_essays(
                tokenizer, list(chunk["prompt"]), list(chunk["essay"]), limits.max_tokens, limits.max_prompt_tokens,
                FEATURE_NAMES, skip_repetition,
            )  # fmt: skip
            bar.update(len(chunk))


def tokenized_frame(
    frame: pd.DataFrame,
    tokenizer: PreTrainedTokenizerBase,
    limits: TokenLimits,
    progress: str,
    skip_repetition: bool = True,
) -> pd.DataFrame:
    """
    A table of essays with the columns of tokens and text features.

    Raises:
        InputError: if the limits leave no room for an essay.
    """
    encoded = tokenize_frame(frame, tokenizer, limits, progress, skip_repetition)
    return frame.assign(**{column: [getattr(essay, column) for essay in encoded] for column in TOKEN_COLUMNS})


def tokenize_split(
    frame: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, limits: TokenLimits, name: str, folder: Path
) -> TokenizedSplit:
    """
    Tokenizes one split.

    Args:
        frame: its essays.
        tokenizer, limits: what to tokenize with, and how long sequences may be.
        name: of the split.
        folder: takes a file of tokens, which must stay as long as the data set is used.

    Raises:
        InputError: if the limits leave no room for an essay, or dropping long essays leaves none.
    """
    path, longest = folder / f"{name}.arrow", limits.drop_longer_than
    is_kept: list[bool] = []
    cut: dict[str, list[int]] = {column: [] for column in CUT_COLUMNS}
    schema = pa.schema([(column, pa.list_(kind)) for column, kind in zip(LIST_COLUMNS, LIST_TYPES, strict=True)])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for encoded in _chunks(frame, tokenizer, limits, f"Tokenizing {name}", skip_repetition=True):
            keeps = [longest is None or _num_uncut(essay) <= longest for essay in encoded]
            kept = [essay for essay, keep in zip(encoded, keeps, strict=True) if keep]
            is_kept += keeps
            for column, numbers in cut.items():
                numbers += [getattr(essay, column) for essay in kept]
            writer.write_table(
                pa.table({column: [getattr(essay, column) for essay in kept] for column in schema.names}, schema)
            )
    if not any(is_kept):
        raise InputError(f"`drop_longer_than` {longest} leaves no essay in the {name} split.")
    kept_frame = frame[is_kept].assign(**cut)
    without_lists = Dataset.from_pandas(kept_frame, preserve_index=False)
    dataset = concatenate_datasets([without_lists, Dataset.from_file(str(path))], axis=1)
    return TokenizedSplit(dataset, kept_frame, len(frame) - len(kept_frame))


def _num_uncut(essay: EncodedEssay) -> int:
    return len(essay.input_ids) + essay.prompt_tokens_cut + essay.essay_tokens_cut
