"""`python -m ragwheel.streams.intake`."""

from __future__ import annotations

import sys

from ragwheel.streams.intake.app import main

if __name__ == "__main__":
    sys.exit(main())
