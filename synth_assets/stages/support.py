"""The support set: the user's rows as seeds. What is left out is counted and said, with the first of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from synth_assets.core.answer_schema import Kind
from synth_assets.core.errors import UserError, unknown
from synth_assets.core.identity import row_id
from synth_assets.core.text.normal_form import normal_form
from synth_assets.core.text.pairs import MARK, both
from synth_assets.core.values import NUMBER, equal, missing, named, plain_value
from synth_assets.recipe.seeds import Seeds
from synth_assets.stages import splits
from synth_assets.stages.run import place
from synth_assets.stages.stage import Table

SHOWN = 60  # characters of a text
GIVEN = "\0split"  # beside the user's columns
FIRST = 3  # rows that are shown
NO_TEXT, NO_LABEL, AGAIN = "no text", "no label", "there already"
OTHER_LABEL = "there already, with another label"
OTHER_FIELDS = "there already, with other fields, which `draw: stratified` keeps"
PARTED = "a copy of it is in another split"


class Support(NamedTuple):
    """Seed rows (row_id, text, label, split, and the fields), and in words: what was not taken of the user's
    table, how that was read, and its first rows."""

    rows: Table
    said: Sequence[str] = ()
    read: str = ""
    first: Sequence[str] = ()


def support(
    table: Table,
    spec: Seeds,
    labels: Sequence[str],
    seed: int,
    given: Any = None,
    pair: str | None = None,
) -> Support:
    """Seeds from the user's table, whose index says where a row stands. `given`: (n,) the split of each row
    that has a file of its own, None of the others.

    Rows without a text or label, and rows that are there twice, are left out. Without labels, it is null. Of
    pairs, whose other text is in the column `pair`, copies are those that have both.
    """
    import pandas as pd

    read = f"{table.attrs.get('read', 'rows')}, {_rows(len(table))}"
    _check_columns(table, spec, labels)
    table = table.assign(**{GIVEN: None if given is None else list(given)})
    for column, value in spec.where.items():
        table = table.iloc[[at for at, each in enumerate(table[column]) if equal(value, each)]]
    if table.empty:
        conditions = ", ".join(f"{c} = {v}" for c, v in spec.where.items())
        raise UserError(f"seeds.where: no row of {spec.origin} has {conditions}.")
    columns = {"text": [text and text.strip() for text in as_text(table[spec.text])]}
    columns["label"] = _labels(table, spec, labels) if labels else [None] * len(table)
    told = {"text", "label"} if labels else {"text"}
    columns |= {n: _field(table[n], kind, n) for n, kind in spec.kinds.items() if n not in told}
    columns["split"] = _given(table, spec)
    rows = pd.DataFrame(columns, index=table.index, dtype=object)
    out = _LeftOut()
    rows = out.drop(rows, [None if text else (NO_TEXT, "") for text in rows["text"]])
    if labels:
        rows = out.drop(rows, [None if label else (NO_LABEL, "") for label in rows["label"]])
    if rows["split"].notna().any():  # first: of two copies, the one in the test rows stays
        copies = {*splits.apart(list(both(rows, pair)["text"]), list(rows["split"]))}
        rows = out.drop(rows, [(PARTED, "") if at in copies else None for at in range(len(rows))])
    rows = out.drop(rows, _again(both(rows, pair), spec))
    rows.insert(0, "row_id", _ids(rows, spec))
    found, lacking = splits.drawn(both(rows[rows["split"].isna()], pair), spec, labels, seed)
    rows["split"] = [found.get(i, split) for i, split in zip(rows["row_id"], rows["split"], strict=True)]
    said = [*out.said, *lacking, *(_parted(both(rows, pair)) if spec.draw is None else ())]
    first = list(map(_shown, rows.index[:FIRST], rows.head(FIRST).to_dict("records")))
    rows = rows.sort_values("row_id")
    names = ["row_id", "text", "label", *spec.fields, "split"]
    typed = {name for name, kind in spec.kinds.items() if kind != "text"}
    made = {n: pd.Series(list(rows[n]), dtype=object if n in typed else None) for n in names}
    return Support(pd.DataFrame(made), said, read, first)


def _shown(at: Any, row: Mapping[str, Any]) -> str:
    """A row as it was understood; texts are in quotes, and nothing else is."""
    hidden = ("row_id",) if row["label"] else ("row_id", "label")
    shown = {n: repr(v[:SHOWN]) if isinstance(v, str) else str(v) for n, v in row.items() if n not in hidden}
    return f"{place(at)}: {', '.join(f'{name} {value}' for name, value in shown.items())}"


def _given(table: Table, spec: Seeds) -> list[str | None]:
    """The split of each row that a file or a column says."""
    of_file = list(table[GIVEN])
    if "column" not in spec.splits:
        return of_file
    of_column = table[[split is None for split in of_file]]
    said = as_text(of_column[spec.splits["column"]])
    of_row = iter(splits.of_column(said, spec, list(map(place, of_column.index))))
    return [next(of_row) if split is None else split for split in of_file]


def as_text(column: Any) -> list[str | None]:
    """Each value as a text, None where there is none: 2020, whatever other rows lack; an array as a list."""
    there = column.dropna()
    texts = iter(map(str, map(plain_value, there)) if there.dtype == object else there.astype(str))
    return [None if lacks else str(next(texts)) for lacks in column.isna()]


class _LeftOut:
    """Drops rows, and says so."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def drop(self, rows: Table, whys: Sequence[tuple[str, str] | None]) -> Table:
        """Those for which there is no reason; a reason may have words about the row that it is of."""
        for reason in dict.fromkeys(why[0] for why in whys if why):
            found = [at for at, why in enumerate(whys) if why and why[0] == reason]
            text, about = rows["text"].iloc[found[0]], (whys[found[0]] or ("", ""))[1]
            first = f"{place(rows.index[found[0]])}{f': {text[:SHOWN]!r}' if text else ''}{about}"
            self.said.append(f"{_rows(len(found))} left out ({reason}): the first is {first}")
        return rows.iloc[[at for at, why in enumerate(whys) if not why]]


