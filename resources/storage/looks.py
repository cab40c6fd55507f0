"""What the last look at each round found: a JSON file a round, which the view `nights` shows.

They lie beside the lake, whose rows rest on none of them: `<data home>/looks/<recipe>/2026-11-22.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from synth_assets.resources.storage import files

COLUMNS = {
    "round": "date",
    **dict.fromkeys(("state", "why", "next", "made"), "varchar"),  # made: what there is of it, in words
    "kept": "bigint",  # rows
    "cost": "double",  # US dollars
    "changed": "varchar",  # metrics that are others than those of the round before
    "looked_at": "varchar",
}
NONE = "none.json"  # without a line: a recipe without looks is an empty view


class Looks:
    """The looks at the rounds of a lake."""

    def __init__(self, lake: Path) -> None:
        self._root = lake.with_name("looks")

    def write(self, recipe: str, row: Mapping[str, Any]) -> None:
        """Keep what was found of a round."""
        files.write(self._path(recipe, row["round"]), json.dumps(row, ensure_ascii=False))

    def read(self, recipe: str, round_: str) -> dict[str, Any] | None:
        """What the last look found, if nothing was made of the round since."""
        with suppress(OSError, ValueError):
            return dict(json.loads(self._path(recipe, round_).read_text(encoding="utf-8")))
        return None

    def forget(self, recipe: str, round_: str) -> None:
        """Something of the round was made or removed: how far it is has to be looked at anew."""
        self._path(recipe, round_).unlink(missing_ok=True)

    def folder(self, recipe: str) -> Path:
        """Where the looks of a recipe are; it is there from now on, with one file or more."""
        folder = self._root / recipe
        if not (folder / NONE).exists():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / NONE).touch()
        return folder

    def _path(self, recipe: str, round_: str) -> Path:
        return self._root / recipe / f"{round_}.json"
