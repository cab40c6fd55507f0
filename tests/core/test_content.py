"""The hash of rows by their content."""

from __future__ import annotations

import pyarrow as pa
import pytest

from synth_assets.core.content import content_hash

WIDE = ["ash", None, "", "übermäßig", "\U0001f333 oak"]


@pytest.mark.parametrize(
    "array",
    [
        pa.array(WIDE, pa.string()),
        pa.array(["before", *WIDE, "after"], pa.string())[1:-1],
        pa.chunked_array([WIDE[:2], WIDE[2:]], pa.string()),
    ],
)
def test_strings_are_hashed_as_they_read_wherever_they_stand_in_memory(array: pa.Array) -> None:
    assert content_hash(pa.table({"text": array})) == "ef870fe1cea58a04b0390176645ea6f0"


def test_no_strings_and_strings_that_are_parted_elsewhere_are_others() -> None:
    tables = [
        pa.table({"text": pa.array(texts, pa.string())})
        for texts in ([], [None], [""], ["ab", "c"], ["a", "bc"])
    ]
    assert len({*map(content_hash, tables)}) == len(tables)
