"""`python -m ragwheel.accounting`."""

from __future__ import annotations

import sys

from ragwheel.accounting.process import main

if __name__ == "__main__":
    sys.exit(main())
