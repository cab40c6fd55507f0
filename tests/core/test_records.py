"""Rows one by one."""

from __future__ import annotations

import pandas as pd
import pytest

from synth_assets.core import records


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_records_are_those_of_the_whole_table(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "AT_ONCE", at_once)
    rows = pd.DataFrame({"n": [1, 2, 3], "x": [0.5, 1.0, 2.0], "of": [["a"], None, []]}, index=[7, 7, 9])
    assert list(records.records(rows)) == rows.to_dict("records")
    assert list(records.records(rows[:0])) == []
