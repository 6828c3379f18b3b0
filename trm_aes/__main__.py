"""`python -m trm_aes`: the same program as `trm-aes`."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
