"""What the built llama.cpp can do. `python -m tasks.pool.build [MODEL]`

Prints one JSON line with its features, loads the model and computes one token, and prints
another. To be asked in a child process: a build for another CPU ends it with SIGILL at the first
matrix product. Knows nothing of who asks.
"""

from __future__ import annotations

import json
import sys


def main(model: str | None) -> None:
    """Say what the build is, then try it."""
    import llama_cpp

    about = {
        "version": llama_cpp.__version__,
        "features": llama_cpp.llama_print_system_info().decode(),
        "gpu": bool(llama_cpp.llama_supports_gpu_offload()),
    }
    print(json.dumps(about), flush=True)
    if model:
        llama_cpp.Llama(model, n_ctx=64, n_gpu_layers=0, verbose=False)("Hello", max_tokens=1)
        print(json.dumps({"computes": True}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
