"""Progress bars, which are for people who watch."""

import os
import sys

# By which tqdm, datasets and the Hub's client (and through it Transformers) are told to show none, before they are imported.
SWITCHES = ("TQDM_DISABLE", "HF_DATASETS_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_PROGRESS_BARS")


def hide_progress_in_logs():
    """
    Switches progress bars off where standard error is no terminal: a log would hold each of their states. What a user has
    set stays.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        for name in SWITCHES:
            os.environ.setdefault(name, "1")
