"""Addresses that cannot be one of an endpoint, and what to write in their place."""

from __future__ import annotations

import pytest

from synth_assets.core.addresses import wrong_address

WRONG = {
    "htp://localhost:8000/v1": "http://localhost:8000/v1",
    "htps://api.openai.com/v1": "https://api.openai.com/v1",
    "ftp://models.test/v1": "https://models.test/v1",
    "api.openai.com/v1": "https://api.openai.com/v1",
    "localhost:11434/v1": "http://localhost:11434/v1",
    "10.0.0.5:8000/v1": "http://10.0.0.5:8000/v1",
    "http:/localhost:8000/v1": "http://localhost:8000/v1",
    "https//api.openai.com/v1": "https://api.openai.com/v1",
    "http://::1:8768/v1": "http://[::1]:8768/v1",
    "http://fe80::1:11434/v1": "http://[fe80::1]:11434/v1",
    "http://2001:db8::1/v1": "http://[2001:db8::1]/v1",
    "http:///v1": "http://HOST:PORT/v1",
    "http://h:80a/v1": "http://HOST:PORT/v1",
    "http://h:99999/v1": "http://HOST:PORT/v1",
    "http://[::1/v1": "http://HOST:PORT/v1",
    " https://api.openai.com/v1\n": "https://api.openai.com/v1",
    '"https://api.openai.com/v1"': "https://api.openai.com/v1",
    "https://api.openai.com/v1/chat/completions": "https://api.openai.com/v1",
    "http://h/d/completions?api-version=1": "http://h/d with the same query",
    "htp://me:hidden@h/v1?key=hidden": "http://h/v1",
    "me:hidden@models.test/v1": "https://models.test/v1",
    "https//me:hidden@models.test/v1": "https://models.test/v1",
    "http:/me:hid/hidden@h/v1": "http://h/v1",
    "htp://me:a/hidden@h/v1": "http://h/v1",
}


@pytest.mark.parametrize("url", WRONG)
def test_a_wrong_address_is_said_with_the_right_one(url: str) -> None:
    says, instead = wrong_address(url) or ("", "")
    assert instead == WRONG[url]
    assert "hidden" not in says
    if "HOST" not in instead and "query" not in instead:
        assert wrong_address(instead) is None


@pytest.mark.parametrize(
    "url",
    [
        *("https://api.openai.com/v1", "http://localhost:11434/v1/", "http://[::1]:8768/v1", "HTTP://H/v1"),
        *("http://h/openai/deployments/d?api-version=2024-10-21", "https://me:secret@models.test/v1"),
        *("http://gpu:8000", "http://bücher.test/v1"),
    ],
)
def test_a_right_one_is_left_alone(url: str) -> None:
    assert wrong_address(url) is None
