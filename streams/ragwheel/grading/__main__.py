"""`python -m ragwheel.grading`."""

import sys

from ragwheel.grading.process import main

if __name__ == "__main__":
    sys.exit(main())
