"""`python -m ragwheel.streams.grading`."""

import sys

from ragwheel.streams.grading.process import main

if __name__ == "__main__":
    sys.exit(main())
