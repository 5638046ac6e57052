"""`python -m ragwheel.cli`, for where scripts are not on the path."""

import sys

from ragwheel.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
