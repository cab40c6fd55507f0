"""Which seed row is in which split.

Rows are taken in the order of a hash of their own, so that a row keeps its split when others are added, but
for the few at a split's edge. Each goes to the first split, as the recipe writes them, that still wants a row
of its label; what no split wants is `unlabeled`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import floor

from synth_assets.core.errors import UserError
from synth_assets.core.identity import row_id
from synth_assets.core.text.normal_form import normal_form
from synth_assets.core.values import named
from synth_assets.recipe.sections import GOLD
from synth_assets.recipe.seeds import NAMES, Seeds, SplitOf
from synth_assets.selection.select import ranked
from synth_assets.stages.stage import Table

REST = "unlabeled"
FIRST = ("test", "validation", "demonstration")  # which of two copies stays, in splits that somebody gave


def gold(seeds: Table) -> Table:
    """Seeds whose labels are right and may be learned from: of the first split of `GOLD` that has rows."""
    golds = (seeds[seeds["split"] == split] for split in GOLD)
    return next((found for found in golds if len(found)), seeds.iloc[:0])


def of_column(rows: Table, spec: Seeds, where: Sequence[str]) -> list[str | None]:
    """The split that a column says of each row; None where it is drawn: of rows to train on, where the recipe
    says how many of them are demonstrations."""
    means = {**NAMES, **spec.splits.get("values", {})}
    sizes, found = spec.sizes, []
    for value, at in zip(rows, where, strict=True):
        word = named(value, means) or named(value.lower(), means) if value else None
        name = means.get(word or "", "") if value else REST
        if not name:
            known = ", ".join(means)
            why = f"{value!r} ({at}) is no split: say which it is with `values: {{{value}: test}}`"
            raise UserError(f"seeds.splits.column: {why}. Known: {known}.")
        drawn = name == "train" and any(of.rows is not None for of in sizes.values())
        found.append(None if drawn else "demonstration" if name == "train" else name)
    for name in sizes.keys() & {*found}:
        why = f"the column {spec.splits['column']} says which rows are in it: leave out the number"
        raise UserError(f"seeds.splits.{name}: {why}.")
    return found


def apart(texts: Sequence[str], given: Sequence[str | None]) -> list[int]:
    """Places of rows that are copies of one in another split, where somebody gave the splits: that one stays
    which is in the first of FIRST."""
    order = {name: at for at, name in enumerate(FIRST)}
    best: dict[str, int] = {}
    forms = list(map(normal_form, texts))
    for form, split in zip(forms, given, strict=True):
        best[form] = min(best.get(form, len(FIRST)), order.get(split or "", len(FIRST)))
    pairs = enumerate(zip(forms, given, strict=True))
    return [at for at, (form, split) in pairs if order.get(split or "", len(FIRST)) > best[form]]


def drawn(rows: Table, spec: Seeds, labels: Sequence[str], seed: int) -> tuple[dict[str, str], list[str]]:
    """Row id -> split of rows (row_id, text, label), none of which has one yet; and what to say of it."""
    together = spec.draw == "stratified"
    sizes = {name: of for name, of in spec.sizes.items() if of.rows is not None}
    of_row = list(rows["label"]) if labels else [None] * len(rows)
    left, said = quotas(Counter(of_row), sizes, labels, together)
    groups: dict[str, list[tuple[str, str | None]]] = {}
    for name, text, label in zip(rows["row_id"], rows["text"], of_row, strict=True):
        form = row_id(normal_form(text)) if together else name
        groups.setdefault(form, []).append((name, label))
    found: dict[str, str] = {}
    order = ranked(groups, seed, "split")
    for group in order:
        wants = Counter(label for _, label in groups[group])
        fits = (s for s, of in left.items() if all(of[y] >= n for y, n in wants.items()))
        if split := next(fits, None):
            left[split].subtract(wants)
            found |= dict.fromkeys((name for name, _ in groups[group]), split)
    lacking = {split: n for split, of in left.items() if (n := sum(of.values()))}
    for group in order if lacking else ():  # copies of one text, of labels of which less is wanted
        names = [name for name, _ in groups[group] if name not in found]
        if names and (split := next((s for s, n in lacking.items() if len(names) <= n), None)):
            lacking[split] -= len(names)
            found |= dict.fromkeys(names, split)
    said += [
        f"{split} has {n:,} rows fewer than it should: copies of one text stay in one split"
        for split, n in lacking.items()
        if n
    ]
    return {name: found.get(name, REST) for name in rows["row_id"]}, said


def quotas(
    counts: Mapping[str | None, int], sizes: Mapping[str, SplitOf], labels: Sequence[str], stratified: bool
) -> tuple[dict[str, Counter[str | None]], list[str]]:
    """Split -> rows of each label that it takes, and what to say. UserError where there are too few rows.

    Demonstrations have as many of each label, the first ones the rest; so have all splits where the draw is
    not stratified, as long as there are so many. Otherwise validation and test go by the labels' shares."""
    groups: Sequence[str | None] = labels or [None]
    there = {label: counts.get(label, 0) for label in groups}
    total = sum(there.values())
    rows = {s: floor(n * total + 1e-6) if (n := of.rows or 0) < 1 else int(n) for s, of in sizes.items()}
    if sum(rows.values()) > total:
        asked, fix = f"{sum(rows.values()):,}", "lower the splits or add rows"
        raise UserError(f"seeds.splits asks for {asked} rows, there are {total:,}: {fix}.")
    equal = {s: of.labels or "equal" for s, of in sizes.items()}
    own = {s: of.labels or ("equal" if s == "demonstration" else "natural") for s, of in sizes.items()}
    for way in (own,) if stratified else (equal, own):
        found = _quotas(there, rows, way)
        few = {s for s, of in found.items() if way[s] == "equal" and max(of.values()) - min(of.values()) > 1}
        if not few:
            break
    said = [f"{split} has fewer rows of some labels: there are no more" for split in sizes if split in few]
    if way != equal and not stratified:
        why = "there are not as many rows of each label as `equal` splits want"
        said.append(f"{why}: validation and test have the labels' own shares (`draw: stratified`)")
    return {split: found[split] for split in sizes}, said


def _quotas(
    there: Mapping[str | None, int], rows: Mapping[str, int], way: Mapping[str, str]
) -> dict[str, Counter[str | None]]:
    """The same of one way; splits that want as many of each label are served first."""
    left, found = Counter(there), {}
    for split in sorted(rows, key=lambda s: way[s] != "equal"):
        weights = there if way[split] == "natural" else dict.fromkeys(there, 1)
        found[split] = _spread(rows[split], weights, left)
        left.subtract(found[split])
    return found


def _spread(n: int, weights: Mapping[str | None, int], most: Mapping[str | None, int]) -> Counter[str | None]:
    """`n` over labels by their weights (largest remainders, the first label at a tie), of each at most so
    many: what one lacks, the others give."""
    found: Counter[str | None] = Counter(dict.fromkeys(weights, 0))
    while n:
        open_ = [y for y in weights if found[y] < most[y]]
        total = sum(weights[y] for y in open_)
        exact = {y: n * weights[y] / total for y in open_}
        more = {y: floor(exact[y]) for y in open_}
        for y in sorted(open_, key=lambda y: more[y] - exact[y])[: n - sum(more.values())]:
            more[y] += 1
        for y in open_:
            taken = min(more[y], most[y] - found[y])
            found[y] += taken
            n -= taken
    return found
