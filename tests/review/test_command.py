"""`synth review` as the guide shows it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from synth_assets.cli import main
from synth_assets.review import server
from tests.review.made_up import desk, recipe

GUIDE = Path(__file__).parents[2] / "docs" / "people.md"


def test_the_page_of_the_guide_is_served_and_asks_other_machines_for_the_token(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    desk(recipe(), ["one review", "another"])
    served: list[Any] = []
    monkeypatch.setattr(server, "serve", lambda app, listens: served.append(app))
    assert main(["review", "reviews", "--port", "0"]) == 0
    said = capsys.readouterr().out
    assert "reviews, 2026-11-21: 2 rows to look at." in said
    assert re.search(r"http://127.0.0.1:\d+ ", said)
    assert "review" in TestClient(served[0], "http://127.0.0.1").get("/").text

    (line,) = re.findall("^synth review .*--host.*", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    _, *arguments = shlex.split(line.replace("movie_reviews", "reviews"))
    assert main([*arguments, "--port", "0"]) == 2
    assert "set SYNTH_REVIEW_TOKEN to a secret of your own" in capsys.readouterr().err
    monkeypatch.setenv("SYNTH_REVIEW_TOKEN", "a secret")
    assert main([*arguments, "--port", "0"]) == 0
    assert "a secret" not in "".join(capsys.readouterr())
    assert "Token" in TestClient(served[1], "http://machine.example").get("/").text
