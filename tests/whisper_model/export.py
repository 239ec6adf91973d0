"""Write the network as faster-whisper reads it: CTranslate2's model and the three files beside it.

Owns the layout. Tokens that training does not know get a bias that keeps them from being chosen.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ctranslate2.specs import whisper_spec
from faster_whisper.tokenizer import _LANGUAGE_CODES
from torch import Tensor, nn
from whisper_model.network import Attention, FeedForward, Whisper
from whisper_model.vocabulary import TRAINED, exported_tokens, make_tokenizer

NEVER = -60.0
FEATURES = {
    **{"feature_size": 80, "sampling_rate": 16000, "hop_length": 160},
    **{"chunk_length": 30, "n_fft": 400},
}


def export(model: Whisper, folder: Path, quantization: str = "int8") -> None:
    """Write the folder anew."""
    shape = model.shape
    layers = len(model.encoder.attention), len(model.decoder.itself)
    spec = whisper_spec.WhisperSpec(layers[0], shape.encoder_heads, layers[1], shape.decoder_heads)
    _encoder(spec.encoder, model)
    tokens = exported_tokens()
    _decoder(spec.decoder, model, tokens)
    spec.register_vocabulary(tokens)
    numbers = {token: number for number, token in enumerate(tokens)}
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], []
    spec.config.lang_ids = [numbers[f"<|{code}|>"] for code in _LANGUAGE_CODES]
    spec.config.alignment_heads = [(layers[1] - 1, 0)]
    spec.validate()
    spec.optimize(quantization=quantization)
    written = folder.with_name(folder.name + ".new")
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir(parents=True)
    spec.save(str(written))
    make_tokenizer().save(str(written / "tokenizer.json"))
    (written / "preprocessor_config.json").write_text(json.dumps(FEATURES))
    folder.mkdir(parents=True, exist_ok=True)
    for path in written.iterdir():
        path.replace(folder / path.name)
    written.rmdir()


def _array(tensor: Tensor) -> np.ndarray[Any, Any]:
    return tensor.detach().float().contiguous().numpy().copy()


def _linear(spec: Any, *linears: nn.Linear) -> None:
    spec.weight = _array(torch.cat([linear.weight for linear in linears]))
    spec.bias = _array(torch.cat([linear.bias for linear in linears]))


def _norm(spec: Any, norm: nn.LayerNorm) -> None:
    spec.gamma, spec.beta = _array(norm.weight), _array(norm.bias)


def _itself(spec: Any, attention: Attention) -> None:
    _norm(spec.layer_norm, attention.norm)
    _linear(spec.linear[0], attention.query, attention.key, attention.value)
    _linear(spec.linear[1], attention.out)


def _source(spec: Any, attention: Attention) -> None:
    _norm(spec.layer_norm, attention.norm)
    _linear(spec.linear[0], attention.query)
    _linear(spec.linear[1], attention.key, attention.value)
    _linear(spec.linear[2], attention.out)


def _after(spec: Any, after: FeedForward) -> None:
    _norm(spec.layer_norm, after.norm)
    _linear(spec.linear_0, after.inner)
    _linear(spec.linear_1, after.outer)


def _encoder(spec: Any, model: Whisper) -> None:
    encoder = model.encoder
    for part, conv in ((spec.conv1, encoder.conv1), (spec.conv2, encoder.conv2)):
        part.weight, part.bias = _array(conv.weight), _array(conv.bias)
    spec.position_encodings.encodings = _array(encoder.places)
    _norm(spec.layer_norm, encoder.norm)
    for layer, attention, after in zip(
        spec.layer, encoder.attention, encoder.forward_layers, strict=True
    ):
        _itself(layer.self_attention, attention)
        _after(layer.ffn, after)


def _decoder(spec: Any, model: Whisper, tokens: list[str]) -> None:
    decoder = model.decoder
    rows = [tokens.index(token) for token in TRAINED]
    table = np.zeros((len(tokens), model.shape.width), np.float32)
    table[rows] = _array(decoder.embedding)
    bias = np.full(len(tokens), NEVER, np.float32)
    bias[rows] = 0
    spec.embeddings.weight = table
    spec.projection.weight, spec.projection.bias = spec.embeddings.weight, bias
    spec.position_encodings.encodings = _array(decoder.places)
    _norm(spec.layer_norm, decoder.norm)
    for layer, itself, source, after in zip(
        spec.layer, decoder.itself, decoder.source, decoder.forward_layers, strict=True
    ):
        _itself(layer.self_attention, itself)
        _source(layer.attention, source)
        _after(layer.ffn, after)
