"""How tokens are chosen: chains of llama.cpp's own samplers, made of what a request asks.

Knows neither models nor batches; the caller owns the context that is sampled from.
"""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp as llama

from tasks.pool.protocol import EngineRequest, GrammarError


def sampler_chain(vocab: Any, request: EngineRequest) -> Any:
    """Return a chain of llama.cpp's samplers, which the caller frees; None: the best token, as
    it is.

    In llama.cpp's own order: grammar, penalties, DRY, then top-k, top-p, min-p, temperature.
    Penalties count the answer's tokens, not the prompt's, as OpenAI defines them. Biases are not
    among them: the engine adds these to the logits, where log-probabilities see them too.

    Raises:
        GrammarError: the grammar does not parse.
    """
    links = [*_grammar(vocab, request), *_penalties(vocab, request), *_dry(vocab, request)]
    if request.temperature > 0:
        links += _choosers(request)
    elif links:
        links.append(llama.llama_sampler_init_greedy())
    if not links:
        return None
    chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
    for link in links:
        llama.llama_sampler_chain_add(chain, link)
    return chain


def _grammar(vocab: Any, request: EngineRequest) -> list[Any]:
    if not request.grammar:
        return []
    link = llama.llama_sampler_init_grammar(vocab, request.grammar.encode(), b"root")
    if not link:
        raise GrammarError("the grammar does not parse as GBNF with a rule named root")
    return [link]


def _penalties(vocab: Any, request: EngineRequest) -> list[Any]:
    repeat, frequency = request.repeat_penalty, request.frequency_penalty
    if repeat == 1 and frequency == 0 and request.presence_penalty == 0:
        return []
    return [
        llama.llama_sampler_init_penalties(
            llama.llama_vocab_n_tokens(vocab),
            request.max_tokens,  # all of the answer
            repeat,
            frequency,
            request.presence_penalty,
        )
    ]


def _dry(vocab: Any, request: EngineRequest) -> list[Any]:
    if request.dry_multiplier == 0:
        return []
    breakers = [text.encode() for text in request.dry_sequence_breakers]
    return [
        llama.llama_sampler_init_dry(
            vocab,
            request.dry_multiplier,
            request.dry_base,
            request.dry_allowed_length,
            request.max_tokens,  # all of the answer
            (ctypes.c_char_p * len(breakers))(*breakers),
            len(breakers),
        )
    ]


def _choosers(request: EngineRequest) -> list[Any]:
    links = []
    if request.top_k > 0:
        links.append(llama.llama_sampler_init_top_k(request.top_k))
    if request.top_p < 1:
        links.append(llama.llama_sampler_init_top_p(request.top_p, 1))
    if request.min_p > 0:
        links.append(llama.llama_sampler_init_min_p(request.min_p, 1))
    seed = request.seed & 0xFFFFFFFF  # -1 becomes llama.cpp's "draw one"
    return [
        *links,
        llama.llama_sampler_init_temp(request.temperature),
        llama.llama_sampler_init_dist(seed),
    ]
