"""The columns of every stage, and what they mean, as columns.yaml says them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

_fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_read = yaml.load(Path(__file__).with_suffix(".yaml").read_bytes(), _fast)

STAGES: Mapping[str, tuple[str, ...]] = {stage: tuple(cut) for stage, cut in _read["stages"].items()}
MEANINGS: Mapping[str, str] = _read["meanings"]
COLUMNS: Mapping[str, Mapping[str, str]] = _read["columns"]
RESERVED = {  # what a condition cannot be called: columns of its table, and what templates say of the task
    *COLUMNS["conditions"],
    *("text", "label_type", "text_type", "role", "instruction"),
    *("definitions", "verbalizers", "demonstrations"),
}
OF_ROWS = {  # whatever a recipe says
    c for stage, of in COLUMNS.items() if "row_id" in of and stage not in ("reviews", "signals") for c in of
}
