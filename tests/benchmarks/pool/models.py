"""Make the models, once: written in f16, quantized by llama.cpp, kept in the cache."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .shapes import Shape, write_model

F16 = "F16"
_QUANTIZE = Path(__file__).with_name("quantize.py")


def model_path(folder: Path, shape: Shape, quantization: str) -> Path:
    return folder / f"random-{shape.name}-{quantization}.gguf"


def make_model(
    folder: Path, shape: Shape, quantization: str, say: Callable[[str], None] = lambda _: None
) -> Path:
    """Return the model's file; make it if it is not there.

    Raises:
        subprocess.CalledProcessError: llama.cpp can't quantize it.
    """
    path = model_path(folder, shape, quantization)
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    if quantization == F16:
        say(f"writing {path.name}")
        write_model(partial, shape)
    else:
        whole = make_model(folder, shape, F16, say)
        say(f"quantizing {path.name}")
        quantize(whole, partial, quantization)
    partial.replace(path)
    return path


def quantize(source: Path, target: Path, quantization: str) -> None:
    """Quantize a model by llama.cpp.

    Raises:
        subprocess.CalledProcessError: it can't.
    """
    command = [sys.executable, str(_QUANTIZE), str(source), str(target), quantization]
    subprocess.run(command, check=True, capture_output=True)


def drop_whole(folder: Path, shape: Shape) -> None:
    """Remove the f16 file, which only quantizing needs."""
    model_path(folder, shape, F16).unlink(missing_ok=True)
