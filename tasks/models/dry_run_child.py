"""The child process that learns what types a quantization would give to a model's tensors.

`python -m tasks.models.dry_run_child MODEL QUANTIZATION` writes JSON: `types` by tensor, or
the `problem`. llama.cpp tells them nowhere but in its log, and ends the process on some errors.
"""

from __future__ import annotations

import ctypes
import json
import re
import sys

import llama_cpp as llama

from tasks.models.llama_log import LlamaLog
from tasks.models.stdout import claim_stdout

# As llama_model_quantize_impl words it: the type it has, and behind the size the one it would get.
_TENSOR = re.compile(
    r"^\[ *\d+/ *\d+\] (\S+) .*, type = +(\w+), size = [^(\n]*(?:\((\w+)\))?$", re.M
)


def main() -> None:
    out = claim_stdout()
    out.write(json.dumps(answer(*sys.argv[1:])).encode())
    out.flush()


def answer(model: str, quantization: str) -> dict[str, object]:
    """Return what is written."""
    ftype = getattr(llama, f"LLAMA_FTYPE_MOSTLY_{quantization}", None)
    if ftype is None:
        return {"problem": "there is no such quantization"}
    params = llama.llama_model_quantize_default_params()
    params.ftype, params.dry_run = ftype, True
    with LlamaLog(echo=False).heard() as heard:
        code = llama.llama_model_quantize(model.encode(), b"", ctypes.byref(params))
    if code != 0:
        return {"problem": heard.cause or f"code {code}"}
    found = _TENSOR.findall("".join(heard.lines))
    return {"types": {name: new or old for name, old, new in found}}


if __name__ == "__main__":
    main()
