"""The finished windows of a scoring run, kept beside its output so that an interrupted run goes on where it stopped."""

import hashlib
import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import beside, read_json, remove, write_json
from .scorer import EssayScore, TraitScore

logger = logging.getLogger(__name__)

SETTINGS_NAME = "settings.json"


class ScoringParts:
    """
    A folder `.OUTPUT.parts` with a file of scores (no essays) for each finished window of the input. A part that is
    damaged counts as none: its window is scored again.

    Args:
        output: the scoring run's output, which this run owns (see [`owned`]).
        settings: everything that the scores depend on. Parts of a run with other settings are thrown away by [`prepare`].
    """

    def __init__(self, output: str | Path, settings: dict[str, Any]):
        self.folder = beside(Path(output), "parts")
        self.settings = settings

    def prepare(self):
        """Makes the folder, or takes up that of an earlier run with the same settings."""
        record = self.folder / SETTINGS_NAME
        if record.is_file() and self._were_made_alike(record):
            return
        if self.folder.exists():
            self.remove()
            logger.warning("Removed %s: what an interrupted run scored otherwise, or of another input.", self.folder)
        self.folder.mkdir(parents=True)
        write_json(record, self.settings)

    def _were_made_alike(self, record: Path) -> bool:
        try:
            return bool(read_json(record) == self.settings)
        except InputError:
            return False

    def __len__(self) -> int:
        """How many windows are finished."""
        return sum(path.stem.isdigit() for path in self.folder.glob("*.json"))

    def __contains__(self, window: int) -> bool:
        return self._path(window).is_file() and self._read(window) is not None

    def save(self, window: int, scores: list[EssayScore]):
        """Keeps the scores of a window; the file appears whole or not at all."""
        content = [asdict(score) for score in scores]
        write_json(self._path(window), {"sha256": _checksum(content), "scores": content})

    def load(self, window: int, num_essays: int) -> list[EssayScore]:
        """
        The scores of a finished window, in the order of its essays.

        Raises:
            InputError: if the part does not hold the scores of that many essays.
        """
        scores = self._read(window)
        if scores is None or len(scores) != num_essays:
            raise InputError(
                f"{self._path(window)} was damaged while it lay there. Run the same command again: it scores the essays anew."
            )
        return scores

    def remove(self):
        """Removes the folder and every part in it; nothing happens where there is none."""
        remove(self.folder)

    def _read(self, window: int) -> list[EssayScore] | None:
        """The scores of a window; None where the file is not as it was written."""
        try:
            part = read_json(self._path(window))
        except InputError:
            return None
        if not isinstance(part, dict) or part.get("sha256") != _checksum(part.get("scores")):
            return None
        return [_as_score(score) for score in part["scores"]]

    def _path(self, window: int) -> Path:
        return self.folder / f"{window:08}.json"


def _as_score(content: dict[str, Any]) -> EssayScore:
    # JSON has neither tuples nor our classes.
    traits = {trait: TraitScore(**score) for trait, score in content["traits"].items()}
    return EssayScore(**{**content, "advisories": tuple(content["advisories"]), "traits": traits})


def _checksum(scores: Any) -> str:
    return hashlib.sha256(json.dumps(scores).encode()).hexdigest()
