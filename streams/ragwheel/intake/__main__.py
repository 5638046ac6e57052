"""`python -m ragwheel.intake`."""

from __future__ import annotations

import sys

from ragwheel.intake.process import main

if __name__ == "__main__":
    sys.exit(main())
