"""The same program as `trm-aes explain`."""

import sys

from trm_aes.cli.explain import main
from trm_aes.cli.runner import run

if __name__ == "__main__":
    sys.exit(run(main))
