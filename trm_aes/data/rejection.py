"""What becomes of rows that cannot be used."""

import contextlib
from collections.abc import Hashable, Iterator

from ..errors import InputError


class RowCheck:
    """
    Rows that cannot be used: the first is an error, or all of them are set aside, each with the reason.

    Args:
        skip: whether they are set aside.
    """

    def __init__(self, skip: bool = False):
        self.skip = skip
        self.reasons: dict[Hashable, str] = {}

    @contextlib.contextmanager
    def of(self, row: Hashable) -> Iterator[None]:
        """A block that raises [`InputError`] where a row cannot be used. Of several reasons the first is kept."""
        try:
            yield
        except InputError as error:
            if not self.skip:
                raise
            self.reasons.setdefault(row, str(error))
