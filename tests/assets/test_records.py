"""A file of Dagster's that is damaged is named, with what is lost with it, in one line."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from synth_assets.assets import records
from synth_assets.assets.in_process import dagster_instance
from synth_assets.cli import main
from synth_assets.core.errors import UserError


def damaged(path: Path) -> None:
    path.write_text("no database, no settings: {" * 99)


@pytest.mark.parametrize(
    "name", ["history/runs.db", "history/runs/index.db", "history/runs/.db", "schedules/schedules.db"]
)
def test_a_damaged_file_is_named_and_moved_away_all_goes_on(
    project: Path, capsys: pytest.CaptureFixture, name: str
) -> None:
    with dagster_instance():
        pass
    damaged(project / ".synth" / name)
    assert main(["verify", "reviews"]) == 1
    said = capsys.readouterr().err
    assert (
        f"error: {project}/.synth/{name} is damaged. It is Dagster's, and holds no rows and no calls" in said
    )
    advice = re.search(r"`(mkdir [^`]+)`", said)
    assert advice
    subprocess.run(advice[1], shell=True, check=True)
    assert len(list((project / ".synth" / "damaged").iterdir())) >= 1
    assert main(["verify", "reviews"]) == 0


@pytest.mark.parametrize(
    ("pattern", "other"),
    [(b"AssetMaterialization", b"AssetMaterializatign"), (b"mater", b"mat\xffr"), (rb"20(\d\d-)", rb"2x\1")],
    ids=["name", "text", "time"],
)
def test_a_changed_bit_that_no_database_sees_is_damage_too(
    project: Path, capsys: pytest.CaptureFixture, pattern: bytes, other: bytes
) -> None:
    with dagster_instance() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(["reviews", "seeds"]))
    file = project / ".synth" / "history" / "runs" / "index.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file.write_bytes(re.sub(pattern, other, file.read_bytes()))
    assert main(["verify", "reviews"]) == 1
    assert f"error: {file} is damaged" in capsys.readouterr().err


def test_settings_that_are_none_are_named(project: Path, capsys: pytest.CaptureFixture) -> None:
    settings = project / ".synth" / "dagster.yaml"
    for text in ("no settings: {", "storage: 5", "- a"):
        settings.write_text(text)
        assert main(["verify", "reviews"]) == 1
        assert f"error: {settings} cannot be used (" in capsys.readouterr().err
    settings.write_text("")
    assert main(["verify", "reviews"]) == 0
    assert "telemetry" in settings.read_text()


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_another_driver_of_postgres_is_refused_before_a_run_fails_in_the_middle(scheme: str) -> None:
    def storage(scheme: str) -> object:  # as dagster-postgres has it
        return SimpleNamespace(postgres_url=f"{scheme}://user:hunter2@host/database")

    records.check_driver(Path("home"), storage("postgresql+psycopg2"))
    with pytest.raises(UserError, match=r"begin `postgres_url` with postgresql\+psycopg2://") as refused:
        records.check_driver(Path("home"), storage(scheme))
    assert "hunter2" not in str(refused.value)


def test_a_driver_of_postgres_that_is_not_there_is_another_one_too(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get() -> None:
        raise ModuleNotFoundError("No module named 'psycopg'", name="psycopg")

    monkeypatch.setattr(dg.DagsterInstance, "get", get)
    with pytest.raises(UserError, match=r"dagster.yaml: .* needs the driver psycopg2"), dagster_instance():
        pass


@pytest.mark.usefixtures("project")
def test_other_errors_stay_as_they_are() -> None:
    first, second = ValueError("first"), KeyError("second")
    first.__context__, second.__context__ = second, first  # as contexts that clean up behind others leave it
    with pytest.raises(KeyError, match="second"), dagster_instance():
        raise second
    with pytest.raises(UserError, match="mine"), dagster_instance():
        raise UserError("mine")
