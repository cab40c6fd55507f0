"""Cron lines: what is wrong is said, what may be right passes."""

import pytest

from synth_assets.core.cron import wrong


@pytest.mark.parametrize("line", ["0 2 * * *", "*/15 0-6,18 1 jan-mar MON", "0 0 L * 7", "5 4 ? * 1#2"])
def test_lines_that_may_be_right(line: str) -> None:
    assert wrong(line) is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("daily", "'daily' has 1 fields"),
        ("60 2 * * *", "its minute is 60, which is not from 0 to 59"),
        ("0 2 0 * *", "its day of the month is 0"),
        ("0 2 * jna *", "its month is 'jna'"),
        ("0 1-24 * * *", "its hour is 24"),
    ],
)
def test_lines_that_cannot_be(line: str, why: str) -> None:
    assert (wrong(line) or "").startswith(why)
