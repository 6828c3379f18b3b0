"""The same program as `trm-aes report`."""

import sys

from trm_aes.cli.report import main
from trm_aes.cli.runner import run

if __name__ == "__main__":
    sys.exit(run(main))