def _rows(n: int) -> str:
    return f"{n:,} row{'s' * (n > 1)}"


def _check_columns(table: Table, spec: Seeds, labels: Sequence[str]) -> None:
    wanted = {"text": spec.text} | ({"label": spec.label} if labels else {})
    wanted |= {f"where.{c}": c for c in spec.where} | {f"fields.{c}": c for c in spec.fields}
    wanted |= {"splits.column": spec.splits["column"]} if "column" in spec.splits else {}
    for field, column in wanted.items():
        if column not in table:
            raise unknown("column", column, table.columns, f"seeds.{field}, {spec.origin}")


def _labels(table: Table, spec: Seeds, labels: Sequence[str]) -> list[str | None]:
    """The task's label of each row; None where the file has none."""
    known: dict[Any, str | None] = {}
    found = []
    for value, at in zip(table[spec.label], table.index, strict=True):
        key = (type(value).__name__, str(value))
        if key not in known:
            known[key] = _label(value, spec.label_values, labels)
        if known[key] == "":
            why = f"value {str(value)!r} is no label of the task ({', '.join(labels)}), as in {place(at)}"
            fix = "map it with seeds.label_values, or leave its rows out with seeds.where"
            raise UserError(f"seeds.label, {spec.origin}: {why}: {fix}.")
        found.append(known[key])
    return found


def _label(value: Any, values: Mapping[str, str], labels: Sequence[str]) -> str | None:
    """Empty for what is none of them."""
    if (name := named(value, values)) is not None:
        return values[name]
    return None if missing(value) or value == "" else named(value, labels) or ""


def _field(column: Any, kind: Kind, name: str) -> list[Any]:
    """The values of a further column, of its type."""
    if kind == "text":
        return as_text(column)
    found = []
    for value, at in zip(column, column.index, strict=True):
        try:
            found.append(None if missing(value) or value == "" else of_kind(value, kind))
        except ValueError as error:
            why = f"{str(value)[:SHOWN]!r} ({place(at)}) is {error}: mend it, or write another type"
            raise UserError(f"seeds.fields.{name}: {why}.") from error
    return found


def of_kind(value: Any, kind: Kind) -> Any:
    """A value of a file as one of this type. ValueError says what it is not."""
    if isinstance(kind, tuple) and len(kind) == 1:
        items = json.loads(value) if isinstance(value, str) and value.startswith("[") else value
        if isinstance(items, str) or not hasattr(items, "__iter__"):
            raise ValueError("no list")
        return [of_kind(each, kind[0]) for each in items]
    if isinstance(kind, tuple):
        if (word := named(value, kind)) is None:
            raise ValueError(f"none of {', '.join(kind)}")
        return word
    if kind == "boolean":
        for truth in (True, False):
            if equal(truth, value):
                return truth
        raise ValueError("neither true nor false")
    if kind == "text":
        return str(value)
    text = str(value).strip().lower()
    if isinstance(value, bool) or not NUMBER.fullmatch(text):
        raise ValueError("no number")
    if kind == "integer" and not float(text).is_integer():
        raise ValueError("no whole number")
    if kind == "number":
        return float(text)
    return int(text) if text.lstrip("-").isdecimal() else int(float(text))  # a float has 53 bits


def _again(rows: Table, spec: Seeds) -> list[tuple[str, str] | None]:
    """Why a row is left out that is there already: by its text, and where the draw is stratified, by its
    fields too."""
    texts, labels = list(rows["text"]), list(rows["label"])
    fields = [json.dumps(row, default=str) for row in rows[list(spec.fields)].to_numpy().tolist()]
    keys = list(zip(texts, fields, strict=True)) if spec.draw else texts
    first: dict[Any, int] = {}
    found: list[tuple[str, str] | None] = []
    for at, key in enumerate(keys):
        of = first.setdefault(key, at)
        if of == at:
            found.append(None)
        elif labels[at] != labels[of]:
            found.append((OTHER_LABEL, f" is {labels[at]}, and {labels[of]} in {place(rows.index[of])}"))
        else:
            found.append((OTHER_FIELDS if fields[at] != fields[of] else AGAIN, ""))
    return found


def _ids(rows: Table, spec: Seeds) -> list[str]:
    """Ids by text and label; of further rows with the same ones, by their fields too."""
    found: dict[str, None] = {}
    for row in rows.to_dict("records"):
        name = row_id(row["text"], row["label"])
        if name in found:
            name = row_id(row["text"], row["label"], [str(row[field]) for field in spec.fields])
        found[name] = None
    return list(found)


def _parted(rows: Table) -> list[str]:
    """What to say of copies that are in two splits."""
    seen: dict[str, int] = {}
    firsts = [seen.setdefault(normal_form(text), at) for at, text in enumerate(rows["text"])]
    of = list(rows["split"])
    parted = [(at, first) for at, first in enumerate(firsts) if of[at] != of[first]]
    if not parted:
        return []
    at, first = parted[0]
    words = f"{_rows(len(parted))} in another split than a copy that differs in case or punctuation only"
    text = rows["text"].iloc[at].partition(MARK)[0][:SHOWN]
    there = f"{text!r} is {of[at]}, and {of[first]} in {place(rows.index[first])}"
    return [f"{words}; the first is {place(rows.index[at])}: {there}. `draw: stratified` keeps them together"]
