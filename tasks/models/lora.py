"""A LoRA adapter over a model that llama.cpp has opened, with its weights or without them.

Owns loading it, and the words of what keeps it from being loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import llama_cpp as llama

from tasks.errors import ModelError
from tasks.models.llama_log import LlamaLog

REMEDY = "Give a LoRA adapter in GGUF that was made for this very model"


def load_adapter(model: Any, path: Path, log: LlamaLog) -> Any:
    """Return llama.cpp's handle of an adapter, which goes with its model.

    Raises:
        ModelError: it can't be loaded, or is another model's.
    """
    with log.heard() as heard:
        handle = llama.llama_adapter_lora_init(model, str(path).encode())
    if not handle:
        problem = f"llama.cpp can't load this adapter ({heard.cause or 'it does not say why'})"
        raise ModelError(path.name, problem, REMEDY)
    return handle
