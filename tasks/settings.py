"""Settings: one class, read from the environment (LECTERN_*) and from lectern.toml.

The environment wins over the file. Folders are absolute after loading; relative ones count
from the project's root, so that a deployment and a command line see the same places.
"""

from __future__ import annotations

import os
import tomllib
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from tasks.errors import PipelineError
from tasks.records import CaptionsMode, OcrMode, RopeScaling

PROJECT_ROOT = Path(__file__).resolve().parent.parent
_FILE = PROJECT_ROOT / "lectern.toml"
# The longest contexts that models are trained for. llama.cpp counts the tokens of all sequences
# in 32 bits, which 64 of these do not exceed; it takes 52 bytes for each before any cache.
_MOST_N_CTX = 1 << 20
_MOST_SEQUENCES = 64


class Settings(BaseSettings):
    """Everything that can be set; each field is LECTERN_<NAME> in the environment."""

    model_config = SettingsConfigDict(env_prefix="LECTERN_", toml_file=_FILE, extra="forbid")

    # Places.
    results: Path = Field(Path("data/results"), description="tables and documents")
    models: Path = Field(Path("data/models"), description="GGUF files and models.toml")
    prompts: Path = Field(Path("prompts"), description="the project's prompt files")
    home: Path = Field(Path(".lectern"), description="state: pool, caches, Prefect's home, logs")

    # What a run does, unless told otherwise.
    model: str = Field("demo", description="a path, hf:repo:quant, or a name from models.toml")
    language: str = Field("auto", description="of summaries; auto: the document's own")
    translate_to: str | None = Field(None, description="the language of translations: zh, en, …")

    # The pool.
    pool_url: str | None = Field(None, description="another OpenAI-compatible server to use")
    pool_api_key: SecretStr | None = Field(None, description="the key of that server")
    pool_model: str | None = Field(
        None, description="the model's name at pool_url; default: --model's"
    )
    pool_n_seq_max: int = Field(
        0,
        ge=0,
        le=_MOST_SEQUENCES,
        description="sequences decoded together; 0: measured here, 8 until then",
    )
    pool_n_ctx: int = Field(4096, ge=512, le=_MOST_N_CTX, description="tokens a sequence can hold")
    pool_n_batch: int = Field(
        0, ge=0, description="tokens a decode call takes at most; 0: measured here, 512 until then"
    )
    pool_n_threads: int = Field(
        0, ge=0, description="0: measured here, one a physical core until then"
    )
    pool_n_threads_batch: int = Field(
        0, ge=0, description="for more than one token; 0: pool_n_threads, or measured like it"
    )
    pool_kv_cache: Literal["auto", "split", "unified"] = Field(
        "auto", description="auto: measured here, split until then"
    )
    pool_flash_attn: Literal["auto", "on", "off"] = Field(
        "auto", description="auto: measured here; until then off on CPUs with AMX"
    )
    pool_speculation: Literal["auto", "off"] = Field(
        "auto", description="auto: guess what answers copy, where that is faster"
    )
    pool_tuning: Literal["auto", "off"] = Field(
        "auto", description="auto: measure what is best here while idle; off: only lectern bench"
    )
    pool_n_gpu_layers: int = Field(
        -1,
        ge=-1,
        description="layers on GPUs; -1: as many as their memory has room for",
    )
    pool_tensor_split: tuple[float, ...] = Field(
        (), description="each GPU's share of the model, as [3, 1]; none: by what they have free"
    )
    pool_n_workers: int = Field(
        0,
        ge=0,
        le=16,
        description="processes that hold the model; 0: one for each GPU that it fits on, else one",
    )
    pool_chat_format: str | None = Field(
        None, description="the family whose prompts the model wants; default: as its file says"
    )
    pool_lora: str | None = Field(
        None,
        description="adapters for every model: GGUF files, each perhaps @SCALE, parted by +",
    )
    pool_rope_scaling: RopeScaling = Field(
        "auto",
        description="how a longer context than it was trained on is made; auto: its file's",
    )
    pool_rope_factor: float = Field(
        1, ge=1, le=128, description="how many times the context that the model was trained on"
    )
    pool_draft_model: str | None = Field(
        None, description="a smaller model of the same family, to guess with where that is faster"
    )
    pool_idle_s: float = Field(600, gt=0, description="the pool stops after this long unused")
    pool_queue_max: int = Field(4096, ge=1, description="requests waiting before it says busy")

    # Chunks.
    max_prompt_tokens: int = Field(2500, ge=256, description="quality falls beyond about 2,500")

    # Reading documents, in a child process.
    pdf_memory_mb: int = Field(2048, ge=128, description="base; 4 MB a page are added")
    pdf_seconds: float = Field(30, gt=0, description="base; half a second a page is added")
    download_max_mb: int = Field(512, ge=1, description="what a URL gives may be this large")
    ocr: OcrMode = Field("auto", description="auto: recognise pages without text; always; never")
    ocr_languages: str = Field(
        "eng+chi_sim",
        pattern=r"^\w+(\+\w+)*$",
        description="tesseract's names, for documents whose language is not known",
    )
    ocr_seconds: float = Field(60, gt=0, description="for each page to be recognised")
    media_max_mb: int = Field(4096, ge=1, description="a video or recording may be this large")
    media_max_hours: float = Field(12, gt=0, description="and this long")
    media_proxy: str | None = Field(None, description="http or socks5 URL, for videos")
    media_cookies: Path | None = Field(
        None, description="a cookies.txt for videos that ask who you are"
    )
    media_js_runtime: Literal["none", "deno", "node", "bun", "quickjs"] = Field(
        "none", description="the program that yt-dlp may run for sites that need one (YouTube)"
    )
    playlist_max: int = Field(500, ge=1, description="videos of a playlist, from its start")
    captions: CaptionsMode = Field(
        "prefer", description="prefer captions that people made to recognising speech; ignore; only"
    )
    speech_model: str = Field(
        "auto", description="a Whisper in CTranslate2's format: a folder, a name, or auto"
    )
    speech_device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where speech is recognised"
    )
    speech_batch: int = Field(8, ge=1, le=64, description="stretches of speech recognised together")
    allow_private_addresses: bool = Field(False, description="URLs may point into this network")

    @field_validator("results", "models", "prompts", "home", "media_cookies")
    @classmethod
    def _from_root(cls, path: Path | None) -> Path | None:
        return PROJECT_ROOT / path.expanduser() if path else None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


@cache
def settings() -> Settings:
    """Return the process's settings, read once. Tests clear it with settings.cache_clear().

    Raises:
        PipelineError: a setting is wrong, or lectern.toml can't be read.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _wrong(str(first["loc"][0]), first["msg"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise PipelineError(str(_FILE), f"can't be read ({error})", "Correct the file") from error


def _wrong(name: str, problem: str) -> PipelineError:
    if name not in Settings.model_fields:
        close = get_close_matches(name, Settings.model_fields, n=1)
        remedy = f"Did you mean {close[0]}?" if close else "Remove it"
        return PipelineError(f"{name} in {_FILE}", "there is no such setting", remedy)
    variable = f"LECTERN_{name.upper()}"
    where = variable if variable in os.environ else f"{name} in {_FILE}"
    about = Settings.model_fields[name].description
    return PipelineError(where, problem, f"It is: {about}")
