"""Train the byte-level BPE tokenizer: the split of GPT-2, numbers up to 99 as one token.

Owns the vocabulary and its special tokens. The same splitting is named `gpt-2` in llama.cpp.

    python tokenizer.py SCRATCH
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import corpus
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

VOCAB_SIZE = 8192
END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
REPEAT = {"en": 1, "zh": 4, "other": 1}
OTHER_SHARE = 0.3
SEED = 0


def training_text(documents: list[corpus.Document]) -> Iterator[str]:
    """Yield lines so that English and Chinese weigh about the same, and every small number."""
    rng = random.Random(SEED)
    for document in documents:
        if document.language == "other" and rng.random() > OTHER_SHARE:
            continue
        for lines in document.paragraphs:
            for line in lines:
                yield from [" " + line] * REPEAT[document.language]
    for number in range(100):
        yield "\n".join([str(number)] * 20_000)


def train(documents: list[corpus.Document]) -> Tokenizer:
    """Train the tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[END_OF_TEXT, TURN_START, TURN_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(training_text(documents), trainer)
    return tokenizer


def check(tokenizer: Tokenizer) -> None:
    """Fail where a line's number or brackets would not be tokens of their own."""
    for number in range(1, 100):
        text = f"\n\n[{number}] Word [{number}]\n- "
        tokens = [tokenizer.decode([i]) for i in tokenizer.encode(text).ids]
        wanted = ["\n", "\n", "[", str(number), "]"], [" [", str(number), "]", "\n", "-", " "]
        if tokens[:5] != wanted[0] or tokens[-6:] != wanted[1]:
            raise SystemExit(f"the tokenizer splits {text!r} into {tokens}")


def main() -> None:
    """Write SCRATCH/tokenizer.json."""
    scratch = Path(sys.argv[1])
    tokenizer = train(corpus.load(scratch / "corpus.jsonl"))
    check(tokenizer)
    tokenizer.save(str(scratch / "tokenizer.json"))
    print(tokenizer.get_vocab_size(), "tokens")


if __name__ == "__main__":
    main()
