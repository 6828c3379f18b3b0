"""An evaluation on the disk: written whole, and read again while it is still that of the same scorer and essays."""

from dataclasses import replace
from itertools import chain
from pathlib import Path

import pandas as pd

from ..data.dataset import EssayDataset
from ..data.tables import read_rows, write_rows
from ..errors import InputError
from ..files import file_checksum
from ..records import EVALUATION_NAME, EvaluationRecord
from ..scoring.scorer import SET_COLUMNS, EssayScorer
from ..scoring.unknown_prompts import SCORED_AS
from .evaluate import Evaluation, evaluation_record, own_columns
from .shown import predictions_for_people

PREDICTIONS_NAME = "predictions.csv"
TEXT_COLUMNS = (SCORED_AS, "rounded_score", *chain.from_iterable(SET_COLUMNS), "advisories")


def write_evaluation(folder: Path, evaluation: Evaluation, scorer: EssayScorer, data: EssayDataset, split: str):
    """Writes the predictions, and then the record with their checksum, into the folder of an evaluation."""
    predictions = predictions_for_people(evaluation, data)
    # An empty cell where there is no value.
    predictions = predictions.astype(object).where(predictions.notna(), None)
    write_rows(predictions.to_dict("records"), folder / PREDICTIONS_NAME, PREDICTIONS_NAME)
    record = evaluation_record(evaluation, scorer, data, split)
    checksums = {**record.checksums, "predictions_sha256": file_checksum(folder / PREDICTIONS_NAME)}
    replace(record, checksums=checksums).write(folder)


def read_predictions(folder: Path, scorer: EssayScorer, data: EssayDataset, split: str) -> pd.DataFrame:
    """
    The predictions of an evaluation, if they are those that the scorer would give these essays now.

    Returns:
        A row for each essay of the split, in its order: `essay_id`, `prompt_id` and `score` of the data set, and of
        [`own_columns`] those that were written: scores as people write them, prompts and advisories as text, None for empty
        cells; the others, those of traits among them, as numbers, NaN for empty cells.

    Raises:
        InputError: if there is no evaluation, or it is of another scorer, other essays, or not as it was written; it says
            which.
    """
    if not (folder / EVALUATION_NAME).is_file():
        raise InputError(f"{folder} holds no {EVALUATION_NAME}.")
    record = EvaluationRecord.read(folder)
    _check_is_current(record, folder, scorer, data, split)
    rows = {row["essay_id"]: row for row in read_rows(folder / PREDICTIONS_NAME)}
    essays = data.split(split).select_columns(["essay_id", "prompt_id", "score"]).to_pandas()
    if set(rows) != set(essays["essay_id"]):
        raise InputError(f"{folder}: some essays of the split were not scored.")
    ordered = [rows[essay_id] for essay_id in essays["essay_id"]]
    return essays.assign(
        **{
            name: _values(name, [row[name] for row in ordered])
            for name in own_columns(scorer.trait_ranges)
            if name in ordered[0]
        }
    )


def _values(name: str, cells: list[str]) -> pd.Series:
    found = pd.Series([cell or None for cell in cells], dtype=object)
    # A label may be "01", which as a number it would no longer be.
    return found if name in TEXT_COLUMNS else found.astype(float)


def _check_is_current(record: EvaluationRecord, folder: Path, scorer: EssayScorer, data: EssayDataset, split: str):
    for what, is_same in (
        ("another split", record.split == split),
        ("another data set", record.checksums.get("data_sha256") == data.checksum),
        ("another state of the scorer", scorer.checksums().items() <= record.checksums.items()),
    ):
        if not is_same:
            raise InputError(f"{folder} is of {what}.")
    predictions = folder / PREDICTIONS_NAME
    if not predictions.is_file() or file_checksum(predictions) != record.checksums.get("predictions_sha256"):
        raise InputError(f"{predictions} is not as it was written.")
