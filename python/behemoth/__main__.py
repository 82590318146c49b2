"""`python -m behemoth` is `behemoth`: what `torchrun -m behemoth train` and its like start."""

from __future__ import annotations

import sys

from behemoth.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
