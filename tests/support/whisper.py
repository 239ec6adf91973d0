"""Write a Whisper in CTranslate2's format with random weights, which faster-whisper loads offline.

For tests of what is around the recogniser. What it hears is noise, but the same noise every time.
The tokenizer is byte-level without merges, with Whisper's special tokens, and with as many words as
make up the vocabulary; CTranslate2 takes a model for multilingual if it has an empty token. What is
heard depends on the sound, and ends after a given number of tokens.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

N_MELS = 80
_POSITIONS, _MOST_TOKENS = 1500, 448  # of 20 ms each, which an encoder sees; what a decoder writes


@dataclass(frozen=True)
class Shape:
    """How large it is, and how much it hears.

    Attributes:
        tokens: in a stretch of speech.
    """

    d_model: int = 64
    heads: int = 2
    layers: int = 2
    vocabulary: int = 2_200
    tokens: int = 16
    is_multilingual: bool = False

    @classmethod
    def tiny(cls) -> Shape:
        """That of OpenAI's tiny; English has about so many tokens in half a minute."""
        return cls(
            d_model=384, heads=6, layers=4, vocabulary=51_865, tokens=100, is_multilingual=True
        )


class _Writer:
    """The spec's arrays, filled one by one."""

    def __init__(self, shape: Shape, seed: int) -> None:
        self.shape = shape
        self._rng = np.random.default_rng(seed)

    def weights(self, *shape: int, scale: float = 1.0) -> NDArray[np.float32]:
        fan_in = math.prod(shape[1:])
        drawn = self._rng.standard_normal(shape) * (scale / math.sqrt(fan_in))
        return np.asarray(drawn, dtype=np.float32)

    def linear(self, spec: Any, rows: int, columns: int) -> None:
        spec.weight = self.weights(rows, columns)
        spec.bias = np.zeros(rows, np.float32)

    def norm(self, spec: Any) -> None:
        spec.gamma = np.ones(self.shape.d_model, np.float32)
        spec.beta = np.zeros(self.shape.d_model, np.float32)

    def attention(self, spec: Any, *rows: int) -> None:
        self.norm(spec.layer_norm)
        for linear, n in zip(spec.linear, rows, strict=True):
            self.linear(linear, n, self.shape.d_model)

    def feed_forward(self, spec: Any) -> None:
        d_model = self.shape.d_model
        self.norm(spec.layer_norm)
        self.linear(spec.linear_0, 4 * d_model, d_model)
        self.linear(spec.linear_1, d_model, 4 * d_model)


def write_whisper(folder: Path, shape: Shape | None = None, seed: int = 0) -> Path:
    """Write a model's folder and return it."""
    from ctranslate2.specs import whisper_spec
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    shape = shape or Shape()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(list(_LANGUAGE_CODES[:99]), shape)
    ids = tokenizer.get_vocab()
    writer = _Writer(shape, seed)
    spec = whisper_spec.WhisperSpec(shape.layers, shape.heads, shape.layers, shape.heads)
    _fill(spec, writer, ids)
    spec.register_vocabulary([token for token, _ in sorted(ids.items(), key=lambda item: item[1])])
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], []
    spec.config.lang_ids = [ids[f"<|{code}|>"] for code in _LANGUAGE_CODES[:99]]
    spec.config.alignment_heads = [(shape.layers - 1, head) for head in range(shape.heads)]
    spec.validate()
    spec.optimize(quantization="float16")
    spec.save(str(folder))
    tokenizer.save(str(folder / "tokenizer.json"))
    features = {"feature_size": N_MELS, "sampling_rate": 16000, "hop_length": 160}
    features |= {"chunk_length": 30, "n_fft": 400}
    (folder / "preprocessor_config.json").write_text(json.dumps(features))
    return folder


def _fill(spec: Any, writer: _Writer, ids: dict[str, int]) -> None:
    encoder, decoder, d_model = spec.encoder, spec.decoder, writer.shape.d_model
    encoder.conv1.weight = writer.weights(d_model, N_MELS, 3)
    encoder.conv2.weight = writer.weights(d_model, d_model, 3)
    encoder.conv1.bias = np.zeros(d_model, np.float32)
    encoder.conv2.bias = np.zeros(d_model, np.float32)
    encoder.position_encodings.encodings = writer.weights(_POSITIONS, d_model)
    writer.norm(encoder.layer_norm)
    for layer in encoder.layer:
        writer.attention(layer.self_attention, 3 * d_model, d_model)
        writer.feed_forward(layer.ffn)
    _fill_ends(decoder, writer, ids)
    writer.norm(decoder.layer_norm)
    for layer in decoder.layer:
        writer.attention(layer.self_attention, 3 * d_model, d_model)
        writer.attention(layer.attention, d_model, 2 * d_model, d_model)
        writer.feed_forward(layer.ffn)


def _fill_ends(decoder: Any, writer: _Writer, ids: dict[str, int]) -> None:
    """Fill what decides on tokens: text alone, and from some position on the end.

    The first dimension of what is between the layers says that it is time.
    """
    d_model, eot = writer.shape.d_model, ids["<|endoftext|>"]
    embeddings, projection = writer.weights(len(ids), d_model), writer.weights(len(ids), d_model)
    embeddings[:, 0] = projection[:, 0] = 0
    projection[eot] = 0
    projection[eot, 0] = 10
    bias = np.zeros(len(ids), np.float32)
    bias[[number for token, number in ids.items() if token.startswith("<|")]] = -100
    bias[eot] = -20
    bias[[ids[f"<|{code}|>"] for code in ("en", "de", "zh")]] = 0
    positions = writer.weights(_MOST_TOKENS, d_model)
    positions[:, 0] = 0
    positions[writer.shape.tokens :, 0] = 1000
    decoder.embeddings.weight, decoder.projection.weight = embeddings, projection
    decoder.projection.bias = bias
    decoder.position_encodings.encodings = positions


def _tokenizer(languages: list[str], shape: Shape) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    vocabulary = _bytes()
    specials = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in languages)]
    specials += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>"]
    specials += ["<|nospeech|>", "<|notimestamps|>"]
    specials += [f"<|{i * 0.02:.2f}|>" for i in range(_POSITIONS + 1)]
    if shape.is_multilingual:
        vocabulary[""] = len(vocabulary)
    for i in range(max(0, shape.vocabulary - len(vocabulary) - len(specials))):
        vocabulary[f"Ġ{i:x}"] = len(vocabulary)  # words, each with its space
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(each, special=True) for each in specials])
    return tokenizer


def _bytes() -> dict[str, int]:
    """GPT-2's printable stand-ins for the 256 bytes."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in kept]
    return {chr(c): i for i, c in enumerate([*kept, *(256 + n for n in range(len(rest)))])}
