"""What Delta says of a table: the files that hold its partitions, and its columns."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    import deltalake

    from synth_assets.resources.storage.lake import Partition

PART = "p_"  # begins the columns that Delta cuts a table by (a round is a date): rows have their own
Place = tuple[tuple[str, str], ...]  # a partition: columns with values


class Held(NamedTuple):
    """A file that holds a partition, and what Delta says of it."""

    path: str  # in the table
    rows: int
    size: int  # bytes
    values: dict[str, str | None]  # of Delta's columns
    modified: datetime  # UTC

    @property
    def digest(self) -> str:
        """The SHA-256 of what was written."""
        return self.path.partition("-")[0]


def files_of(table: deltalake.DeltaTable) -> dict[Place, Held]:
    """Partition -> its file, sorted as paths are."""
    import pyarrow as pa

    cut, found = table.metadata().partition_columns, dict[Place, Held]()
    for each in pa.table(table.get_add_actions(flatten=True)).to_pylist():
        values = {name: str(each[f"partition.{name}"]) for name in cut}
        place = tuple((name.removeprefix(PART), value) for name, value in values.items())
        at = datetime.fromtimestamp(each["modification_time"] / 1000, UTC)
        found[place] = Held(each["path"], each["num_records"], each["size_bytes"], {**values}, at)
    return dict(sorted(found.items(), key=lambda item: [quote(value, safe="") for _, value in item[0]]))


def is_new(field: Any, there: Sequence[Any]) -> bool:
    """Whether a table does not have all of a column yet: a struct, as that of the labels, may grow. TypeError
    where it has another type there."""
    was = next((each for each in there if each.name.lower() == field.name.lower()), None)
    if was is None:
        return True
    if was.name != field.name:
        raise TypeError(f"the column {field.name} is called {was.name}")
    if {field.type.type, was.type.type} == {"struct"}:
        return sum(is_new(each, was.type.fields) for each in field.type.fields) > 0  # all are looked at
    if field.type != was.type:
        kinds = (json.loads(each.to_json())["type"] for each in (field, was))
        raise TypeError("the column {} is {} now, and {}".format(field.name, *kinds))
    return False


def added(held: Held) -> Any:
    from deltalake.transaction import AddAction

    stats = json.dumps({"numRecords": held.rows})
    return AddAction(held.path, held.size, held.values, _now(), True, stats)


def removed(held: Held) -> Any:
    from deltalake.transaction import RemoveAction

    return RemoveAction(held.path, True, _now(), size=held.size, partition_values=held.values)


def values_of(partition: Partition) -> dict[str, str | None]:
    """A partition by Delta's columns."""
    return {f"{PART}{column}": value for column, value in partition.items()}


def _now() -> int:
    return int(time.time() * 1000)
