"""What a model wrote is shown to a terminal as signs, and goes into pipes and files as it is."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from pathlib import Path

import pytest

from synth_assets.cli import main
from synth_assets.commands.output import harmless

WINDOW, RED, C1, TURNED = "\x1b]0;PWNED\x07", "\x1b[31m", "\x9b31m\x90", "\u202eevil\u2066"
OBEYED = f"{WINDOW}{RED}{C1}{TURNED}\r\b\x7f\u2028"


def shown(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """What a terminal gets of a command."""
    terminal, window = os.openpty()
    out = TextIOWrapper(open(window, "wb", buffering=0), encoding="utf-8")  # noqa: PTH123, SIM115
    with monkeypatch.context() as patch, out:
        patch.setattr(sys, "stdout", out)
        assert main(arguments) == 0
        sys.stdout.flush()
    with open(terminal, "rb", buffering=0) as read:  # noqa: PTH123
        return os.read(read.fileno(), 2**16).decode().replace("\r\n", "\n")


def test_a_terminal_is_shown_signs_and_a_pipe_gets_what_there_is(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture
) -> None:
    query = project / "q.sql"
    query.write_text(f"select '{OBEYED}' as said, 'plain' as other", encoding="utf-8")
    seen = shown(monkeypatch, "sql", "--csv", str(query))
    assert not [sign for sign in OBEYED if sign in seen and not sign.isprintable()]
    assert "\\x1b]0;PWNED\\x07\\x1b[31m\\x9b31m\\x90\\u202eevil\\u2066" in seen
    assert "said,other\n" in seen
    assert not [
        sign for sign in shown(monkeypatch, "sql", str(query)) if sign in OBEYED and not sign.isprintable()
    ]
    assert main(["sql", "--csv", str(query)]) == 0
    assert WINDOW + RED + C1 + TURNED in capfdbinary.readouterr().out.decode()


def test_what_is_no_command_to_a_terminal_stays() -> None:
    text = "tab\tand line\nend, é, 中文, 👩\u200d👩\u200d👧, می\u200cخواهم, a\xa0b"
    assert harmless(text) == text
    signs = map(
        chr, [*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
    )
    assert all(harmless(sign).isascii() and harmless(sign).isprintable() for sign in signs)
