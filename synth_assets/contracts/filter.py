"""What a filter is: a score and a rule over it; every dropped row keeps scorer, value and threshold.

A filter is one class with a `name`; docs/plugins.md has an example.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from synth_assets.contracts.section import Section, wrong
from synth_assets.core.errors import UserError
from synth_assets.core.text.pairs import both

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.core.answer_schema import Kind
    from synth_assets.core.asking import Encode, LabelLogprobs
    from synth_assets.core.engine import Engines

BOUNDS = ("at_least", "at_most")
LIMITS = {"at_least", "at_most", "top", "share"}  # one that is given replaces the defaults of all
RULE = {*LIMITS, "lowest", "per"}  # what moves without another score


@dataclass(frozen=True)
class Context:
    """What a scorer may look at besides the rows."""

    verbalizers: Mapping[str, str]  # label -> word
    demonstrations: Sequence[str] = ()  # texts of the seed rows that the model was shown
    held_out: Sequence[str] = ()  # texts of the validation and test seeds
    earlier: Sequence[str] = ()  # texts kept in the rounds before
    seeds: pd.DataFrame | None = None  # seed rows that the model may be shown, where a filter reads them
    typed: Mapping[str, Kind] = field(default_factory=dict)  # fields of rows and seeds that are no text
    encode: Encode | None = None
    pair: str | None = None  # column of the other text, where rows are pairs: the texts above are both
    target: Any = None  # what is learned of a row that has no label (recipe/target.py)
    no_encoder: str = ""  # why `encode` cannot be used, where the encoder is not installed
    # texts, a model and a number of shown seeds (None: the annotator's) -> the labels of each
    annotate: Callable[..., Sequence[LabelLogprobs | None]] | None = None
    # template, rows, further fields, model (None: the annotator's) -> an answer a row, None if there is none
    ask: Callable[..., Sequence[str | None]] | None = None
    engines: Engines | None = None  # what works on sets of many rows in the place of this process


class Filter(Section):
    """Base of all filters: keeps a row when at_least <= score <= at_most, and of those rows the `top` (a
    number) or the `share` with the highest score, or with the `lowest`. An unknown score is dropped.

    `per` is what that number or share is of: each label, each cell, or all rows of the round. By default each
    label, where rows have one. A share is rounded up; of rows with the same score the first ones are taken.

    An author writes the `name`, the fields of the section and, for what depends on the row alone, the `value`
    of a RowFilter, else `score`. A default of a limit is a field again: `at_least: float | None = 3`. Where
    `within` or `better` are said, a bound that no score can reach, or that keeps the worst rows, is refused.
    """

    name: ClassVar[str] = ""
    raw: ClassVar[Mapping[str, str]] = {}  # columns of the asset `scores` -> type (see recipe/columns.py)
    columns: ClassVar[Mapping[str, str]] = {}  # columns of the asset `filtered` -> type
    asks: ClassVar[bool] = False  # whether `measure` asks a language model
    by_row: ClassVar[bool] = False  # whether a row's score depends on that row alone
    by_workers: ClassVar[bool] = False  # whether `score` gives a large set to the workers of `engines`
    encodes: ClassVar[bool] = False  # whether it reads vectors: without an encoder its scores are unknown
    of_labels: ClassVar[bool] = False  # whether it says something of the row's label
    of_target: ClassVar[bool] = False  # whether it reads what is learned of a row that has no label
    of_pairs: ClassVar[bool] = False  # whether it reads both texts of a pair, as one (core/text/pairs.py)
    algorithm: ClassVar[str] = (
        ""  # a tag, once it computes something else than before: see recipe/versions.py
    )
    least: ClassVar[int] = 1  # rows of each label that it needs; above 1, of two labels at least
    renamed: ClassVar[Mapping[str, str]] = {}  # column of its kind -> its own (see `named`)
    within: ClassVar[tuple[float, float]] = (-math.inf, math.inf)  # the lowest and the highest score there is
    better: ClassVar[Literal["higher", "lower", ""]] = ""  # scores of better rows; empty: as the user wants

    at_least: float | None = None
    """The least score of a row that is kept."""
    at_most: float | None = None
    """The highest score of a row that is kept."""
    top: int | None = Field(None, ge=1)
    """So many rows with the highest score are kept."""
    share: float | None = Field(None, gt=0, le=1)
    """This share of the rows with the highest score is kept."""
    lowest: bool = False
    """Those with the lowest score are kept instead."""
    per: Literal["label", "cell", "all"] | None = None
    """What that number or share is of; default: each label."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.name and not cls.columns:
            cls.columns = {cls.name: "double"}

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
        for bound in BOUNDS:
            self._reachable(bound)
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least {self.at_least} is above at_most {self.at_most}: no row could pass")
        if self.top is not None and self.share is not None:
            raise ValueError("top and share both say how many rows stay: write one of them")
        if (self.lowest or self.per) and not self.ranks:
            raise ValueError("lowest and per say which rows `top` or `share` takes: add one of them")
        self._right_way()
        return self

    def _reachable(self, bound: str) -> None:
        low, high = self.scores()
        value = getattr(self, bound)
        if value is not None and not low <= value <= high:
            where = f"from {low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
            fix = f"write a number {where if math.isfinite(low) else f'{high:g} or less'}"
            raise wrong(UserError(f"no score is {value:g}: {fix}", "out_of_range", fix), bound)

    def _right_way(self) -> None:
        """A bound of one side alone is on the side of the worse rows. With both, a band is wanted."""
        side, other = ("at_most", "at_least") if self.better == "lower" else ("at_least", "at_most")
        if not self.better or getattr(self, side) is not None:
            return
        if (value := getattr(self, other)) is not None:
            default = type(self).model_fields[side].default
            fix = f"write `{side}: {value if default is None else default:g}`"
            why = f"this keeps the worst rows, as a {self.better} score is better: {fix}"
            raise wrong(UserError(why, "wrong_value", fix), other)
        if self.ranks and self.better == "lower" and not self.lowest:
            word = "share" if self.top is None else "top"
            why = "this keeps the worst rows, as a lower score is better: add `lowest: true`"
            raise wrong(UserError(why, "wrong_value", "add lowest: true"), word)

    def scores(self) -> tuple[float, float]:
        """The lowest and the highest score that a row can have."""
        return self.within

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        """With the bounds that a bound has."""
        made = super().__get_pydantic_json_schema__(schema, handler)
        limits = {"minimum": cls.within[0], "maximum": cls.within[1]}
        reachable = {name: limit for name, limit in limits.items() if math.isfinite(limit)}
        for bound in BOUNDS:
            said = handler.resolve_ref_schema(made)["properties"][bound]
            (said["anyOf"][0] if "anyOf" in said else said).update(reachable)
        return made

    @property
    def ranks(self) -> bool:
        """Whether a row's place among the others counts, and not its score alone."""
        return self.top is not None or self.share is not None

    def reads(self, rows: pd.DataFrame, context: Context) -> pd.DataFrame:
        """The rows as `measure` and `score` are given them."""
        return both(rows, context.pair) if self.of_pairs else rows

    def lacks(self, context: Context) -> str:
        """Why its scores cannot be known here; empty where they can."""
        return context.no_encoder if self.encodes else ""

    @property
    def reads_seeds(self) -> bool:
        """Whether it looks at the seed rows that the model may be shown."""
        return False

    @property
    def of_set(self) -> bool:
        """Whether the other rows decide as well, so that of a row alone nothing can be said."""
        return self.ranks or not self.by_row

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        """The raw columns, one value a row, that depend on the row alone (and may be dear)."""
        return {}

    def score(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        """The columns of `filtered`, one value a row, given all rows that are still there."""
        return {name: list(rows[name]) for name in self.columns}

    def english(self) -> str:
        """What of it is English, in words; empty where it reads any language."""
        return ""

    def templates(self) -> dict[str, list[str]]:
        """What it asks -> fields that it fills in, besides the columns of the row and what the task says."""
        return {}

    def models(self) -> list[str]:
        """Whom it asks besides the annotator's model: aliases or names."""
        return []

    def columns_needed(self) -> dict[str, set[str]]:
        """Columns of the row, besides those of every row, that it reads -> the types that they may have."""
        return {}

    def untold(self, rows: pd.DataFrame) -> str:
        """What people are told of measured rows that have no score, once; empty where there is nothing."""
        return ""

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
    """A filter whose score depends on the row alone: scored once, its threshold moves for nothing. An author
    writes `value`, of one text, or `measure`, of a table."""

    by_row = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.raw = dict(cls.columns)

    def value(self, text: str, context: Context) -> float | None:
        raise NotImplementedError(f"{type(self).__name__} needs value() or measure()")

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        return {self.name: [self.value(text, context) for text in rows["text"]]}


@cache
def named(key: str, kind: type[Filter]) -> type[Filter]:
    """The filter, but that the column of its score is called `key`, and each other one `key`_COLUMN.

    Its code goes on with the columns' former names. Its sections say which filter it is: `filter: judge`.
    """
    score = kind.score_column()
    new = {c: key if c == score else f"{key}_{c}" for c in [*kind.raw, *kind.columns]}

    class Named(kind):  # type: ignore[misc, valid-type]
        name = key
        renamed = new
        raw: ClassVar[Mapping[str, str]] = {new[c]: type_ for c, type_ in kind.raw.items()}
        columns: ClassVar[Mapping[str, str]] = {new[c]: type_ for c, type_ in kind.columns.items()}
        filter: str

        def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
            return _renamed(super().measure(rows, context))

        def score(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
            return _renamed(super().score(rows.assign(**self._former(rows)), context))

        def passes(self, rows: pd.DataFrame) -> pd.Series:
            return super().passes(rows.assign(**self._former(rows)))

        def why(self, row: Mapping[str, Any]) -> str:
            return super().why({**row, **self._former(row)})

        def _former(self, rows: Any) -> dict[str, Any]:
            """Its columns of the rows, or of a row, by their former names. What it is told to read stays."""
            read = self.columns_needed()
            return {old: rows[c] for old, c in new.items() if c in rows and old not in read}

    def _renamed(columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        return {new.get(c, c): values for c, values in columns.items()}

    return Named
