"""The same program as `trm-aes states`."""

import sys

from trm_aes.cli.runner import run
from trm_aes.cli.states import main

if __name__ == "__main__":
    sys.exit(run(main))
