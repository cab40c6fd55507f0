"""The sections of a recipe, each by itself; what they need of each other is said in recipe.py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from synth_assets.contracts.labelling import Labelling
from synth_assets.contracts.model_spec import ModelSpec
from synth_assets.contracts.provider import Earlier, number_of
from synth_assets.contracts.section import TOKENS, Section, class_of, one_of, wrong
from synth_assets.contracts.step import StepBase
from synth_assets.contracts.weighing import Weighing
from synth_assets.core import cron
from synth_assets.core.errors import UserError
from synth_assets.core.registry import LABELS, WEIGHTS, Registry
from synth_assets.recipe.annotate import Annotate
from synth_assets.recipe.seeds import Split
from synth_assets.recipe.target import Predict
from synth_assets.selection.select import METHODS

GOLD: tuple[Split, ...] = ("validation", "demonstration")  # what weights are learned from: the first there is
SHOWN = 10_000  # rows in a prompt, at the most
OF_A_MODEL = ("vote_k", "entropy", "least_confidence", "margin")  # need what a model says of each row
BY = {name: needs for name, needs in METHODS.items() if name not in OF_A_MODEL}
QUERIED = [name for name, needs in BY.items() if "query" in needs]
SCORED = [name for name, needs in BY.items() if "scores" in needs]


class Label(Section):
    """One entry of the codebook."""

    definition: str = Field(min_length=1)
    """What the label means, for prompts."""
    verbalizer: str | None = None
    """The word that stands for the label in prompts; default: its name."""


Codebook = Annotated[dict[str, Annotated[str, Field(min_length=1)] | Label], Field(min_length=2)]


class Task(Section):
    """Task specification: what the model is told before any condition (role, codebook, text type), and what
    is learned of a row."""

    newer = ("ordered", "pair", "predict", "annotate")

    classify: dict[str, Label] = {}
    """The codebook, label: definition; without it rows have no label."""
    ordered: bool = False
    """The labels have an order, and are written from the lowest to the highest, as in one star to five."""
    pair: str | None = None
    """The column with the other text of a pair, of seeds and rows; students and comparisons read both."""
    predict: Predict = None
    """What is learned of a row in the place of one label: a number, several labels, or spans of the text."""
    annotate: Annotate | None = None
    """Your own rows that have no label yet: they are the rows of the set, and a model says what they are."""
    text: str = "text"
    """What one row is called in prompts: review, question (the text type of GPT3Mix, Yoo et al. 2021)."""
    label: str = "label"
    """What its label is called in prompts: sentiment, intent."""
    role: str = ""
    """Who writes; it stands over every chat prompt."""
    instruction: str = ""
    """A text for templates that name it."""

    @field_validator("classify", mode="before", json_schema_input_type=Codebook)
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        """`label: definition` is short for `label: {definition: ...}`."""
        if not isinstance(value, Mapping):
            raise ValueError("labels are written as `label: definition`, one a line")
        if len(value) == 1:
            raise ValueError("one label says nothing: write two or more, or leave out `classify`")
        for name, label in value.items():
            if label is None or (isinstance(label, str) and not label.strip()):
                raise ValueError(f"label {str(name)!r} has no definition: write `{name}: what it means`")
            if not isinstance(name, str):
                why = f"label {name!r} is not text to YAML (yes, no, on, off, 1)"
                raise ValueError(f"{why}: put it in quotes")
        return {n: {"definition": v} if isinstance(v, str) else v for n, v in value.items()}

    def fields(self) -> dict[str, Any]:
        """What a template may say about the task itself (e_task of the prompt triple, Eq. 1)."""
        return {
            "role": self.role,
            "instruction": self.instruction,
            "text_type": self.text,
            "label_type": self.label,
            "definitions": self.definitions,
            "verbalizers": self.verbalizers(),
        }

    def told_by(self, step: StepBase) -> dict[str, Any]:
        """What of it stands in the prompts of a step; the role stands over every chat."""
        words = set(re.findall(r"\w+", step.template)) | ({"role"} if step.under_role else set())
        return {name: value for name, value in self.fields().items() if name in words}

    def of_label(self, label: str | None) -> dict[str, str]:
        """What a template may say of a row's label; nothing where rows have none."""
        if label not in self.classify:
            return {}
        of = self.classify[label]
        return {"definition": of.definition, "verbalizer": of.verbalizer or label}

    @property
    def definitions(self) -> dict[str, str]:
        """Of the labels, or of what else has a name and is learned."""
        if self.predict:
            return self.predict.definitions
        return {name: label.definition for name, label in self.classify.items()}

    @property
    def columns(self) -> dict[str, str]:
        """What a training set has of a row, besides its text and label: column -> type."""
        found = {self.pair: "string"} if self.pair else {}
        return found | ({self.predict.columns[0]: self.predict.column_type} if self.predict else {})

    @property
    def order(self) -> list[str]:
        """The labels from the lowest to the highest; empty where they have no order."""
        return list(self.classify) if self.ordered else []

    def verbalizers(self) -> dict[str, str]:
        return {name: label.verbalizer or name for name, label in self.classify.items()}


