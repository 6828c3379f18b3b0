"""A frozen encoder's states of the training essays: computed once, and kept on disk in half precision."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from datasets import Dataset
from tqdm import tqdm

from ..model.encoder_trm import TRMPretrainedEncoder
from ..model.essay_tokens import EssayCollator
from ..model.essays_trm import EssayBatch
from ..scoring.scorer import batches_by_tokens, weights_checksum
from .states_folder import states_folder

# Essays in a file: what an interrupted run loses at most.
SHARD_SIZE = 256
BATCH_TOKENS = 4096


class EssayStates(Sequence[np.ndarray]):
    """
    States of the essays of a split, in its order, each `(pieces, width)` in float16. They stay on disk until they are
    looked at.
    """

    def __init__(self, shards: Sequence[np.ndarray], counts: Sequence[np.ndarray]):
        self._shards = shards
        self._bounds = [np.concatenate([[0], np.cumsum(count)]) for count in counts]
        self._length = sum(map(len, counts))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index):
        shard, place = divmod(range(self._length)[index], SHARD_SIZE)
        start, end = self._bounds[shard][place : place + 2]
        return self._shards[shard][start:end]


class EssaysWithStates(torch.utils.data.Dataset):
    """Rows of a split, each with its `encoder_states`."""

    def __init__(self, rows: Dataset, states: EssayStates):
        self.rows, self.states = rows, states

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict:
        return {**self.rows[index], "encoder_states": self.states[index]}


def read_with_encoder(
    encoder: TRMPretrainedEncoder, rows: Dataset, collate: EssayCollator, device: torch.device, progress: str
) -> EssayStates:
    """
    An encoder's states of essays, from disk where it has read these essays before. What is computed is written file by
    file, each whole or not at all, so that an interrupted run goes on where it was. The processes on one machine share
    the work.

    Args:
        encoder: frozen, on any device.
        rows: of a split, with `input_ids` and `token_type_ids`.
        collate: batches them.
        device: to compute on.
        progress: what the bar says.
    """
    folder = states_folder() / _checksum_of_encoder(encoder)
    folder.mkdir(parents=True, exist_ok=True)
    tokens = rows.select_columns(["input_ids", "token_type_ids"]).with_format("numpy")
    parts = [tokens[start : start + SHARD_SIZE] for start in range(0, len(tokens), SHARD_SIZE)]
    files = [folder / f"{_checksum_of_tokens(part)}.npy" for part in parts]
    counts = [_count_pieces(encoder, part, collate) for part in parts]
    missing = [place for place, file in enumerate(files) if not _is_whole(file, counts[place])]
    process, processes = int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    # By its place among all, for another process may have written some before this one looked.
    own = [place for place in missing if place % processes == process]
    if own:
        encoder = encoder.to(device).eval()
        with tqdm(total=sum(len(counts[place]) for place in own), desc=progress, unit="essay", disable=None) as bar:
            for place in own:
                _write(files[place], _read_part(encoder, parts[place], counts[place], collate, device))
                bar.update(len(counts[place]))
    PartialState().wait_for_everyone()
    return EssayStates([np.load(file, mmap_mode="r") for file in files], counts)


@torch.inference_mode()
def _read_part(
    encoder: TRMPretrainedEncoder, part: dict, counts: np.ndarray, collate: EssayCollator, device: torch.device
) -> np.ndarray:
    bounds = np.concatenate([[0], np.cumsum(counts)])
    width = encoder.transformer.config.hidden_size
    states = np.empty((bounds[-1], width), dtype=np.float16)
    for batch in batches_by_tokens([len(ids) for ids in part["input_ids"]], BATCH_TOKENS):
        read = encoder.read(_essays(part, batch, collate, device))
        for row, place in enumerate(batch):
            states[bounds[place] : bounds[place + 1]] = read[row, : counts[place]].to(torch.float16).cpu().numpy()
    return states


def _count_pieces(encoder: TRMPretrainedEncoder, part: dict, collate: EssayCollator) -> np.ndarray:
    """Word pieces of each essay."""
    essays = _essays(part, range(len(part["input_ids"])), collate, torch.device("cpu"))
    return encoder.pieces(essays).sum(dim=1).numpy()


def _essays(part: dict, places: Iterable[int], collate: EssayCollator, device: torch.device) -> EssayBatch:
    """Some essays of a part, as a batch."""
    batch = collate([{name: column[place] for name, column in part.items()} for place in places])
    return EssayBatch.from_tensors(**{name: values.to(device) for name, values in batch.items()})


def _checksum_of_encoder(encoder: TRMPretrainedEncoder) -> str:
    config = encoder.transformer.config.to_json_string()
    return hashlib.sha256((config + weights_checksum(encoder)).encode()).hexdigest()[:32]


def _checksum_of_tokens(part: dict) -> str:
    digest = hashlib.sha256()
    for ids, segments in zip(part["input_ids"], part["token_type_ids"], strict=True):
        for values in (ids, segments):
            digest.update(len(values).to_bytes(8, "little"))
            digest.update(np.asarray(values, dtype=np.int32).tobytes())
    return digest.hexdigest()[:32]


def _is_whole(file: Path, counts: np.ndarray) -> bool:
    """Whether the states of these essays are there; those of a damaged file are computed again."""
    try:
        return bool(len(np.load(file, mmap_mode="r")) == counts.sum())
    except (OSError, ValueError, EOFError):
        return False


def _write(file: Path, states: np.ndarray):
    started = file.with_name(f"{file.stem}.{os.getpid()}.tmp")
    try:
        with started.open("wb") as stream:
            np.save(stream, states)
        started.replace(file)
    finally:
        started.unlink(missing_ok=True)
