"""A plain loop over llama-cpp-python's `Llama`. `python loop_child.py MODEL N_CTX N_THREADS`

Reads a JSON line, a list of [prompt tokens, tokens out]; answers them one after another and
writes a JSON line, a list of [seconds, text]; again, until stdin ends. `generate` does not care
for end-of-generation tokens, and keeps what a prompt shares with the one before.
"""

from __future__ import annotations

import itertools
import json
import sys
import time

from llama_cpp import Llama


def answer(llama: Llama, prompt: list[int], n: int) -> tuple[float, str]:
    start = time.perf_counter()
    tokens = list(itertools.islice(llama.generate(prompt, temp=0.0), n))
    text = llama.detokenize(tokens).decode(errors="replace")
    return time.perf_counter() - start, text


def main(model: str, n_ctx: int, n_threads: int) -> None:
    llama = Llama(
        model,
        n_ctx=n_ctx,
        n_threads=n_threads,
        n_threads_batch=n_threads,
        n_gpu_layers=-1,
        verbose=False,
    )
    for line in sys.stdin:
        print(json.dumps([answer(llama, *request) for request in json.loads(line)]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
