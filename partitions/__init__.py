"""Partitions of a recipe: rounds (one a day) and cells (one a label)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import date

import dagster as dg

# mappings over two dimensions are in beta and partitioned checks in preview; the version is pinned
for _category in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=_category, module=r"partitions|synth_assets\.")


def rounds(start: date, timezone: str) -> dg.DailyPartitionsDefinition:
    """One round a day from `start` up to and including today."""
    return dg.DailyPartitionsDefinition(start_date=start.isoformat(), timezone=timezone, end_offset=1)


def cells(start: date, timezone: str, names: Sequence[str]) -> dg.MultiPartitionsDefinition:
    """Every round cut into its cells: what is made, and made again, on its own."""
    return dg.MultiPartitionsDefinition(
        {"round": rounds(start, timezone), "cell": dg.StaticPartitionsDefinition(list(names))}
    )


def cell_key(round_: str, cell: str) -> dg.MultiPartitionKey:
    """One cell of one round."""
    return dg.MultiPartitionKey({"round": round_, "cell": cell})


def columns(partition: str) -> dict[str, str]:
    """A partition key as the lake's columns: {"round": ...} or {"round": ..., "cell": ...}."""
    if isinstance(partition, dg.MultiPartitionKey):
        return {name: partition.keys_by_dimension[name] for name in ("round", "cell")}
    return {"round": partition}


def previous_round_same_cell() -> dg.MultiPartitionMapping:
    """A cell depends on the same cell of the round before; the first round depends on nothing."""
    before = dg.TimeWindowPartitionMapping(
        start_offset=-1, end_offset=-1, allow_nonexistent_upstream_partitions=True
    )
    return dg.MultiPartitionMapping(
        {
            "round": dg.DimensionPartitionMapping("round", before),
            "cell": dg.DimensionPartitionMapping("cell", dg.IdentityPartitionMapping()),
        }
    )
