"""Metric rows: the table that all measures of a round end up in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synth_assets.contracts.measure import Row

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.core.asking import LabelLogprobs

COLUMNS = list(Row._fields)
PARTS = COLUMNS[COLUMNS.index("set") :]  # what a slice says, as columns
VARIED = ("generations", "filtered", "real")  # sets whose diversity is compared
MAIN = "weighted"  # the set whose errors are told one by one
CURVE = re.compile(r"(.+)@(\d+)")  # a slice of a learning curve: the set, and how many rows of it
Annotate = Callable[[Sequence[str]], Sequence["LabelLogprobs | None"]]
Sets = Mapping[str, "pd.DataFrame"]
Parts = Mapping[tuple[str, str], Mapping[str, Any]]  # name and slice -> column -> what the slice says


def table(rows: Iterable[Row] | pd.DataFrame) -> pd.DataFrame:
    """Metric rows as a table; a table stays as it is."""
    import pandas as pd

    return rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows), columns=COLUMNS)


def against(round_: str) -> str:
    """The slice of a change since this round."""
    return f"{MAIN}, against {round_}"


def parts_of(rows: Iterable[Mapping[str, Any]], labels: Sequence[str]) -> Parts:
    """What the slices of a round's metrics say, by their columns. Where no row has any, the round was made
    before there were such columns: what pages show is then read from the words."""
    found = {(r["name"], r["slice"]): {c: r[c] for c in PARTS if r.get(c) is not None} for r in rows}
    return found if any(found.values()) else {key: _read(*key, labels) for key in found}


def _read(name: str, slice_: str, labels: Sequence[str]) -> dict[str, Any]:
    if curve := CURVE.fullmatch(slice_):
        return {"set": curve[1], "set_rows": int(curve[2])}
    if name != "confusion":
        return {}
    cuts = [(slice_[:i], slice_[i + 1 :]) for i, c in enumerate(slice_) if c == ">"]  # a label may have a >
    gold, said = next((cut for cut in cuts if set(cut) <= set(labels)), cuts[0] if cuts else (slice_, slice_))
    return {"gold": gold, "said": said}
