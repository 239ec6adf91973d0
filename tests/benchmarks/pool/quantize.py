"""Quantize a model. `python quantize.py SOURCE TARGET QUANTIZATION`

A program of its own: llama.cpp prints as it goes, and ends the process on some errors.
"""

from __future__ import annotations

import ctypes
import os
import sys

import llama_cpp


def main(source: str, target: str, quantization: str) -> int:
    params = llama_cpp.llama_model_quantize_default_params()
    params.nthread = os.cpu_count() or 1
    params.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{quantization}")
    code = llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params))
    return int(code)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
