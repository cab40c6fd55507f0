"""Names that a recipe may not give."""

from __future__ import annotations

import re

from synth_assets.contracts.section import wrong
from synth_assets.recipe import columns

NO_CELL = re.compile(r"[|,\[\]\"'\n]|\.\.\.")  # what cannot stand in a partition's name
RESERVED = {  # what a condition cannot be called: columns of its table, and what templates say of the task
    *columns.COLUMNS["conditions"],
    *("text", "label_type", "text_type", "role", "instruction"),
    *("definitions", "verbalizers", "demonstrations"),
}
OF_ROWS = {c for stage in columns.COLUMNS.values() if "row_id" in stage for c in stage}  # whatever it says


def check_cell(name: str) -> None:
    if NO_CELL.search(name):
        raise wrong(f"{name!r} names a partition: leave out | , [ ] quotes and ...", "cell")
