"""Adapters in a model's name, and those that are put on it by default."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from support.gguf_header import Header, text

from tasks.errors import ModelError
from tasks.models.adapters import Adapter, AdapterName, take_apart
from tasks.models.files import absolute_name, identify, identify_adapter, resolve, stamp_of
from tasks.settings import Settings


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    """Settings whose folder of models holds a model and adapters."""
    (folder := tmp_path / "models").mkdir()
    for name in ("base", "law", "tone", "a+b", "x@2"):
        (folder / f"{name}.gguf").write_bytes(f"GGUF {name}".encode())
    toml = '[mine]\nfile = "base.gguf"\n[adapted]\nfile = "base.gguf"\nlora = ["law.gguf@0.5"]\n'
    (folder / "models.toml").write_text(toml)
    whole = Header({b"general.type": text("model")}, ()).encode()
    (folder / "whole.gguf").write_bytes(whole)
    return Settings(models=folder, home=tmp_path / "home")


@pytest.mark.parametrize(
    ("name", "base", "adapters"),
    [
        ("m.gguf", "m.gguf", ()),
        ("m.gguf+law.gguf", "m.gguf", (AdapterName("law.gguf"),)),
        (
            "hf:a/b:q4_0+hf:a/lora/f.gguf@0.5+law.gguf@-2e-1",
            "hf:a/b:q4_0",
            (AdapterName("hf:a/lora/f.gguf", 0.5), AdapterName("law.gguf", -0.2)),
        ),
        ("there+is.gguf", "there+is.gguf", ()),
        ("there+is.gguf+there+is.gguf@2", "there+is.gguf", (AdapterName("there+is.gguf", 2),)),
        ("m.gguf+there@3", "m.gguf", (AdapterName("there@3"),)),
        ("C++.gguf", "C++.gguf", ()),
    ],
)
def test_name_is_parted_at_its_pluses(
    name: str, base: str, adapters: tuple[AdapterName, ...]
) -> None:
    """But not within the names of files that are there."""
    taken = take_apart(name, {"there+is.gguf", "there@3"}.__contains__)

    assert (taken.base, taken.adapters) == (base, adapters)


def test_adapters_count_from_the_models_folder(config: Settings) -> None:
    files = resolve("mine+law.gguf@0.25+tone.gguf", config)

    assert files.parts == (config.models / "base.gguf",)
    assert files.adapters == (
        Adapter(config.models / "law.gguf", 0.25),
        Adapter(config.models / "tone.gguf", 1.0),
    )


def test_adapter_in_the_working_directory_is_meant_first(
    config: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "law.gguf").write_bytes(b"GGUF another")

    name = absolute_name("mine+law.gguf+tone.gguf@2", tmp_path)

    assert name == f"mine+{tmp_path / 'law.gguf'}+tone.gguf@2"
    assert resolve(name, config).adapters == resolve("mine+law.gguf+tone.gguf@2", config).adapters


def test_files_with_a_plus_or_an_at_in_their_names_are_found(config: Settings) -> None:
    name = f"{config.models / 'a+b.gguf'}+{config.models / 'x@2.gguf'}@0.5"

    files = resolve(name, config)

    assert files.parts == (config.models / "a+b.gguf",)
    assert files.adapters == (Adapter(config.models / "x@2.gguf", 0.5),)


def test_defaults_apply_where_the_name_gives_none(config: Settings) -> None:
    """Those of models.toml, then those of the setting."""
    both = config.model_copy(update={"pool_lora": "tone.gguf@2+a+b.gguf"})
    law, tone = Adapter(config.models / "law.gguf", 0.5), Adapter(config.models / "tone.gguf", 2)
    plus = Adapter(config.models / "a+b.gguf")

    assert resolve("adapted", config).adapters == (law,)
    assert resolve("adapted", both).adapters == (law, tone, plus)
    assert resolve("mine", both).adapters == (tone, plus)
    assert resolve("adapted+tone.gguf", both).adapters == (Adapter(tone.path),)


def test_identity_is_the_base_files_and_the_stamp_all_files(config: Settings) -> None:
    plain, adapted = resolve("mine", config), resolve("mine+law.gguf", config)

    assert identify(plain, config.home) == identify(adapted, config.home)
    assert stamp_of(plain) != stamp_of(adapted)
    assert (
        identify_adapter(adapted.adapters[0].path, config.home)
        == hashlib.sha256(b"GGUF law").hexdigest()
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mine+nothing.gguf", "mine+nothing.gguf: there is no adapter nothing.gguf. Give a GGUF"),
        ("mine+law.gguf@much", "its adapter law.gguf is no number ('much'). Write adapter.gguf@"),
        ("mine+law.gguf@nan", "its adapter law.gguf is no number"),
        ("mine+whole.gguf", "whole.gguf is no adapter, but a model. Give an adapter in GGUF"),
        ("min+law.gguf", "min+law.gguf: there is no such model as min. Did you mean mine? "),
    ],
)
def test_wrong_adapter_is_named(name: str, expected: str, config: Settings) -> None:
    with pytest.raises(ModelError) as caught:
        resolve(name, config)

    assert expected in str(caught.value)
