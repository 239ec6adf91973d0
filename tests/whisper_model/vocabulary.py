"""Which token has which number, in training and in the exported model.

CTranslate2 takes a model for one that knows languages if its vocabulary has an empty token, as
that of Whisper's multilingual models has.
"""

from __future__ import annotations

from faster_whisper.tokenizer import _LANGUAGE_CODES
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from whisper_model.grammar import VOCABULARY

MULTILINGUAL = ""
TIMES = tuple(f"<|{i * 0.02:.2f}|>" for i in range(1501))
END, START, ENGLISH = "<|endoftext|>", "<|startoftranscript|>", "<|en|>"
TASK, NO_SPEECH, NO_TIMES = "<|transcribe|>", "<|nospeech|>", "<|notimestamps|>"
STOP = "."
SPECIALS = (
    *(END, START, *(f"<|{code}|>" for code in _LANGUAGE_CODES), "<|translate|>", TASK),
    *("<|startoflm|>", "<|startofprev|>", NO_SPEECH, NO_TIMES, *TIMES),
)
SPACE = "Ġ"

TRAINED = (
    *(STOP, *(SPACE + word for word in VOCABULARY), END, START, ENGLISH, TASK),
    *(NO_SPEECH, NO_TIMES, *TIMES),
)
"""The tokens that are trained; the number of a token in training is its place here."""

NUMBER = {token: number for number, token in enumerate(TRAINED)}


def byte_alphabet() -> list[str]:
    """The printable characters that stand for the 256 bytes in byte-level vocabularies."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [*map(chr, kept), *(chr(256 + n) for n in range(256 - len(kept)))]


def exported_tokens() -> list[str]:
    """All tokens of the exported model by their number; the last 1,501 are times."""
    return [*byte_alphabet(), MULTILINGUAL, *(SPACE + word for word in VOCABULARY), *SPECIALS]


def make_tokenizer() -> Tokenizer:
    """A word of the vocabulary is one token together with the space before it; else bytes."""
    numbers = {token: number for number, token in enumerate(exported_tokens())}
    known = {token: n for token, n in numbers.items() if token != MULTILINGUAL}
    tokenizer = Tokenizer(models.BPE(vocab=known, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIALS])
    return tokenizer
