"""What a visitor may ask of the page at once. Whoever has more uses `trm-aes score`, which has no such limits."""

from ..errors import InputError

MEGABYTE = 2**20
# Of a file that is uploaded, and of a scored table that is given back. What is larger than the last is not received to the
# end; what is between is, so that the page can say beside the field what is wrong.
MAX_UPLOAD, MAX_DOWNLOAD, MAX_RECEIVED = 10 * MEGABYTE, 32 * MEGABYTE, 64 * MEGABYTE
# Rows of a table: minutes on two cores. Letters of an essay: more than 300,000 words.
MAX_ROWS, MAX_LETTERS = 2000, 2_000_000
# Of a whole table, which may have come compressed.
MAX_TABLE_LETTERS = 32_000_000
# Letters of an essay, each sentence of which is left out in turn to see what it moves: about ten pages.
MAX_EXPLAINED_LETTERS = 20_000
# Visitors who wait for the one model; and how long, in seconds, a table is held for the visitor who sent it.
MAX_QUEUE, SECONDS_HELD = 20, 1800
# Seconds between two looks for uploads that nobody has read.
SWEEP_SECONDS = 60
# Visitors whose tables are held at the same time.
MAX_SESSIONS = 50


def check_length(essay: str):
    """
    Checks that an essay is none that would hold up others.

    Raises:
        InputError: if it has more letters than the page takes.
    """
    if len(essay) > MAX_LETTERS:
        raise InputError(f"The essay has {len(essay):,} letters, and this page takes at most {MAX_LETTERS:,}.")
