"""What another model server tells of itself: which models it serves, and in which window.

Owns its address and those questions. Knows nothing of completions. A server that does not say is
taken as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import httpx

from tasks.errors import ModelError
from tasks.models.nearest import listed, nearest
from tasks.settings import Settings

_PATIENCE_S = 5.0
_OURS = "lectern"  # our pool lists what it has used; it loads what it is asked for
_ANY_NAME = "llamacpp"  # llama-server answers to any name


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A row of /v1/models.

    Attributes:
        owner: who made the server, as it says.
        n_ctx: the tokens that a request and its answer share; 0: it does not tell.
    """

    name: str
    owner: str = ""
    n_ctx: int = 0


def base_of(url: str) -> str:
    """Return a server's address with the /v1 that users may leave out."""
    return f"{url.rstrip('/').removesuffix('/v1')}/v1"


def is_local(url: str) -> bool:
    """Tell whether it is on this machine. A proxy from the environment is for the world."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


def authorization(api_key: str | None) -> dict[str, str]:
    """Return the header that lets a client in."""
    return {"authorization": f"Bearer {api_key}"} if api_key else {}


def read_models(data: Any) -> list[ServedModel]:
    """Return what /v1/models answered; none where it is no such list."""
    rows = data.get("data") if isinstance(data, dict) else None
    return [
        ServedModel(str(row["id"]), str(row.get("owned_by") or ""), _n_ctx(row))
        for row in rows or ()
        if isinstance(row, dict) and row.get("id")
    ]


def _n_ctx(row: dict[str, Any]) -> int:
    """Return a model's window: vLLM's max_model_len, llama-server's meta.n_ctx (of one slot), and
    what OpenRouter and others call context_length."""
    meta = row.get("meta") if isinstance(row.get("meta"), dict) else {}
    found = row.get("max_model_len") or (meta or {}).get("n_ctx") or row.get("context_length")
    return found if isinstance(found, int) else 0


def served_models(settings: Settings) -> tuple[ServedModel, ...]:
    """Ask the server of LECTERN_POOL_URL what it serves; none where it does not answer, or say."""
    secret, url = settings.pool_api_key, settings.pool_url or ""
    headers = authorization(secret.get_secret_value() if secret else None)
    base = base_of(url)
    try:
        trusts = not is_local(url)
        with httpx.Client(headers=headers, timeout=_PATIENCE_S, trust_env=trusts) as http:
            models = read_models(_json(http.get(f"{base}/models")))
            if len(models) == 1 and not models[0].n_ctx:  # an older llama-server tells it here
                n_ctx = _props(_json(http.get(f"{base.removesuffix('/v1')}/props")))
                models = [replace(models[0], n_ctx=n_ctx)]
    except (httpx.HTTPError, httpx.InvalidURL):
        return ()
    return tuple(models)


def _props(data: Any) -> int:
    """Return the window of a slot as llama-server's /props has it."""
    found = data.get("default_generation_settings") if isinstance(data, dict) else None
    n_ctx = found.get("n_ctx") if isinstance(found, dict) else None
    return n_ctx if isinstance(n_ctx, int) else 0


def _json(response: httpx.Response) -> Any:
    try:
        return response.json() if response.is_success else None
    except ValueError:
        return None


def name_there(settings: Settings, model: str) -> str:
    """Return the model's name at the server: the setting's; else, of a server with one model alone,
    that one's; else the name here."""
    return settings.pool_model or _named(served_models(settings), model)


def _named(models: Sequence[ServedModel], model: str) -> str:
    return models[0].name if len(models) == 1 and models[0].owner != _OURS else model


def n_ctx_there(settings: Settings, model: str) -> int:
    """Return the tokens that a prompt and its answer share at the server; 0: it does not tell."""
    models = served_models(settings)
    name = settings.pool_model or _named(models, model)
    rows = [each for each in models if each.name == name or len(models) == 1]
    return rows[0].n_ctx if rows else 0


def is_served(name: str, models: Sequence[ServedModel]) -> bool:
    """Tell whether a server is likely to answer to a name; it alone knows."""
    heeds_none = not models or models[0].owner in (_OURS, _ANY_NAME)
    # Ollama takes the tag ":latest" for granted.
    return heeds_none or any(each.name in (name, f"{name}:latest") for each in models)


def not_served(model: str, problem: str, names: Sequence[str]) -> ModelError:
    """Return the error for a name that a server has not, with those that it has."""
    has = listed(nearest(model, names))
    return ModelError(model, problem, f"Set LECTERN_POOL_MODEL to a name that it serves: {has}")
