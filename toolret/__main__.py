"""``python -m toolret``: the command line."""

from __future__ import annotations

import sys

from toolret.cli import main

sys.exit(main())
