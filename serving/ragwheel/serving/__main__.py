"""`python -m ragwheel.serving`."""

from __future__ import annotations

import sys

from ragwheel.serving.process import main

if __name__ == "__main__":
    sys.exit(main())
