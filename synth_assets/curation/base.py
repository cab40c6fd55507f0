"""What a filter is: a score and a rule over it; every dropped row keeps scorer, value and threshold.

A new filter is one class in one module: it is found in a recipe by its `name`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.protocols import Encode, LabelLogprobs

FILTERS: dict[str, type[Filter]] = {}
LIMITS = {"at_least", "at_most", "top", "share"}  # one that is given replaces the defaults of all
RULE = {*LIMITS, "lowest", "per"}  # what moves without another score


class Annotate(Protocol):
    """Labels texts by a model (None: the annotator's) that is shown `k` seeds (None: the annotator's)."""

    def __call__(
        self, texts: Sequence[str], model: str | None = None, k: int | None = None
    ) -> Sequence[LabelLogprobs | None]: ...


@dataclass(frozen=True)
class Context:
    """What a scorer may look at besides the rows."""

    verbalizers: Mapping[str, str]  # label -> word
    demonstrations: Sequence[str] = ()  # texts of the seed rows that the model was shown
    held_out: Sequence[str] = ()  # texts of the validation and test seeds
    earlier: Sequence[str] = ()  # texts kept in the rounds before
    encode: Encode | None = None
    annotate: Annotate | None = None
    # template, rows, further fields, model (None: the annotator's) -> an answer a row, None if there is none
    ask: Callable[[str, pd.DataFrame, Mapping[str, str], str | None], Sequence[str | None]] | None = None


class Filter(BaseModel):
    """Base of all filters: keeps a row when at_least <= score <= at_most, and of those rows the `top` (a
    number) or the `share` with the highest score, or with the `lowest`. An unknown score is dropped.

    `per` is what that number or share is of: each label, each cell, or all rows of the round. By default each
    label, where rows have one. A share is rounded up; of rows with the same score the first ones are taken.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: ClassVar[str] = ""
    raw: ClassVar[Mapping[str, str]] = {}  # columns of the asset `scores` -> type (see tables.py)
    columns: ClassVar[Mapping[str, str]] = {}  # columns of the asset `filtered` -> type
    asks: ClassVar[bool] = False  # whether `measure` asks a language model
    least: ClassVar[int] = 1  # rows of each label that it needs; above 1, of two labels at least
    renamed: ClassVar[Mapping[str, str]] = {}  # column of its kind -> its own (see named.py)

    at_least: float | None = None
    at_most: float | None = None
    top: int | None = Field(None, ge=1)
    share: float | None = Field(None, gt=0, le=1)
    lowest: bool = False
    per: Literal["label", "cell", "all"] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.name and not cls.renamed:
            cls.columns = cls.columns or {cls.name: "double"}
            FILTERS[cls.name] = cls

    @model_validator(mode="before")
    @classmethod
    def _bounds(cls, value: Any) -> Any:
        """`between: [low, high]` is short for both bounds. A limit that is given replaces all defaults."""
        if not isinstance(value, Mapping):
            return value
        rest = dict(value)
        if "between" in rest:
            between = rest.pop("between")
            if not isinstance(between, list) or len(between) != 2:
                raise ValueError("between takes two numbers: [low, high]")
            rest |= {"at_least": between[0], "at_most": between[1]}
        if LIMITS & set(rest):
            rest = dict.fromkeys(LIMITS) | rest
        return rest

    @model_validator(mode="after")
    def _possible(self) -> Filter:
        for bound in ("at_least", "at_most"):
            if not math.isfinite(getattr(self, bound) or 0):
                raise ValueError(f"{bound} is a number: leave it out where there is no bound")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least {self.at_least} is above at_most {self.at_most}: no row could pass")
        if self.top is not None and self.share is not None:
            raise ValueError("top and share both say how many rows stay: write one of them")
        if (self.lowest or self.per) and not self.ranks:
            raise ValueError("lowest and per say which rows `top` or `share` takes: add one of them")
        return self

    @property
    def ranks(self) -> bool:
        """Whether a row's place among the others counts, and not its score alone."""
        return self.top is not None or self.share is not None

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        """The raw columns, one value a row, that depend on the row alone (and may be dear)."""
        return {}

    def score(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        """The columns of `filtered`, one value a row, given all rows that are still there."""
        return {name: list(rows[name]) for name in self.columns}

    def templates(self) -> dict[str, list[str]]:
        """What it asks -> fields that it fills in, besides the columns of the row and what the task says."""
        return {}

    def models(self) -> list[str]:
        """Whom it asks besides the annotator's model: aliases or names."""
        return []

    def columns_needed(self) -> dict[str, set[str]]:
        """Columns of the row, besides those of every row, that it reads -> the types that they may have."""
        return {}

    @classmethod
    def score_column(cls) -> str:
        return cls.name if cls.name in cls.columns else next(iter(cls.columns))

    def why(self, row: Mapping[str, Any]) -> str:
        """What is wrong with a dropped row, in words; empty where the score says it."""
        return ""

    def threshold(self) -> str:
        """What a row needs to stay, in words; empty where every row does."""
        bounds = [("at least", self.at_least), ("at most", self.at_most)]
        words = [f"{word} {value:g}" for word, value in bounds if value is not None]
        if self.ranks:
            number = f"{self.top}" if self.share is None else f"{100 * self.share:g} %"
            of = "all" if self.per == "all" else f"its {self.per or 'label'}"
            words.append(f"among the {'lowest' if self.lowest else 'best'} {number} of {of}")
        return " and ".join(words)

    def passes(self, rows: pd.DataFrame) -> pd.Series:
        """(n,) bool: which of the rows, all that are still there with their scores, stay."""
        import pandas as pd

        if not self.threshold():
            return pd.Series(True, index=rows.index)
        value = pd.to_numeric(rows[self.score_column()], errors="coerce")
        passed = value.notna()
        if self.at_least is not None:
            passed &= value >= self.at_least
        if self.at_most is not None:
            passed &= value <= self.at_most
        return self._best(rows, value[passed]) if self.ranks else passed

    def _best(self, rows: pd.DataFrame, value: pd.Series) -> pd.Series:
        """Which rows are among the best of their group, of those that have a value."""
        import numpy as np

        in_order = (value if self.lowest else -value).sort_values(kind="stable").index
        group = rows[self.per].loc[in_order] if self.per in ("label", "cell") else in_order * 0
        grouped = in_order.to_series().groupby(group, dropna=False)
        count = grouped.transform("size")
        wanted = self.top if self.share is None else np.ceil((self.share * count).round(6))
        return (grouped.cumcount() < wanted).reindex(rows.index, fill_value=False)


class RowFilter(Filter):
    """A filter whose score depends on the row alone: scored once, its threshold moves for nothing."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.raw = dict(cls.columns)

    def value(self, text: str, context: Context) -> float | None:
        raise NotImplementedError(f"{type(self).__name__} needs value() or measure()")

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        return {self.name: [self.value(text, context) for text in rows["text"]]}


def keep(
    rows: pd.DataFrame, filters: Sequence[Filter], context: Context
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Kept rows with their scores, and dropped rows with scorer, value, threshold and reason.

    Filters apply in order, each to what the ones before it left: a dropped row is no reason to drop
    its duplicate. Takes rows joined with the columns of `scores`. They end before the first that needs more
    rows of a cell (of rows without cells: a label) than are left: its scores, and those of the filters behind
    it, are unknown. `ended` says which one that is.
    """
    import pandas as pd

    kept, dropped = rows.reset_index(drop=True), []
    parts = _parts(kept).dropna().unique()
    for at, rule in enumerate(filters):
        if _few(rule, kept, parts):
            unknown = {c for f in filters[at:] for c in f.columns} - set(kept)
            kept = kept.assign(**dict.fromkeys(sorted(unknown)))
            break
        scores = pd.DataFrame(rule.score(kept, context), index=kept.index)
        kept = kept.drop(columns=[c for c in scores if c in kept]).join(scores)
        rule = _per_group(rule, kept)
        passed = rule.passes(kept)
        dropped.append(_rejected(kept[~passed], rule))
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
    import pandas as pd

    parts = pd.concat([_parts(kept), _parts(dropped)]).dropna().unique()
    droppers = set(dropped["scorer"])
    last = max((at for at, rule in enumerate(filters, 1) if rule.name in droppers), default=0)
    found = (Ended(rule, _few(rule, kept, parts)) for rule in filters[last:])
    return next((each for each in found if each.few), None)


def _parts(rows: pd.DataFrame) -> pd.Series:
    """What a filter may not empty: the cell of each row, else its label, if rows have one."""
    import pandas as pd

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


def _rejected(rows: pd.DataFrame, rule: Filter) -> pd.DataFrame:
    """Dropped rows, and in words why: `rule.why` is asked only where a filter has something to say."""
    import pandas as pd

    value = pd.to_numeric(rows[rule.score_column()], errors="coerce").astype(float)
    wanted = f"wanted {rule.threshold()}"
    words = [f"{rule.name} {'is unknown' if v != v else f'{v:.3g}'}, {wanted}" for v in value.tolist()]
    if type(rule).why is not Filter.why:
        why = map(rule.why, rows.to_dict("records"))
        words = [f"{said}: {more}" if more else said for said, more in zip(words, why, strict=True)]
    return rows.assign(
        stage="filtered",
        scorer=rule.name,
        value=value,
        threshold=rule.threshold(),
        reason=words,
    )
