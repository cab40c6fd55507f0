"""What a source of condition values is: a section of a recipe that has the source's word as a field.

A *pool* knows its values before any row is drawn: a design spreads them over the rows. A *draw* makes a value
for each row, from a hash of the row's place, so that a row keeps its value when others are added. Files
are resolved by the caller: nothing here opens the network or asks a model. docs/plugins.md has an example.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from synth_assets.contracts.section import TOKENS, Section
from synth_assets.core.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.core.asking import Completes, Encode

Weights = Mapping[str, float]
PLACE = 3  # seed, round and cell: the first parts of a draw
SEPARATOR = ", "  # between several words of one value
Earlier = Literal["last", "all"] | Annotated[int, Field(ge=1, le=100_000)]  # rounds whose kept rows are meant


def number_of(rounds: Earlier) -> int | None:
    """How many of the last rounds that kept rows are meant; None: all."""
    return {"last": 1, "all": None}[rounds] if isinstance(rounds, str) else rounds


def of_last(rows: pd.DataFrame, number: int | None) -> pd.DataFrame:
    """The rows of so many of the last rounds that have any; None: all."""
    return rows if number is None else rows[rows["round"].isin(sorted(set(rows["round"]))[-number:])]


@dataclass(frozen=True)
class Around:
    """What a provider may look at besides its own section."""

    rows: Mapping[str, pd.DataFrame] = field(default_factory=dict)  # seeds, kept: row_id, text, label, split
    encode: Encode | None = None
    asked: Callable[[str, str], Sequence[str]] = lambda name, given: ()  # values that the model gave
    # values of the questions of the cell's earlier rounds, in order; None: the recipe does not remember them
    before: Sequence[Mapping[str, Any]] | None = None
    made: dict[object, Any] = field(default_factory=dict)  # what rows share
    signals: Callable[[str], Mapping[str, float]] = lambda name: {}  # of the last round: row id -> its value
    # attribute -> value -> how often it is drawn, against its own weight: what the last round asks for
    factors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def once(self, key: object, make: Callable[[], Any]) -> Any:
        """What rows share, made for the first that asks."""
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def steered(self, name: str, weights: Weights) -> Weights:
        """The weights of an attribute's values, as the last round asks for them."""
        if (factors := self.factors.get(name)) is None:
            return weights
        return {value: weight * factors.get(value, 1.0) for value, weight in weights.items()}

    def taken(self, name: str) -> list[Any]:
        """What the cell's earlier rounds took of a condition, in order; nothing, where none is remembered."""
        return [row[name] for row in self.before or ()]


class Provider(Section):
    """Base of all. An author writes the `name`, which is also the field by which a recipe names it, the other
    fields of its section, and what a Pool or a Draw needs."""

    name: ClassVar[str] = ""
    knows: ClassVar[tuple[str, ...]] = ()  # what its templates know besides the conditions above
    in_turn: ClassVar[bool] = False  # whether it is drawn once, whatever the constraints refuse
    remembers: ClassVar[bool] = False  # whether its draws can go by `Around.before`
    beside: ClassVar[Mapping[str, str]] = {}  # columns NAME_part that a value brings along: part -> type

    @property
    def takes_kept(self) -> bool:
        """Whether values are rows that earlier rounds kept."""
        return False

    @property
    def last(self) -> int | None:
        """Of how many of the last rounds they are; None: of all."""
        return None

    @property
    def signal(self) -> str | None:
        """The signal of earlier rounds, if any, that values are chosen by."""
        return None

    def files(self) -> list[Path]:
        """Files whose content decides the values: a change of one makes the conditions stale."""
        return []

    def templates(self) -> list[str]:
        """Templates that may name conditions written above this one."""
        return []

    def column_type(self, fields: Mapping[str, str]) -> str:
        """The type of its values, as in recipe/columns.yaml, given those of the seeds' fields."""
        return "string"

    def about(self, value: Any, around: Around) -> Mapping[str, Any]:
        """What stands in the columns `beside` a value."""
        return {}

    def told(self) -> str:
        """What `synth check` says of the values."""
        return ""

    def rests_on(self) -> str | None:
        """The condition above, if any, on whose value the values rest."""
        return None

    def items(self, name: str, around: Around) -> Collection[str] | None:
        """All that there is to take, where one can count it: `metrics.knowledge` says how much was used."""
        return None

    def items_of(self, value: str) -> Collection[str]:
        """The items that a value is made of."""
        return (value,)


