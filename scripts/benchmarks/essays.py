"""Essays of random words, of ASAP's lengths, in Parquet files of any size."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from trm_aes.files import new_file

from .speed import essay_lengths

WRITTEN_AT_ONCE = 10_000


def words_of(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """The words of a vocabulary, in alphabetical order."""
    return np.array([word for word in sorted(tokenizer.get_vocab()) if word.isalpha()])


def write_rows(path: Path, schema: pa.Schema, num_rows: int, row_of: Callable[[int], tuple[Any, ...]]) -> Path:
    """Writes rows of these numbers, from 0, in bounded memory; the file appears whole."""
    with new_file(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for start in range(0, num_rows, WRITTEN_AT_ONCE):
            rows = [row_of(number) for number in range(start, min(start + WRITTEN_AT_ONCE, num_rows))]
            writer.write_table(pa.table(dict(zip(schema.names, zip(*rows, strict=True), strict=True)), schema))
    return path


def write_essays(path: Path, num_essays: int, model: str, mean_words: int | None = None) -> Path:
    """
    Essays of words of a model's vocabulary, each as likely; where the file is already, it is taken. Their lengths have ASAP's
    mix, or that mix made shorter or longer to a mean number of words.
    """
    if path.is_file():
        return path
    words, random = words_of(AutoTokenizer.from_pretrained(model)), np.random.default_rng(0)
    lengths = essay_lengths(1000)
    if mean_words is not None:
        lengths = (lengths * mean_words / lengths.mean()).round().clip(1).astype(int)
    schema = pa.schema([("essay_id", pa.string()), ("essay", pa.string())])
    return write_rows(
        path,
        schema,
        num_essays,
        lambda number: (str(number), " ".join(random.choice(words, lengths[number % len(lengths)]))),
    )
