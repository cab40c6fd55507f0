"""`weighted` in parts. A round's training set has the rows of all rounds so far: what the rounds share is
stored once, so that what they take grows with their rows, and not with its square.

    <recipe>/weighted/round=2026-11-22/...         a line a part: its name, how many rows, what they weigh
    <recipe>/weighted.parts/synth_part=<name>/...  the rows that one round made, or the seeds, without weights

A part's name is the hash of its rows. Rows that are made anew are another part: a round goes on having the
rows that it was made of. What was stored whole, by versions before this, is read as it is.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from synth_assets.core.content import content_hash
from synth_assets.resources.storage.quoted import identifier

if TYPE_CHECKING:
    import pyarrow as pa

STAGE = "weighted"
PARTS = f"{STAGE}.parts"  # where a lake has them; no stage of a recipe has such a name
OWN = ("round", "weight")  # what a round says itself, of rows of all rounds
MADE = ("made_in", "origin")  # alike in all rows of a part
PART, POSITION, ROWS, WEIGHTS = "synth_part", "synth_position", "synth_rows", "synth_weights"
LINES = ("round", PART, ROWS, WEIGHTS)
CUTS = {STAGE: ("round",), PARTS: (PART,)}
ORDER = b"columns"  # in the metadata of lines: the columns of the rows, in their order


class Line(NamedTuple):
    """A part as a round has it."""

    round: str
    part: str
    weights: pa.Array  # (rows,)


def split(table: pa.Table) -> tuple[pa.Table, dict[str, pa.Table]] | None:
    """The lines of a round, and the parts that they name. None where the rows are not of that kind."""
    import pyarrow as pa

    if not len(table) or table.schema.metadata or not {*OWN, *MADE} <= {*table.column_names}:
        return None
    if table["weight"].null_count or len(table["round"].unique()) != 1:
        return None
    lines, made = [], dict[str, pa.Table]()
    shared = table.drop_columns([*OWN])
    for first, end in _alike(table.select([*MADE])):
        rows = shared.slice(first, end - first).combine_chunks()
        part = content_hash(rows)
        at = pa.table({PART: pa.array([part] * len(rows), pa.string()), POSITION: pa.array(range(len(rows)))})
        made[part] = pa.table([*rows.columns, *at.columns], [*rows.column_names, *at.column_names])
        weights = table["weight"].slice(first, end - first).to_numpy()
        lines.append((table["round"][0].as_py(), part, len(rows), weights))
    kinds = (pa.string(), pa.string(), pa.int64(), pa.list_(pa.float64()))
    columns = [pa.array(values, kind) for values, kind in zip(zip(*lines, strict=True), kinds, strict=True)]
    order = json.dumps(table.column_names)
    return pa.table(columns, [*LINES]).replace_schema_metadata({ORDER: order}), made


def name(rows: pa.Table) -> str:
    """The name that a part of these rows has."""
    return content_hash(rows.drop_columns([PART, POSITION]).replace_schema_metadata(None))


def _alike(table: pa.Table) -> Iterator[tuple[int, int]]:
    """First row and end of each run of rows that are alike in these columns."""
    import numpy as np

    changes = np.zeros(len(table), bool)
    changes[0] = True
    for column in table.columns:
        codes = column.combine_chunks().dictionary_encode("encode").indices.to_numpy()
        changes[1:] |= codes[1:] != codes[:-1]
    firsts = np.flatnonzero(changes).tolist()
    yield from zip(firsts, [*firsts[1:], len(table)], strict=True)


def is_split(schema: pa.Schema) -> bool:
    """Whether a file has lines, and not the rows themselves."""
    return ORDER in (schema.metadata or {})


def lines(table: pa.Table) -> Iterator[Line]:
    """The parts of a round, in the order of its rows."""
    weights = table[WEIGHTS].combine_chunks()
    for i, (round_, part) in enumerate(zip(*(table[c].to_pylist() for c in LINES[:2]), strict=True)):
        yield Line(round_, part, weights[i].values)


def columns(schema: pa.Schema, wanted: Collection[str] | None = None) -> list[str]:
    """The columns of the rows that a file of lines stands for, or those of these that they have."""
    return [name for name in json.loads(schema.metadata[ORDER]) if wanted is None or name in wanted]


def whole(rows: pa.Table, line: Line, names: Sequence[str], first: int = 0) -> pa.Table:
    """Rows of a part, from the one at `first` on, as a round has them, with these columns."""
    import pyarrow as pa

    own = {
        "round": pa.array([line.round] * len(rows), pa.string()),
        "weight": line.weights.slice(first, len(rows)),
    }
    return pa.table({name: own[name] if name in own else rows[name] for name in names})


def schemas(schema: pa.Schema) -> Mapping[str, pa.Schema]:
    """What files of the stage and of its parts have, given what its rows have: of the stage both forms."""
    import pyarrow as pa

    of_lines = pa.schema([(PART, pa.string()), (ROWS, pa.int64()), (WEIGHTS, pa.list_(pa.float64()))])
    of_parts = pa.schema([(PART, pa.string()), (POSITION, pa.int64())])
    shared = [field for field in schema if field.name not in OWN]
    return {STAGE: pa.schema([*schema, *of_lines]), PARTS: pa.schema([*shared, *of_parts])}


def select(stored: str, parts: str, names: Sequence[str]) -> str:
    """The rows in SQL, of what stands behind `from` for the files of the stage and for those of its parts."""
    shown = ", ".join(map(identifier, names))
    return f"({joined(stored, parts, names)} union all select {shown} from {stored} where {PART} is null)"


def joined(lines: str, parts: str, names: Sequence[str]) -> str:
    """The rows that are in parts."""
    return f"(select {', '.join(map(identifier, names))} from {_joined(lines, parts)})"


def _joined(lines: str, parts: str) -> str:
    each = f"unnest({WEIGHTS}) as weight, unnest(range(len({WEIGHTS}))) as {POSITION}"
    rows = f"select round, {PART}, {each} from {lines} where {PART} is not null"
    return f"({rows}) join {parts} using ({PART}, {POSITION})"


def counted(stored: str, parts: str, shown: str) -> str:
    """Each round and its number of `rows`, of those that are `shown`. A part is counted once."""
    of_part = f"select {PART}, count(*) as n from {parts} where {shown} group by {PART}"
    of_lines = f"select round, n from {stored} join ({of_part}) using ({PART})"
    at_once = f"select round, count(*) as n from {stored} where {PART} is null and {shown} group by round"
    return (
        "(select cast(round as date) as round, cast(sum(n) as bigint) as rows "
        f"from ({of_lines} union all {at_once}) group by round)"
    )


def latest(stored: str, parts: str, shown: str) -> str:
    """Rows with the weight of the last round that has their part: `row_id`, `origin`, `round`, `weight`, of
    those that are `shown`. A row that was stored whole is here as often as rounds have it."""
    last = f"select {PART}, max(round) as round, arg_max({WEIGHTS}, round) as {WEIGHTS} from {stored}"
    of_parts = _joined(f"({last} group by {PART})", f"(select * from {parts} where {shown})")
    names = "row_id, origin, round, weight"
    at_once = f"select {names} from {stored} where {PART} is null and {shown}"
    return f"(select {names} from {of_parts} union all {at_once})"
