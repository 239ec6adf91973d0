"""Compute sizes.toml: llama.cpp tells what each shape in models.toml takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tasks.models.known_sizes import N_CTX, QUANTIZATIONS, Size
from tasks.models.registry import KnownModel, ModelShape
from tasks.pool.protocol import WorkerConfig

_HEAD = f"""\
# What the models of models.toml take, in bytes: computed from their shapes, not copied from
# anywhere (`make models` does it again; changes by hand are lost). llama-cpp-python {{version}}
# said it, of files with all tensors and no weights.
#
# file: all tensors. A real file is larger by its vocabulary (5.9 MB of Qwen2.5's).
# memory_1, memory_8: with the caches of one and of eight sequences of {N_CTX:,} tokens and what
# computing takes, in RAM, with flash attention. The vocabulary takes more there than in the file.
"""


def size_of(shape: ModelShape, quantization: str) -> Size:
    """Compute what a model of a shape takes.

    Raises:
        ModelError: llama.cpp does not take the shape.
    """
    from tasks.models.shape_file import write_shape_file
    from tasks.pool.loading import needs  # llama.cpp takes a while to import

    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{quantization}.gguf"
        write_shape_file(path, shape, quantization)
        config = WorkerConfig(
            model_path=str(path), n_ctx=N_CTX, n_gpu_layers=0, n_seq_max=1, flash_attn="on"
        )
        with needs(config) as need:
            memory = [need(replace(config, n_seq_max=n)).total for n in (1, 8)]
        return Size(file=path.stat().st_size, memory_1=memory[0], memory_8=memory[1])


def render_sizes(known: Mapping[str, KnownModel], version: str) -> str:
    """Compute all of sizes.toml, which takes about two seconds a model.

    Args:
        version: of llama-cpp-python.

    Raises:
        ModelError: llama.cpp does not take one of the shapes.
    """
    lines = [_HEAD.format(version=version)]
    for name, model in known.items():
        if model.shape is None:
            continue
        lines.append(f'["{name}"]')
        for quantization in QUANTIZATIONS:
            fields = size_of(model.shape, quantization).model_dump().items()
            text = ", ".join(f"{key} = {value:_}" for key, value in fields)
            lines.append(f"{quantization} = {{ {text} }}")
        lines.append("")
    return "\n".join(lines)
