"""What a command says where something is not there, or not known: it names the command that helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_assets.cli import main
from synth_assets.core.days import today


def test_an_unknown_argument_is_said_with_the_usage_of_its_command(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as end:
        main(["show", "reviews", "--stge", "scores"])
    said = capsys.readouterr().err
    assert (end.value.code, said.partition(" [")[0]) == (2, "usage: synth show")
    assert "unrecognized arguments: --stge scores. Did you mean --stage for --stge?" in said
    with pytest.raises(SystemExit):
        main(["--stge", "show"])
    assert "usage: synth [-h]" in capsys.readouterr().err


def test_before_any_round_the_command_that_makes_it_is_named(
    project: Path, capsys: pytest.CaptureFixture
) -> None:
    day = today("UTC")
    for command, makes in {
        "show reviews": "synth run reviews",
        "show reviews --stage seeds": "synth run reviews",
        "report reviews": "synth run reviews",
        f"report reviews --round {day}": f"synth run reviews --round {day}",
    }.items():
        assert main(command.split()) == 2
        said = capsys.readouterr().err
        assert "has no rows yet" in said
        assert f"run `{makes}` first." in said
    assert main(["report", "reviews", "--round", "2001-01-01"]) == 2
    assert f"Its rounds are from 2026-01-01 to {day}." in capsys.readouterr().err
