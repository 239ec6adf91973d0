"""Compute data/models/sizes.toml anew, after a change in models.toml or of llama.cpp.

python tests/benchmarks/model_sizes.py
"""

from __future__ import annotations

import llama_cpp

from tasks.files import put_in_place
from tasks.models.registry import read_known
from tasks.pool.sizes import render_sizes
from tasks.settings import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "data" / "models"


def main() -> None:
    text = render_sizes(read_known(FOLDER / "models.toml"), llama_cpp.__version__)
    partial = FOLDER / "sizes.toml.partial"
    partial.write_text(text, encoding="utf-8")
    put_in_place(partial, FOLDER / "sizes.toml")


if __name__ == "__main__":
    main()
