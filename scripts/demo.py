"""The same program as `trm-aes demo`."""

import sys

from trm_aes.cli.demo import main
from trm_aes.cli.runner import run

if __name__ == "__main__":
    sys.exit(run(main))
