"""The same program as `trm-aes train`."""

import sys

from trm_aes.cli.runner import run
from trm_aes.cli.train import main

if __name__ == "__main__":
    sys.exit(run(main))
