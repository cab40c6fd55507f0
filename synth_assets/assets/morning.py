"""What is known of each night in the morning: the keeper's look, kept as rows of the view `nights`."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from synth_assets.assets.keeper import Night
from synth_assets.core.errors import UserError
from synth_assets.recipe.recipe import Recipe
from synth_assets.report.views import with_views
from synth_assets.resources.storage.lake import Lake


def note(recipe: Recipe, lake: Lake, nights: Iterable[Night]) -> list[dict[str, Any]]:
    """The nights as rows of the view `nights`, written where they are others than at the last look. Whatever
    is made of a round takes its row away (see `LakeIOManager`)."""
    looks, rows = lake.looks, []
    for night in nights:
        said = {"round": night.round, "state": night.state, "why": night.why, "next": night.next}
        row = looks.read(recipe.name, night.round)
        if row is None or {name: row.get(name) for name in said} != said:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            row = {**said, **_brought(recipe, lake, night.round), "looked_at": now}
            with suppress(OSError):  # somebody else's home, or a full disk: it is told all the same
                looks.write(recipe.name, row)
        rows.append(row)
    return rows


def _brought(recipe: Recipe, lake: Lake, round_: str) -> dict[str, Any]:
    from synth_assets.report.nights import NOTHING, brought

    if not lake.partitions(recipe.name, "conditions", ("round", "cell"), round=round_):
        return NOTHING
    try:
        return brought(recipe, with_views(recipe), round_)
    except UserError:  # a file of the round cannot be read; the state says so
        return NOTHING | {"made": "unknown"}
