"""The same program as `trm-aes score`."""

import sys

from trm_aes.cli.runner import run
from trm_aes.cli.score import main

if __name__ == "__main__":
    sys.exit(run(main))
