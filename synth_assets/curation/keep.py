"""Filters in their order over the rows of a round: every dropped row keeps scorer, value and threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from synth_assets.contracts.filter import Context, Filter
from synth_assets.core.records import records


def keep(
    rows: pd.DataFrame, filters: Sequence[Filter], context: Context
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Kept rows with their scores, and dropped rows with scorer, value, threshold and reason.

    Filters apply in order, each to what the ones before it left: a dropped row is no reason to drop
    its duplicate. Takes rows joined with the columns of `scores`. They end before the first that needs more
    rows of a cell (of rows without cells: a label) than are left: its scores, and those of the filters behind
    it, are unknown. `ended` says which one that is.
    """
    kept, dropped = rows.reset_index(drop=True), []
    parts = _parts(kept).dropna().unique()
    for at, rule in enumerate(filters):
        if _few(rule, kept, parts):
            unknown = {c for f in filters[at:] for c in f.columns} - set(kept)
            kept = kept.assign(**dict.fromkeys(sorted(unknown)))
            break
        why = rule.lacks(context)
        found = dict.fromkeys(rule.columns) if why else rule.score(rule.reads(kept, context), context)
        scores = pd.DataFrame(found, index=kept.index)
        kept = kept.drop(columns=[c for c in scores if c in kept]).join(scores)
        rule = _per_group(rule, kept)
        passed = pd.Series(False, kept.index) if why and rule.threshold() else rule.passes(kept)
        dropped.append(_rejected(kept[~passed], rule, why))
        kept = kept[passed].reset_index(drop=True)
    return kept, pd.concat(dropped, ignore_index=True) if dropped else rows.iloc[:0].assign(scorer=None)


class Ended(NamedTuple):
    """Where `keep` ended: the first filter that was not applied, and what it needs more rows of."""

    filter: Filter
    few: Mapping[str, int]  # cell or label -> rows that are there

    def __str__(self) -> str:
        if not any(self.few.values()):
            return f"no row is left of {', '.join(self.few)}"
        there = ", ".join(f"{count} {part}" for part, count in self.few.items())
        needs = f"needs {self.filter.least} rows of each of two labels or more"
        return f"the filter {self.filter.name} {needs}, there are {there}"


def ended(filters: Sequence[Filter], kept: pd.DataFrame, dropped: pd.DataFrame) -> Ended | None:
    """Of what `keep` gave: where it ended, or None where every filter was applied."""
    parts = pd.concat([_parts(kept), _parts(dropped)]).dropna().unique()
    droppers = set(dropped["scorer"])
    last = max((at for at, rule in enumerate(filters, 1) if rule.name in droppers), default=0)
    found = (Ended(rule, _few(rule, kept, parts)) for rule in filters[last:])
    return next((each for each in found if each.few), None)


def _parts(rows: pd.DataFrame) -> pd.Series:
    """What a filter may not empty: the cell of each row, else its label, if rows have one."""
    return rows.get("cell", rows.get("label", pd.Series(dtype=object)))


def _few(rule: Filter, rows: pd.DataFrame, parts: Sequence[str]) -> dict[str, int]:
    """Part -> its rows, where they are fewer than the filter needs."""
    counts = _parts(rows).value_counts()
    few = {part: int(counts.get(part, 0)) for part in parts}
    return few if rule.least > 1 and len(few) < 2 else {p: n for p, n in few.items() if n < rule.least}


def _per_group(rule: Filter, rows: pd.DataFrame) -> Filter:
    """The rule, with the group that its ranks are of: the label where rows have one."""
    if not rule.ranks or rule.per is not None:
        return rule
    labelled = "label" in rows and bool(rows["label"].notna().any())
    return rule.model_copy(update={"per": "label" if labelled else "all"})


def _rejected(rows: pd.DataFrame, rule: Filter, unknown: str = "") -> pd.DataFrame:
    """Dropped rows, and in words why: `rule.why` is asked only where a filter has something to say, and has a
    score. `unknown`: why it has none."""
    value = pd.to_numeric(rows[rule.score_column()], errors="coerce").astype(float)
    wanted = f"wanted {rule.threshold()}"
    words = [f"{rule.name} {'is unknown' if v != v else f'{v:.3g}'}, {wanted}" for v in value.tolist()]
    if unknown:
        words = [f"{said}: {unknown}" for said in words]
    elif type(rule).why is not Filter.why:
        why = map(rule.why, records(rows))
        words = [f"{said}: {more}" if more else said for said, more in zip(words, why, strict=True)]
    return rows.assign(
        stage="filtered",
        scorer=rule.name,
        value=value,
        threshold=rule.threshold(),
        at_least=rule.at_least,
        at_most=rule.at_most,
        reason=words,
    )