class Demonstrations(Section):
    """Rows shown in the prompt: `k` of them, of the row's own label. Drawn at random, they are `sets` fixed
    sets a round and cell; what depends on the row (`query`, `within`) is chosen for each row.

    `mix` takes so many of each pool (Self-Instruct, Wang et al. 2023: 6 seeds and 2 kept rows).
    """

    newer = ("by", "query", "score", "order", "pool", "mix", "label", "within", "neighbours", "rounds")

    k: int = Field(default=4, ge=0)
    """Rows that a prompt shows."""
    sets: int = Field(default=10, ge=1, le=100_000)
    """Fixed sets a round and cell, which the rows take in turn."""
    by: str = Field(default="random", json_schema_extra={"enum": list(BY)})
    """The way to select them."""
    query: str | None = None
    """Template; what is nearest to it is shown."""
    score: str | None = None
    """Column of the kept rows; the seeds, in the first round, are drawn at random."""
    order: Literal["nearest_last", "nearest_first"] = "nearest_last"
    """Where the most similar one stands."""
    pool: Literal["seeds", "kept"] = "seeds"
    """kept: rows of earlier rounds, and the seeds while there are none."""
    mix: dict[Literal["seeds", "kept"], Annotated[int, Field(ge=0, le=10_000)]] = {}
    """So many of each pool, in the place of `k`."""
    rounds: Earlier = "all"
    """Of kept rows: of the last round that kept any, of so many, or of all."""
    label: Literal["same", "any"] = "same"
    """Rows of the row's own label, or of every label."""
    within: str | None = None
    """A field of the seeds and condition of the same name: only rows with an equal value."""
    neighbours: int = Field(default=150, ge=1)
    """Rows that each row votes for (`by: fast_vote_k`)."""

    @model_validator(mode="after")
    def _by(self) -> Demonstrations:
        one_of("way to select", self.by, BY, "by")
        if self.size > SHOWN:
            raise wrong(
                UserError(f"no prompt shows more than {SHOWN:,} rows", "out_of_range", "show fewer"), "k"
            )
        if (self.query is not None) != (self.by in QUERIED):
            raise ValueError(f"`query` goes with `by`: {', '.join(QUERIED)}")
        if (self.score is not None) != (self.by in SCORED) or (self.score and self.pool != "kept"):
            raise ValueError(f"`score` goes with `pool: kept` and `by`: {', '.join(SCORED)}")
        if self.mix and (self.by != "random" or self.pool != "seeds"):
            raise ValueError("`mix` draws at random from the pools that it names: leave out `by` and `pool`")
        if "neighbours" in self.model_fields_set and self.by != "fast_vote_k":
            raise ValueError("`neighbours` goes with `by: fast_vote_k`")
        if "rounds" in self.model_fields_set and not self.of_kept:
            raise ValueError("`rounds` goes with `pool: kept`, or `kept` in `mix`: seeds are of no round")
        return self

    @property
    def size(self) -> int:
        return sum(self.mix.values()) or self.k

    @property
    def of_kept(self) -> bool:
        """Whether rows that earlier rounds kept are shown."""
        return self.pool == "kept" or "kept" in self.mix

    @property
    def last(self) -> int | None:
        """Of how many of the last rounds; None: of all."""
        return number_of(self.rounds)


class Annotator(Section):
    """The model as a few-shot classifier: it scores label agreement, and is a baseline by itself."""

    newer = ("max_tokens",)

    k: int = Field(default=16, ge=0, le=10_000)
    """Demonstrations that it sees, the same number of each label."""
    model: ModelSpec | None = None
    """A cheap judge beside a strong generator; default: the recipe's model."""
    max_tokens: int = Field(default=1, ge=1, le=TOKENS)
    """Of its answer; more for a model that thinks first, or whose labels have to be read from its words."""


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

    rows: str = "fixed"
    """fixed; yield: a cell that keeps little is asked for more; or a signal, as error: cells, and values of
    conditions, are asked for in proportion to it."""

    @property
    def signals(self) -> list[str]:
        """The signal, if it goes by one."""
        return [] if self.rows in ("fixed", "yield") else [self.rows]


class Caps(Section):
    """The most that calls may take: in a round, in a day, and in all."""

    round: float | None = Field(default=None, gt=0)
    """The most in one round."""
    day: float | None = Field(default=None, gt=0)
    """The most in one day."""
    recipe: float | None = Field(default=None, gt=0)
    """The most in all."""


class BudgetCaps(Caps):
    """Caps in US dollars; `tokens` are caps in tokens."""

    tokens: Caps = Caps()
    """The same caps, in tokens."""


CRON = r"^\s*\S+(\s+\S+){4}\s*$"


class Schedule(Section):
    """When rounds are made by themselves, and what happens to a night that did not come out whole."""

    cron: str = Field(json_schema_extra={"pattern": CRON})
    """Cron line of five fields, in the recipe's time zone."""
    catch_up: int = Field(default=7, ge=0, le=31)
    """Days back in which a round that failed or was cut off is made whole, the earliest first."""
    tries: int = Field(default=3, ge=1, le=4)
    """Tries a day, where nobody answers or the machine stops; they are 2, 8 and 30 minutes apart."""
    tell: Literal["failures", "always"] = "failures"
    """Nights that the webhook hears of."""
    keep: int | None = Field(default=None, ge=1)
    """The latest rounds that stay, when `synth clean --older-than` removes what is old; by default all."""

    @field_validator("cron")
    @classmethod
    def _five(cls, value: str) -> str:
        return _cron(value)


def _cron(value: str) -> str:
    if why := cron.wrong(value):
        raise ValueError(f'{why}: a schedule is a cron line of five fields, for example "0 2 * * *"')
    return value


def _schedule(value: Any) -> Any:
    """Errors are those of one form alone."""
    if isinstance(value, str):
        return _cron(value)
    return value if value is None or isinstance(value, Schedule) else Schedule.model_validate(value)


Scheduled = Annotated[
    Annotated[str, Field(json_schema_extra={"pattern": CRON})] | Schedule | None, BeforeValidator(_schedule)
]
