"""How fast the pool is beside its peers. `python tests/benchmarks/bench_pool.py --help`

What it measures and how is in the package tests/benchmarks/pool/.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))

from pool.command import main

if __name__ == "__main__":
    sys.exit(main())
