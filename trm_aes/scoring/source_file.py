"""The input of a scoring run, which must be the same from its first row to its last."""

import os
from pathlib import Path

from ..errors import InputError
from ..files import file_checksum


class SourceFile:
    """
    A file that is read several times.

    Args:
        path: of the file. Its state and its checksum are taken here.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._state = self._look()
        self.checksum = file_checksum(path)

    def check_state(self):
        """
        Checks, at no cost, that the file looks as it did: its size, the time of its last change, and that it is the same.

        Raises:
            InputError: if it does not.
        """
        if self._look() != self._state:
            raise InputError(f"{self.path} changed while it was being scored: nothing was written. Run it again.")

    def check_content(self):
        """
        Checks that the file holds the same bytes.

        Raises:
            InputError: if it does not.
        """
        self.check_state()
        if file_checksum(self.path) != self.checksum:
            raise InputError(f"{self.path} changed while it was being scored: nothing was written. Run it again.")

    def _look(self) -> tuple[int, int, int]:
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror}.") from error
        return found.st_size, found.st_mtime_ns, found.st_ino
