"""Texts that a spreadsheet would run or change come back as they were."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.core.text.cells import bare, guarded

RUN = ("=1+1", "+1", "-x", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", "＋1", "－1", "＠x", "|x", "%x")
CHANGED = ("007", "1e5", "3/4", "12:30", "1.50", "TRUE", "00123456789012345678", "$5", "5 %")
HARMLESS = ("a plain text", "'quoted'", "it's", "3 reasons to go", "e5", "")


def test_only_what_would_not_stay_has_a_guard() -> None:
    assert [text for text in (*RUN, *CHANGED) if guarded(text) != f"'{text}"] == []
    assert [text for text in HARMLESS if guarded(text) != text] == []


@given(st.text(st.sampled_from("'=+-@ \t\r\n＝a1.e"), max_size=6))
def test_the_guard_comes_off_and_nothing_else(text: str) -> None:
    assert bare(guarded(text)) == text


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_a_round_trip_through_a_spreadsheet_changes_nothing(tmp_path: Path) -> None:
    texts = [*RUN, *CHANGED, *HARMLESS[:-1], "'=1", "''=1"]
    file = tmp_path / "in" / "s.csv"
    file.parent.mkdir()
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows([["text", "label"], *([guarded(text), ""] for text in texts)])
    how = ["--headless", "--infilter=CSV:44,34,76,1,,0,false,true", "--convert-to"]
    subprocess.run(
        ["soffice", *how, "csv:Text - txt - csv (StarCalc):44,34,76,1", "--outdir", str(tmp_path), str(file)],
        check=True,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    saved = (tmp_path / "s.csv").read_text(encoding="utf-8")
    rows = list(csv.reader(io.StringIO(saved, newline="")))[1:]
    assert [bare(row[0]).strip() for row in rows] == [text.strip() for text in texts]
