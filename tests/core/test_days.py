"""The machine's timezone, by a name that a recipe may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_assets.core.days import timezone_here


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Asia/Tokyo", "Asia/Tokyo"),
        (":America/Los_Angeles", "America/Los_Angeles"),
        ("/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin"),
        ("EST5EDT", "EST5EDT"),
        # rules instead of a name, and what is none
        *((said, "UTC") for said in ("JST-9", "CET-1CEST,M3.5.0,M10.5.0/3", "", "Asia", "../x", "Etc/UTC")),
    ],
)
def test_as_a_variable_says_it(said: str, name: str) -> None:
    assert timezone_here({"TZ": said}) == name


def test_as_the_system_says_it(tmp_path: Path) -> None:
    assert timezone_here({}, tmp_path) == "UTC"
    (tmp_path / "timezone").write_text("Asia/Kolkata\n", encoding="utf-8")
    assert timezone_here({}, tmp_path) == "Asia/Kolkata"
    (tmp_path / "localtime").write_bytes(b"a copy, without a name")
    assert timezone_here({}, tmp_path) == "Asia/Kolkata"
    (tmp_path / "localtime").unlink()
    (tmp_path / "localtime").symlink_to("/var/db/timezone/zoneinfo/Asia/Tokyo")  # as in macOS
    assert timezone_here({}, tmp_path) == "Asia/Tokyo"
