"""``python -m benchmarks.operators``."""

import sys

from benchmarks.operators.command import main

sys.exit(main())
