"""`synth nights`: each night, how far it is, and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synth_assets.cli import main
from synth_assets.core.days import today
from tests.endpoint import Endpoint, reviewer


def test_a_night_that_failed_says_why_and_what_comes_next(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("SYNTH_MODEL", "scripted")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert main(["nights", "reviews"]) == 0
    assert "reviews has no rounds yet" in capsys.readouterr().out
    assert main(["run", "reviews"]) == 2
    capsys.readouterr()
    assert main(["nights", "reviews"]) == 0  # it is tried again
    said = capsys.readouterr().out
    assert said.startswith(f"{today('UTC')}  failed")
    assert "nobody answers at http://127.0.0.1:9/v1" in said
    assert "It is tried again at" in said
    with Endpoint(say=reviewer) as served:
        monkeypatch.setenv("OPENAI_BASE_URL", served.url)
        assert main(["run", "reviews"]) == 0
    capsys.readouterr()
    assert main(["nights", "reviews", "--json"]) == 0
    (night,) = json.loads(capsys.readouterr().out)["nights"]
    assert (night["state"], night["why"], night["rows"] > 0) == ("whole", "", True)
