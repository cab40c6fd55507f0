"""The sections of a recipe, each by itself; what they need of each other is said in recipe.py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_serializer, model_validator

from synth_assets.errors import unknown
from synth_assets.evaluation.task_metrics import BY_NAME, PASSES
from synth_assets.sections import ModelSpec, wrong
from synth_assets.selection.select import METHODS
from synth_assets.step_kinds import AnyStep, Prompted

Split = Literal["demonstration", "validation", "test"]
GOLD: tuple[Split, ...] = ("validation", "demonstration")  # what weights are learned from: the first there is
BY = {name: needs for name, needs in METHODS.items() if name != "vote_k"}  # which needs a model's confidence
QUERIED = [name for name, needs in BY.items() if "query" in needs]
SCORED = [name for name, needs in BY.items() if "scores" in needs]


class Section(BaseModel):
    """A part of a recipe: unknown fields are errors, and a parsed recipe does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    newer: ClassVar[tuple[str, ...]] = ()  # fields that enter a version once they are written

    @model_serializer(mode="wrap")
    def _as_written(self, handler: Any) -> Any:
        return {n: v for n, v in handler(self).items() if n not in self.newer or n in self.model_fields_set}


class Label(Section):
    """One entry of the codebook."""

    definition: str = Field(min_length=1)
    verbalizer: str | None = None  # the word that stands for the label in prompts; default: its name


class Task(Section):
    """Task specification: what the model is told before any condition (role, codebook, text type)."""

    classify: dict[str, Label] = {}  # the codebook; none: rows without a label
    text: str = "text"  # text type and label type as in GPT3Mix (Yoo et al. 2021)
    label: str = "label"
    role: str = ""
    instruction: str = ""

    @field_validator("classify", mode="before")
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
                raise ValueError(
                    f"label {name!r} is not text to YAML (yes, no, on, off, 1): put it in quotes"
                )
        return {n: {"definition": v} if isinstance(v, str) else v for n, v in value.items()}

    def fields(self) -> dict[str, Any]:
        """What a template may say about the task itself (e_task of the prompt triple, Eq. 1)."""
        return {
            "role": self.role,
            "instruction": self.instruction,
            "text_type": self.text,
            "label_type": self.label,
            "definitions": {name: label.definition for name, label in self.classify.items()},
            "verbalizers": self.verbalizers(),
        }

    def told_by(self, step: AnyStep | Prompted) -> dict[str, Any]:
        """What of it stands in the prompts of a step; the role stands over every chat."""
        words = set(re.findall(r"\w+", step.template)) | ({"role"} if step.under_role else set())
        return {name: value for name, value in self.fields().items() if name in words}

    def of_label(self, label: str | None) -> dict[str, str]:
        """What a template may say of a row's label; nothing where rows have none."""
        if label not in self.classify:
            return {}
        of = self.classify[label]
        return {"definition": of.definition, "verbalizer": of.verbalizer or label}

    def verbalizers(self) -> dict[str, str]:
        return {name: label.verbalizer or name for name, label in self.classify.items()}


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
            raise ValueError(
                "`splits` is missing: say how many rows are `demonstration`, `validation`, `test`"
            )
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
        if self.by not in BY:
            raise wrong(str(unknown("way to select", self.by, BY)), "by")
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


class Labelled(Section):
    """Label enhancement: whose label a row carries on. What a person says in `human` overrides all."""

    newer = ("human", "stages", "reannotate")

    by: Literal[
        "condition",
        "label_agreement",
        "confident_learning",
        "clean_pool",
        "cross_partition",
        "majority",
        "dawid_skene",
        "label_model",
    ] = "condition"
    human: str | None = None  # CSV file: row_id or text, label
    stages: int = Field(default=3, ge=1)  # of cross_partition
    reannotate: int = Field(default=0, ge=0)  # clean rows shown to the annotator for each row in doubt

    @model_validator(mode="after")
    def _goes_with(self) -> Labelled:
        for name, by in (("stages", "cross_partition"), ("reannotate", "clean_pool")):
            if name in self.model_fields_set and self.by != by:
                raise ValueError(f"`{name}` goes with `by: {by}`")
        return self


