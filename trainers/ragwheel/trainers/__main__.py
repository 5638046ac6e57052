"""`python -m ragwheel.trainers`."""

from __future__ import annotations

import sys

from ragwheel.trainers.process import main

if __name__ == "__main__":
    sys.exit(main())
