"""The finished windows of a scoring run, kept beside its output so that an interrupted run goes on where it stopped."""

import shutil
from dataclasses import asdict
from pathlib import Path

from ..files import read_json, write_json
from .scorer import EssayScore

SETTINGS_NAME = "settings.json"


class ScoringParts:
    """
    A folder `.OUTPUT.parts` with a file of scores (no essays) for each finished window of the input.

    Args:
        output: the scoring run's output.
        settings: what the scores depend on. Parts of a run with other settings are thrown away by [`prepare`].
    """

    def __init__(self, output: str | Path, settings: dict):
        output = Path(output)
        self.folder = output.with_name(f".{output.name}.parts")
        self.settings = settings

    def prepare(self):
        """Makes the folder, or takes up that of an earlier run with the same settings."""
        record = self.folder / SETTINGS_NAME
        if record.is_file() and read_json(record) == self.settings:
            return
        self.remove()
        self.folder.mkdir(parents=True)
        write_json(record, self.settings)

    def __len__(self) -> int:
        """How many windows are finished."""
        return sum(path.stem.isdigit() for path in self.folder.glob("*.json"))

    def __contains__(self, window: int) -> bool:
        return self._path(window).is_file()

    def save(self, window: int, scores: list[EssayScore]):
        """Keeps the scores of a window; the file appears whole or not at all."""
        write_json(self._path(window), [asdict(score) for score in scores])

    def load(self, window: int) -> list[EssayScore]:
        """The scores of a finished window, in the order of its essays."""
        return [EssayScore(**score) for score in read_json(self._path(window))]

    def remove(self):
        """Removes the folder and every part in it; nothing happens where there is none."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, window: int) -> Path:
        return self.folder / f"{window:08}.json"