class Weights(Section):
    """weight = score ** power; the seeds together weigh `seeds` times the synthetic rows."""

    by: Literal[
        "label_agreement",
        "confidence",
        "influence",
        "bilevel",
        "learning_to_reweight",
        "token_weights",
        "inverse_frequency",
        "none",
    ] = "none"
    power: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    seeds: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class Judged(Section):
    """A model that compares rows of this round with rows of the last one, each pair in both orders."""

    newer = ("people",)

    rows: int = Field(default=50, ge=1)  # pairs, two calls each
    question: str = (  # template over the row and the task: what both rows are answers to
        "Write a {{ text_type }}."
        "{% if definition is defined %} Its {{ label_type }} is {{ label }}: {{ definition }}.{% endif %}"
    )
    model: ModelSpec | None = None  # default: the annotator's
    people: str | None = None  # CSV file of what people say of pairs: first_id, second_id, better


class Student(Section):
    """The small model that is trained on the sets, to measure them."""

    by: Literal["logistic", "softmax", "boosting", "transformer"] = "logistic"
    features: Literal["encoder", "tfidf"] = "encoder"
    smoothing: float = Field(default=0.0, ge=0, lt=1)
    ensembling: bool = False
    soft: bool = False

    @model_validator(mode="after")
    def _goes_with(self) -> Student:
        if self.features == "tfidf" and self.by == "transformer":
            raise wrong("a transformer reads the texts themselves: leave it out", "features")
        if self.smoothing and self.by not in ("softmax", "transformer"):
            raise wrong("smoothing goes with `by`: softmax, transformer", "smoothing")
        if self.ensembling and self.by != "softmax":
            raise wrong("ensembling goes with `by`: softmax", "ensembling")
        if self.soft and self.by == "boosting":
            raise wrong("trees learn no probabilities: leave it out", "soft")
        return self


class Facts(Section):
    """Facts of rows, listed by a model and looked up in passages (SAFE, Wei et al. 2024)."""

    file: str  # passages, one a line
    rows: int = Field(default=20, ge=1)  # a call each, and one for each of their facts
    k: int = Field(default=5, ge=1)  # facts that are wanted of a row
    passages: int = Field(default=3, ge=1)  # that are looked at for a fact
    model: ModelSpec | None = None  # default: the annotator's


class InContext(Prompted):
    """A model answers test rows, shown `k` rows of each set: what a set teaches where answers are texts."""

    temperature: float | None = Field(default=0.0, ge=0)
    answer: str  # field of seeds and rows: what is right of a test row, and shown of the others
    by: str  # the task's metric
    k: int = Field(default=4, ge=1)
    rows: int = Field(default=50, ge=1)  # test rows, a call each for each set

    @model_validator(mode="before")
    @classmethod
    def _one_way(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and ("prompt" in value) == ("complete" in value):
            raise ValueError("give one of `prompt` (a chat message) and `complete` (text to go on with)")
        return value

    @field_validator("by")
    @classmethod
    def _metric(cls, value: str) -> str:
        if value not in (known := [*BY_NAME, PASSES]):
            raise ValueError(str(unknown("metric", value, known)))
        return value


class Truth(Section):
    """The column that holds the right answer, and the metric of the task."""

    column: str
    by: str = "label"

    @field_validator("by")
    @classmethod
    def _metric(cls, value: str) -> str:
        if value not in (known := ["label", *BY_NAME]):
            raise ValueError(str(unknown("metric", value, known)))
        return value


class Metrics(Section):
    """What the set is measured by."""

    newer = ("truth", "in_context", "facts")

    diversity: bool = True
    student: bool = True
    privacy: bool = True
    faithfulness: bool = True
    contamination: float = Field(default=0.01, ge=0, le=1)  # share of rows that may repeat a test row's words
    collapse: float = Field(default=0.2, ge=0, le=1)  # fall of a round's diversity under the best before it
    model_alone: int = Field(default=0, ge=0)  # test rows that the annotator labels by itself; 0: none
    judge: Judged | None = None
    evidence: str | None = None  # condition or field in which the entities of the text have to be
    word_list: dict[str, list[str]] = {}  # label -> words: the baseline that a person writes by hand
    truth: dict[str, Truth] = {}  # column -> what it should be
    in_context: InContext | None = None
    facts: Facts | None = None


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
