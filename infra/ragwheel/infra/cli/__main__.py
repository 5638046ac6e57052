"""`python -m ragwheel.infra.cli`, for where scripts are not on the path."""

import sys

from ragwheel.infra.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