class Pool(Provider):
    """Values that are known before any row is drawn. An author writes `pool`."""

    def pool(self, name: str, row: Mapping[str, str], around: Around) -> Weights:
        """Value -> weight, for a row that has these values of the attributes above."""
        raise NotImplementedError

    @property
    def depends(self) -> bool:
        """Whether the values differ from row to row."""
        return False

    def group(self, row: Mapping[str, Any]) -> str:
        """What of a row the values depend on: rows of which it is the same take them in turn."""
        return str(row.get(self.rests_on() or ""))

    def items(self, name: str, around: Around) -> Collection[str] | None:
        return None if self.depends else self.pool(name, {}, around).keys()


class Draw(Provider):
    """Values that are drawn row by row. An author writes `draw`."""

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str | None:
        """The value of one row; `parts` are seed, round, cell, number of the question, attribute. None: there
        is none for it, and the row is dropped before anything is asked."""
        raise NotImplementedError

    def missing(self, row: Mapping[str, str]) -> str:
        """Why there is no value for a row, in words."""
        return "there is no value for this row"

    def remembered(
        self, around: Around, parts: Sequence[object], values: Callable[[], Iterator[str]]
    ) -> str | None:
        """The value of a row, of those that come one after another and follow on the cell's earlier rounds.
        None where the recipe does not remember them, and for draws after one that constraints refused."""
        *place, number, name = parts
        if around.before is None or len(place) > PLACE:
            return None
        made = around.once((*place, name, "order"), list)
        source = around.once((*place, name, "source"), values)
        while len(made) <= int(str(number)):
            made.append(next(source))
        return str(made[int(str(number))])


class Listed(Pool):
    """Values that a model lists: the asset `values` asks for them, a person may edit them. An author writes
    `question`, `wanted` and `answers`."""

    temperature: float = Field(default=0.7, ge=0, le=100)
    """Of the answers that list values."""
    max_tokens: int = Field(default=512, ge=1, le=TOKENS)
    """Of one answer."""

    @property
    def wanted(self) -> int:
        """Values that one answer should list."""
        raise NotImplementedError

    @property
    def named(self) -> set[str]:
        """The conditions that the question names: it is asked for each combination of their values."""
        return set()

    def question(self, fields: Mapping[str, Any]) -> str:
        """What the model is asked, of the task and the conditions that are named."""
        raise NotImplementedError

    def answers(self, question: str, model: Completes, replicate: str) -> list[str]:
        """The values that the model lists."""
        raise NotImplementedError

    @property
    def grows(self) -> int:
        """Values that each round after a cell's first asks for; where it does, write `more` and `grown`."""
        return 0

    def more(
        self, values: Iterable[str], barren: Iterable[str], model: Completes, replicate: str
    ) -> list[tuple[str, str | None]]:
        """New values, given all that there are: where each was found, and the value; None, where nothing was.
        `barren`: where nothing was found before."""
        raise NotImplementedError

    def grown(self, values: Iterable[str]) -> list[str]:
        """The values to take from, of the listed and the new ones."""
        return list(values)

    @property
    def sampling(self) -> dict[str, Any]:
        return {"temperature": self.temperature, "max_tokens": self.max_tokens}

    def given(self, row: Mapping[str, Any]) -> str:
        return SEPARATOR.join(str(row[name]) for name in sorted(self.named & set(row)))

    def group(self, row: Mapping[str, Any]) -> str:
        return self.given(row)

    @property
    def depends(self) -> bool:
        return bool(self.named)

    def pool(self, name: str, row: Mapping[str, Any], around: Around) -> Weights:
        given = self.given(row)
        if found := around.asked(name, given):
            return dict.fromkeys(found, 1.0)
        where = f" for {given}" if given else ""
        raise UserError(f"conditions.{name}: there are no values{where} yet: materialize the asset `values`.")
