"""What a filter is: a score and a rule over it; every dropped row keeps scorer, value and threshold.

A new filter is one class in one module: it is found in a recipe by its `name`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.protocols import Encode, LabelLogprobs

FILTERS: dict[str, type[Filter]] = {}


@dataclass(frozen=True)
class Context:
    """What a scorer may look at besides the rows."""

    verbalizers: Mapping[str, str]  # label -> word
    demonstrations: Sequence[str] = ()  # texts of the seed rows that the model was shown
    earlier: Sequence[str] = ()  # texts kept in the rounds before
    encode: Encode | None = None
    annotate: Callable[[Sequence[str]], Sequence[LabelLogprobs | None]] | None = None
    found: dict[str, Any] = field(default_factory=dict)  # what filters report besides scores


class Filter(BaseModel):
    """Base of all filters: keeps a row when at_least <= score <= at_most. An unknown score is dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: ClassVar[str] = ""
    raw: ClassVar[Mapping[str, str]] = {}  # columns of the asset `scores` -> type (see tables.py)
    columns: ClassVar[Mapping[str, str]] = {}  # columns of the asset `filtered` -> type

    at_least: float | None = None
    at_most: float | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.name:
            cls.columns = cls.columns or {cls.name: "double"}
            FILTERS[cls.name] = cls

    @model_validator(mode="before")
    @classmethod
    def _bounds(cls, value: Any) -> Any:
        """`between: [low, high]` is short for both bounds. A bound that is given replaces both defaults."""
        if not isinstance(value, Mapping):
            return value
        rest = dict(value)
        if "between" in rest:
            between = rest.pop("between")
            if not isinstance(between, list) or len(between) != 2:
                raise ValueError("between takes two numbers: [low, high]")
            rest |= {"at_least": between[0], "at_most": between[1]}
        if "at_least" in rest or "at_most" in rest:
            rest = {"at_least": None, "at_most": None} | rest
        return rest

    @model_validator(mode="after")
    def _possible(self) -> Filter:
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least {self.at_least} is above at_most {self.at_most}: no row could pass")
        return self

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        """The raw columns, one value a row, that depend on the row alone (and may be dear)."""
        return {}

    def score(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        """The columns of `filtered`, one value a row, given all rows that are still there."""
        return {name: list(rows[name]) for name in self.columns}

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
        bounds = [("at least", self.at_least), ("at most", self.at_most)]
        return " and ".join(f"{word} {value:g}" for word, value in bounds if value is not None)


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
    its duplicate. Takes rows joined with the columns of `scores`.
    """
    import pandas as pd

    kept, dropped = rows.reset_index(drop=True), []
    for rule in filters:
        scores = pd.DataFrame(rule.score(kept, context), index=kept.index)
        kept = kept.drop(columns=[c for c in scores if c in kept]).join(scores)
        value = pd.to_numeric(kept[rule.score_column()], errors="coerce")
        passed = pd.Series(True, index=kept.index) if not rule.threshold() else value.notna()
        if rule.at_least is not None:
            passed &= value >= rule.at_least
        if rule.at_most is not None:
            passed &= value <= rule.at_most
        dropped.append(_rejected(kept[~passed], value[~passed], rule))
        kept = kept[passed].reset_index(drop=True)
    return kept, pd.concat(dropped, ignore_index=True) if dropped else rows.iloc[:0]


def _rejected(rows: pd.DataFrame, value: pd.Series, rule: Filter) -> pd.DataFrame:
    words = [
        f"{rule.name} {'is unknown' if v != v else f'{v:.3g}'}, wanted {rule.threshold()}"
        + (why and f": {why}")
        for v, why in zip(value.astype(float), map(rule.why, rows.to_dict("records")), strict=True)
    ]
    return rows.assign(
        stage="filtered",
        scorer=rule.name,
        value=value.astype(float),
        threshold=rule.threshold(),
        reason=words,
    )
