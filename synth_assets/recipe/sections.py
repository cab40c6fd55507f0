"""The sections of a recipe, each by itself; what they need of each other is said in recipe.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from synth_assets.contracts.labelling import Labelling
from synth_assets.contracts.model_spec import ModelSpec
from synth_assets.contracts.section import Section, class_of, one_of
from synth_assets.contracts.weighing import Weighing
from synth_assets.core.registry import LABELS, WEIGHTS, Registry
from synth_assets.selection.select import METHODS

Split = Literal["demonstration", "validation", "test"]
GOLD: tuple[Split, ...] = ("validation", "demonstration")  # what weights are learned from: the first there is
BY = {name: needs for name, needs in METHODS.items() if name != "vote_k"}  # which needs a model's confidence
QUERIED = [name for name, needs in BY.items() if "query" in needs]
SCORED = [name for name, needs in BY.items() if "scores" in needs]


class Seeds(Section):
    """The user's own rows, and how many of them go to which split (the rest is `unlabeled`)."""

    file: str | None = None  # .csv, .tsv, .jsonl or .parquet; package://NAME/path: in an installed package
    text: str = "text"
    label: str = "label"
    label_values: dict[str, str] = {}  # value in the file -> label of the task
    where: dict[str, str | int | float | bool] = {}
    fields: list[str] = []  # further columns, for prompts and for conditions
    license: str | None = Field(default=None, exclude=True)  # said in the dataset card; makes no row stale
    source: str | None = Field(default=None, exclude=True)  # where the rows come from, likewise
    splits: dict[Split, Annotated[int, Field(ge=0)]] = {}

    @model_validator(mode="after")
    def _file(self) -> Seeds:
        if self.file is None and (self.splits or self.where or self.label_values):
            raise ValueError("`file` is missing: name the file of the rows")
        if self.file is not None and not self.splits:
            splits = "`demonstration`, `validation`, `test`"
            raise ValueError(f"`splits` is missing: say how many rows are {splits}")
        return self

    @field_validator("label_values", mode="before")
    @classmethod
    def _text_keys(cls, value: Any) -> Any:
        return {str(k): v for k, v in value.items()} if isinstance(value, Mapping) else value


class Demonstrations(Section):
    """Rows shown in the prompt: `k` of them, of the row's own label. Drawn at random, they are `sets` fixed
    sets a round and cell; what depends on the row (`query`, `within`) is chosen for each row.

    `mix` takes so many of each pool (Self-Instruct, Wang et al. 2023: 6 seeds and 2 kept rows).
    """

    newer = ("by", "query", "score", "order", "pool", "mix", "label", "within")

    k: int = Field(default=4, ge=0)
    sets: int = Field(default=10, ge=1)
    by: str = "random"  # a way to select (selection/select.py)
    query: str | None = None  # template; what is nearest to it is shown
    score: str | None = None  # column of the kept rows; the seeds, in the first round, are drawn at random
    order: Literal["nearest_last", "nearest_first"] = "nearest_last"
    pool: Literal["seeds", "kept"] = "seeds"  # kept: rows of earlier rounds, the seeds while there are none
    mix: dict[Literal["seeds", "kept"], Annotated[int, Field(ge=0)]] = {}
    label: Literal["same", "any"] = "same"
    within: str | None = None  # a field of the seeds and condition of the same name: equal values

    @model_validator(mode="after")
    def _by(self) -> Demonstrations:
        one_of("way to select", self.by, BY, "by")
        if (self.query is not None) != (self.by in QUERIED):
            raise ValueError(f"`query` goes with `by`: {', '.join(QUERIED)}")
        if (self.score is not None) != (self.by in SCORED) or (self.score and self.pool != "kept"):
            raise ValueError(f"`score` goes with `pool: kept` and `by`: {', '.join(SCORED)}")
        if self.mix and (self.by != "random" or self.pool != "seeds"):
            raise ValueError("`mix` draws at random from the pools that it names: leave out `by` and `pool`")
        return self

    @property
    def size(self) -> int:
        return sum(self.mix.values()) or self.k


class Annotator(Section):
    """The model as a few-shot classifier: it scores label agreement, and is a baseline by itself."""

    k: int = Field(default=16, ge=0)  # demonstrations, the same number of each label
    model: ModelSpec | None = None  # a cheap judge beside a strong generator; default: the recipe's model


def _way(registry: Registry, base: type[Section], default: str) -> BeforeValidator:
    """A section is checked by the class that its `by` names."""

    def found(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        by = str(value.get("by", default))
        return class_of(registry, by, base, "by").model_validate({**value, "by": by})

    return BeforeValidator(found)


Labelled = Annotated[SerializeAsAny[Labelling], _way(LABELS, Labelling, "condition")]
Weights = Annotated[SerializeAsAny[Weighing], _way(WEIGHTS, Weighing, "none")]


class Feedback(Section):
    """What the last round's metrics change in the next round's conditions."""

    rows: Literal["fixed", "yield"] = "fixed"  # yield: a cell that keeps little is asked for more


class Caps(Section):
    """The most that calls may take: in a round, in a day, and in all."""

    round: float | None = Field(default=None, gt=0)
    day: float | None = Field(default=None, gt=0)
    recipe: float | None = Field(default=None, gt=0)


class BudgetCaps(Caps):
    """Caps in US dollars; `tokens` are caps in tokens."""

    tokens: Caps = Caps()
