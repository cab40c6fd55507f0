"""The commonest cause of failures, and how often it was."""

from __future__ import annotations

import pytest

from synth_assets.core.causes import Causes

BUSY = [f"503: busy, your request is req_{n}f{n}" for n in range(3)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], ""),
        (["502: Bad\n Gateway"], "502: Bad Gateway"),
        ([" "], "no reason was given"),
        (BUSY, f"each time: {BUSY[0]}"),
        (["502: Bad Gateway", *BUSY], f"3 of 4 times: {BUSY[0]}"),
        (["429: wait", "500: wait", "429: wait"], "2 of 3 times: 429: wait"),
    ],
)
def test_the_commonest_is_quoted(given: list[str], said: str) -> None:
    assert str(Causes(given)) == said
    assert len(Causes(given)) == len(given)
