"""Stage `feedback`: what a round tells the next one. It is external to the graph, so that the loop over
rounds is no cycle: the metrics make it and report it, the next round's conditions read it."""

from __future__ import annotations

from collections.abc import Mapping

from synth_assets.stages.stage import Table


def told(yields: Mapping[str, float | None], rows: int, round_: str) -> Table:
    """A row a cell: what the next round asks for, of about `rows` rows a cell."""
    import pandas as pd

    asked = quotas(yields, rows)
    rows_of = [{"round": round_, "cell": c, "yield": yields[c], "rows": n} for c, n in asked.items()]
    return pd.DataFrame(rows_of)


def quotas(yields: Mapping[str, float | None], rows: int) -> dict[str, int]:
    """Rows to ask of each cell, so that each keeps about the same number: inverse to last round's yield.

    The sum stays `rows` times the number of cells; no cell gets more than twice or less than half of
    `rows`. A cell without a known yield, or with none at all, is taken to yield as the worst known.
    """
    known = [y for y in yields.values() if y]
    if not known:
        return dict.fromkeys(yields, rows)
    inverse = {cell: 1 / (y or min(known)) for cell, y in yields.items()}
    total = sum(inverse.values())
    shares = {cell: len(yields) * v / total for cell, v in inverse.items()}
    return {cell: round(rows * min(2.0, max(0.5, share))) for cell, share in shares.items()}
