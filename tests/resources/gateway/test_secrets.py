"""Keys in the environment as they come, and keys where none may stand."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from synth_assets.contracts.model_spec import NamedModel
from synth_assets.core.addresses import check_secrets, without_login
from synth_assets.core.errors import UserError, status_of
from synth_assets.resources.gateway.models import address, key_of, resolve_model

KEY = "sk-abcdefghijklmnop0123"
MODEL = NamedModel(name="m", base_url="https://models.test/v1", headers={"X-Org": "ORG"})


@pytest.mark.parametrize(
    "held", [f"{KEY}\n", f"\r\n {KEY}\t", f"\ufeff{KEY}", f"{KEY}\xa0", f"\u200b{KEY}\u2003"]
)
def test_blanks_around_a_key_are_taken_off(held: str) -> None:
    environ = {"OPENAI_API_KEY": held, "ORG": f"{held}\n"}
    model = resolve_model(MODEL, environ)
    assert key_of(model, environ) == KEY
    assert model.beside(environ)[0] == {"X-Org": KEY}


@pytest.mark.parametrize(
    "odd", ["\xa0", "\n", "\r", "\0", "\x7f", "\x85", "é", "\u200b", "\u2013", "\U0001f511"]
)
@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "ORG", "OPENAI_ORG_ID"])
def test_a_character_that_no_header_holds_stops_before_the_first_call(variable: str, odd: str) -> None:
    environ = {"OPENAI_API_KEY": KEY, "ORG": "org", variable: f"{KEY[:9]}{odd}{KEY[9:]}"}
    with pytest.raises(UserError, match=f"variable {variable} has a character at place 10") as refused:
        resolve_model(MODEL, environ)
    assert KEY[:9] not in str(refused.value)
    assert status_of(refused.value.mistakes) == 2


def test_a_key_of_blanks_is_none() -> None:
    with pytest.raises(UserError, match="needs a key") as refused:
        resolve_model("gpt-x", {"OPENAI_API_KEY": " \n"})
    assert refused.value.code == "no_key"


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ({"key_env": KEY}, "environment variable"),
        ({"key_env": "gsk_AbCdEf0123456789xyz"}, "environment variable"),
        ({"key_env": "AIzaSyAbCdEf0123456789xyz"}, "environment variable"),
        ({"key_env": "a1b2c3d4e5f6a7b8c9d0"}, "environment variable"),
        ({"headers": {"Authorization": f"Bearer {KEY}"}}, "environment variable"),
        ({"headers": {"api-key": "hf_AbCdEfGhIjKlMnOpQrSt"}}, "environment variable"),
        ({"query": {"key": KEY}}, "environment variable"),
        ({"parameters": {"extra_headers": {"Authorization": f"Bearer {KEY}"}}}, "headers: {NAME: VARIABLE}"),
        ({"parameters": {"api_key": KEY}}, "headers: {NAME: VARIABLE}"),
        ({"parameters": {"metadata": {"who": [f"Bearer {KEY}"]}}}, "headers: {NAME: VARIABLE}"),
        ({"headers": {"X-A\r\nX-B": "ORG"}}, "no name of a header"),
    ],
)
def test_a_key_in_an_entry_is_refused_and_not_repeated(said: dict[str, Any], fix: str) -> None:
    with pytest.raises(ValidationError) as refused:
        NamedModel.model_validate({"name": "m", **said})
    (error,) = refused.value.errors()
    assert fix in error["msg"]
    assert not any(secret in error["msg"] for secret in (KEY, "AbCdEf", "a1b2c3"))


@pytest.mark.parametrize(
    "variable", ["OPENAI_API_KEY", "my_key_2", "AZURE_OPENAI_API_KEY_EUROPE1", "HF_TOKEN"]
)
def test_the_names_of_variables_are_no_secrets(variable: str) -> None:
    beside = {"max_tokens": 5, "stop": ["Bearer of bad news", "Basic instructions"], "user": "sk-8"}
    NamedModel(name="m", key_env=variable, headers={"api-key": variable}, parameters=beside)


@pytest.mark.parametrize(
    "url",
    [
        *("https://me:hush@host/v1", "https://hush@host/v1", "https://me:hu@sh@host/v1"),
        *("https://me:a/hush@host/v1", "https://me:a?hush@host/v1", "https://me:a#hush@host/v1"),
        *("https://host/v1?api-key=hush", "https://host/v1?sig=hush&x=1"),
    ],
)
def test_an_address_with_a_secret_is_refused_and_shown_without(url: str) -> None:
    with pytest.raises(UserError, match="the base URL holds a") as refused:
        check_secrets(url)
    assert "hush" not in str(refused.value)
    assert without_login(url) == address(url) == "https://host/v1"


def test_an_at_sign_in_a_path_is_no_login() -> None:
    check_secrets("https://host/@me/v1?api-version=1")
    assert address("https://host/@me/v1?api-version=1") == "https://host/@me/v1"
