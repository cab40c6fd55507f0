"""The recipe: one YAML file that describes one data set.

What is not said has a default; what is said wrongly is refused with file, line, field and alternatives.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SerializeAsAny,
    Tag,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from resources.models import NamedModel, what_answers
from resources.sources import fingerprint
from synth_assets import strict_yaml, tables
from synth_assets.curation.filters import FILTERS, Filter
from synth_assets.errors import UserError, unknown
from synth_assets.identity import tagged_hash
from synth_assets.schema import Kind, Schema, kind_of

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
TAKEN = {"main", "warehouse", "system", "temp", "information_schema", "pg_catalog"}  # schemas and catalogs
Split = Literal["demonstration", "validation", "test"]
RESERVED = {  # what a condition cannot be called: columns of its table, and what templates say of the task
    *tables.COLUMNS["conditions"],
    *("text", "label_type", "text_type", "role", "instruction"),
    *("definitions", "verbalizers", "demonstrations"),
}


OUTPUT = "output is written as `field: type`, and needs `text: text`, the text of the row"


class Section(BaseModel):
    """A part of a recipe: unknown fields are errors, and a parsed recipe does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


ModelSpec = Annotated[
    Annotated[str, Tag("name")] | Annotated[NamedModel, Tag("endpoint")],
    Discriminator(lambda value: "name" if isinstance(value, str) else "endpoint"),  # errors of one form only
]


class Label(Section):
    """One entry of the codebook."""

    definition: str = Field(min_length=1)
    verbalizer: str | None = None  # the word that stands for the label in prompts; default: its name


class Task(Section):
    """Task specification: what the model is told before any condition (role, codebook, text type)."""

    classify: dict[str, Label] = Field(min_length=2)
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

    def told_by(self, step: Step) -> dict[str, Any]:
        """What of it stands in the prompts of a step; the role stands over every chat."""
        words = set(re.findall(r"\w+", step.template)) | ({"role"} if step.prompt is not None else set())
        return {name: value for name, value in self.fields().items() if name in words}

    def verbalizers(self) -> dict[str, str]:
        return {name: label.verbalizer or name for name, label in self.classify.items()}


class Seeds(Section):
    """The user's own rows, and how many of them go to which split (the rest is `unlabeled`)."""

    file: str  # .csv, .tsv, .jsonl or .parquet; package://NAME/path reads from an installed package
    text: str = "text"
    label: str = "label"
    label_values: dict[str, str] = {}  # value in the file -> label of the task
    where: dict[str, str | int | float | bool] = {}
    license: str | None = Field(default=None, exclude=True)  # said in the dataset card; makes no row stale
    source: str | None = Field(default=None, exclude=True)  # where the rows come from, likewise
    splits: dict[Split, Annotated[int, Field(ge=0)]]

    @field_validator("label_values", mode="before")
    @classmethod
    def _text_keys(cls, value: Any) -> Any:
        return {str(k): v for k, v in value.items()} if isinstance(value, Mapping) else value


class Demonstrations(Section):
    """Rows shown in the prompt: `sets` fixed sets a round and cell, of `k` rows of the same label."""

    k: int = Field(default=4, ge=0)
    sets: int = Field(default=10, ge=1)


class Step(Section):
    """One prompted sub-task: a row's only one, or one of a chain (sample-wise decomposition, Long et al.
    2024, section 3.1.2). `complete` is text that the model goes on with, `prompt` a chat message.

    Sampling that is not said here is as the model's entry in models.yaml says, or 1, 1 and 256.
    """

    prompt: str | None = None
    complete: str | None = None
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    stop: list[str] = []
    samples: int = Field(default=1, ge=1)  # answers to each question: rows with the same condition values
    output: dict[str, Annotated[Kind, BeforeValidator(kind_of)]] | None = None  # fields of a JSON answer
    model: ModelSpec | None = None  # default: the recipe's model

    @field_validator("output", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or not value:
            raise ValueError(OUTPUT)
        for name in value:
            if not isinstance(name, str) or not NAME.fullmatch(name):
                why = "use lower-case letters, digits and _, and quotes around yes, no, on and off"
                raise _wrong(f"{name!r} is no name of a column: {why}", str(name))
        return value

    @field_serializer("output")
    def _in_order(self, output: dict[str, Kind] | None) -> Any:
        """The order of the fields is part of what is asked, and a hash sorts the keys of a mapping."""
        return list(output.items()) if output is not None else None

    @model_validator(mode="after")
    def _one_prompt(self) -> Step:
        if (self.prompt is None) == (self.complete is None):
            raise ValueError(
                "give exactly one of `prompt` (a chat message) and `complete` (text to go on with)"
            )
        return self

    @model_validator(mode="after")
    def _output(self) -> Step:
        if self.output is None:
            return self
        if self.output.get("text", "text") != "text":
            raise _wrong("the text of a row has the type text", "output", "text")
        if self.complete is not None:
            raise _wrong("a text that goes on is no JSON: ask with `prompt`, not with `complete`", "output")
        if self.stop:
            raise _wrong("an answer with `output` ends where its JSON ends: leave out `stop`", "stop")
        return self

    @property
    def answer_schema(self) -> Schema | None:
        """What the answer has to be; None for any text."""
        return Schema.of(self.output) if self.output else None

    @property
    def template(self) -> str:
        return self.prompt if self.prompt is not None else str(self.complete)

    def sampling(self) -> dict[str, Any]:
        """What is said here; the rest is the model's."""
        said = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_tokens}
        stop = {"stop": list(self.stop)} if self.stop else {}
        return {name: value for name, value in said.items() if value is not None} | stop


class Annotator(Section):
    """The model as a few-shot classifier: it scores label agreement, and is a baseline by itself."""

    k: int = Field(default=16, ge=0)  # demonstrations, the same number of each label
    model: ModelSpec | None = None  # a cheap judge beside a strong generator; default: the recipe's model


class Labelled(Section):
    """Label enhancement: whose label a row carries on."""

    by: Literal["condition", "label_agreement"] = "condition"


class Weights(Section):
    """weight = confidence ** power; the seeds together weigh `seeds` times the synthetic rows."""

    by: Literal["label_agreement", "none"] = "none"
    power: float = Field(default=1.0, ge=0)
    seeds: float = Field(default=0.0, ge=0)


class Metrics(Section):
    """What the set is measured by."""

    diversity: bool = True
    student: bool = True
    model_alone: int = Field(default=0, ge=0)  # test rows that the annotator labels by itself; 0: none
    word_list: dict[str, list[str]] = {}  # label -> words: the baseline that a person writes by hand


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


class Recipe(Section):
    name: str
    task: Task
    seeds: Seeds
    conditions: dict[str, Literal["labels"] | dict[str, Annotated[float, Field(gt=0)]]]  # value: weight
    demonstrations: Demonstrations | None = None
    steps: dict[str, Step] = Field(min_length=1)
    rows: int = Field(ge=1)  # a cell and round
    model: ModelSpec = "embedded"
    mode: Literal["online", "batch"] = "online"  # batch: rows by way of the provider's Batch API
    annotator: Annotator = Annotator()
    filters: dict[str, SerializeAsAny[Filter]] = {}
    minimum_yield: float = Field(default=0.1, ge=0, le=1)  # kept share of what was asked for
    labelled: Labelled = Labelled()
    weights: Weights = Weights()
    metrics: Metrics = Metrics()
    feedback: Feedback = Feedback()
    budget: BudgetCaps = BudgetCaps()
    schedule: str | None = None
    missed_nights: Literal["skip", "catch_up"] = "skip"  # rounds that no daemon was there to make
    refresh: Literal["latest", "all", "none"] = "latest"  # rounds that are made again after an edit
    timezone: str = "UTC"
    start: date = date(2026, 1, 1)
    seed: int = 0

    @field_validator("steps", mode="before")
    @classmethod
    def _short_steps(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError("steps are written as `column: prompt`")
        if list(value)[-1:] != ["text"]:
            names = ", ".join(map(str, value)) or "none"
            raise ValueError(f"the last step makes the row and must be called text; the steps are {names}")
        for name in list(value)[:-1]:
            if not NAME.fullmatch(str(name)):
                raise _wrong(f"step {str(name)!r}: use lower-case letters, digits and _", str(name))
            if name in RESERVED | {"label"}:
                raise _wrong(f"{name} means something else in prompts: choose another name", name)
        return {n: {"prompt": v} if isinstance(v, str) else v for n, v in value.items()}

    @field_validator("conditions", mode="before")
    @classmethod
    def _conditions(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or value.get("label") != "labels":
            raise ValueError("conditions need the line `label: labels`: the label is the cell of a round")
        if reserved := RESERVED & set(value):
            raise ValueError(
                f"{', '.join(sorted(reserved))} is a column of the platform: choose another name"
            )
        for name, values in value.items():
            if not NAME.fullmatch(str(name)):
                raise ValueError(f"condition {str(name)!r}: use lower-case letters, digits and _")
            if isinstance(values, list) and len(set(map(str, values))) != len(values):
                raise ValueError(f"condition {name!r} lists a value twice")
            if isinstance(values, list | Mapping) and not values:
                raise ValueError(f"condition {name!r} has no values")
        return {
            n: {str(v): w for v, w in (vs.items() if isinstance(vs, Mapping) else ((v, 1.0) for v in vs))}
            if isinstance(vs, list | Mapping)
            else vs
            for n, vs in value.items()
        }

    @field_validator("filters", mode="before")
    @classmethod
    def _filters(cls, value: Any) -> Any:
        """The filter's class is found by its name; an empty value means its defaults."""
        if not isinstance(value, Mapping):
            raise ValueError("filters are written as `name: {rule}`")
        for name in value:
            if name not in FILTERS:
                raise ValueError(str(unknown("filter", name, FILTERS)))
        return {
            n: v if isinstance(v, Filter) else FILTERS[n].model_validate(v or {}) for n, v in value.items()
        }

    @field_validator("schedule")
    @classmethod
    def _cron(cls, value: str | None) -> str | None:
        if value is not None and len(value.split()) != 5:
            raise ValueError('a schedule is a cron line of five fields, for example "0 2 * * *"')
        return value

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"unknown time zone {value!r}: write it as in Europe/Berlin or UTC") from error
        return value

    @model_validator(mode="after")
    def _together(self) -> Recipe:
        labels = set(self.task.classify)
        for value, label in self.seeds.label_values.items():
            if label not in labels:
                raise ValueError(str(unknown("label", label, labels, f"seeds.label_values.{value}")))
        for label in self.metrics.word_list:
            if label not in labels:
                raise ValueError(str(unknown("label", label, labels, "metrics.word_list")))
        for label in labels:
            if re.search(r"[|,\[\]\"'\n]|\.\.\.", label):
                raise ValueError(f"label {label!r} names a partition: leave out | , [ ] quotes and ...")
        needs = [
            w
            for w, s in (("weights", self.weights), ("labelled", self.labelled))
            if s.by == "label_agreement"
        ]
        if needs and "label_agreement" not in self.filters:
            raise ValueError(
                f"{needs[0]}.by: label_agreement needs that filter: add `label_agreement: {{}}` to filters"
            )
        return self

    @model_validator(mode="after")
    def _chain(self) -> Recipe:
        """What a step may say depends on where it stands."""
        if self.step.output and "text" not in self.step.output:
            raise _wrong(OUTPUT, "steps", "text", "output")
        for name in set(self.steps) & set(self.attributes):
            raise _wrong("a condition has the same name: choose another one", "steps", name)
        first, *later = self.steps
        for name in later:
            if self.steps[name].samples > 1:
                why = f"rows that answer the same question share that of the first step: write it at {first}"
                raise _wrong(why, "steps", name, "samples")
        return self

    @model_validator(mode="after")
    def _output_names(self) -> Recipe:
        """Fields of an answer become columns of its row, beside those that are there."""
        taken = {c: "the platform" for stage in tables.COLUMNS.values() if "row_id" in stage for c in stage}
        for name, rule in self.filters.items():
            taken |= dict.fromkeys([*rule.raw, *rule.columns], f"the filter {name}")
        taken |= dict.fromkeys(self.attributes, "the conditions")
        for step, spec in self.steps.items():
            for name in spec.output or ():
                if name != "text" and name in taken:
                    why = f"{name} is a column of {taken[name]}: choose another name"
                    raise _wrong(why, "steps", step, "output", name)
        return self

    @property
    def cells(self) -> list[str]:
        return list(self.task.classify)

    @property
    def attributes(self) -> dict[str, dict[str, float]]:
        """Condition attributes other than the cell, with their values and the weights of those."""
        return {n: v for n, v in self.conditions.items() if isinstance(v, dict)}

    @property
    def annotator_model(self) -> str | NamedModel:
        return self.annotator.model or self.model

    @property
    def step(self) -> Step:
        """The step that makes the row's text."""
        return self.steps["text"]

    @property
    def step_stages(self) -> dict[str, str]:
        """Stage -> the step that makes it, in the order in which they run."""
        return {"generations" if name == "text" else f"generations_{name}": name for name in self.steps}

    @property
    def samples(self) -> int:
        """Rows that answer the same question."""
        return next(iter(self.steps.values())).samples

    def model_of(self, step: str) -> str | NamedModel:
        return self.steps[step].model or self.model

    def version(self, *sections: str) -> str:
        """Hash of these sections: a change of it concerns every partition of the stage.

        Some names stand for a part of a section, so that a stage turns stale only by what it uses. `labels`
        are the labels' names, `codebook` has their definitions too. `seeds` includes what stands in their
        file. `annotator` is what the annotator is told and who that is. `scorers` are the filters without
        their thresholds: moving one changes no score. `steps.NAME` is one step of the chain, with the model
        that it asks and what its prompt says of the task. (What a prompt says of its own label is in the
        conditions.)
        """
        parts, task = self.model_dump(mode="json"), self.task
        parts["model"] = what_answers(self.model)
        parts["samples"] = self.samples
        if "seeds" in sections:
            parts["seeds"] = [parts["seeds"], fingerprint(self.seeds.file)]
        for name in {section.removeprefix("steps.") for section in sections} & set(self.steps):
            step = self.steps[name]
            said = step.model_dump(mode="json", exclude={"samples", "model"})
            parts[f"steps.{name}"] = [said, what_answers(self.model_of(name)), task.told_by(step)]
        parts["labels"], parts["codebook"] = self.cells, parts["task"]["classify"]
        told = [task.text, task.label, task.verbalizers()]
        parts["annotator"] = [told, self.annotator.k, what_answers(self.annotator_model)]
        bounds = {"at_least", "at_most"}
        parts["scorers"] = {n: f.model_dump(exclude=bounds) for n, f in self.filters.items() if f.raw}
        return tagged_hash("recipe/1", {s: parts[s] for s in sections})[:12]


def load(path: Path) -> Recipe:
    """Read and check one recipe; every error names the file and, where there is one, the line."""
    if not path.exists():
        raise unknown("recipe", path.stem, [p.stem for p in path.parent.glob("*.yaml")], str(path.parent))
    if not NAME.fullmatch(path.stem):
        raise UserError(f"{path}: a recipe's name has lower-case letters, digits and _, not {path.stem!r}.")
    if path.stem in TAKEN:
        raise UserError(f"{path}: in SQL, {path.stem} is the name of something else: rename the file.")
    document = strict_yaml.read(path)
    if "name" in document.content:
        line = document.lines[("name",)]
        raise UserError(f"{path}:{line}: the recipe's name is its file's name: remove `name`.")
    try:
        errors = list(_filter_errors(document.content.get("filters")))
        if not errors:
            return Recipe(name=path.stem, **document.content)
    except ValidationError as error:
        errors = error.errors()
    raise strict_yaml.refusal(document, errors, _fields, tags=("endpoint",))


def _wrong(why: str, *where: str) -> ValidationError:
    """What a validator raises about a field further down: pydantic puts its own place in front."""
    error = PydanticCustomError("recipe", "{why}", {"why": why})
    return ValidationError.from_exception_data("recipe", [{"type": error, "loc": where, "input": None}])


def _filter_errors(filters: Any) -> Iterator[Any]:
    """What is wrong inside single filters, with the place: pydantic would only name `filters`."""
    for name, rule in filters.items() if isinstance(filters, Mapping) else ():
        try:
            FILTERS.get(name, Filter).model_validate(rule or {})
        except ValidationError as error:
            if name in FILTERS:
                yield from ({**e, "loc": ("filters", name, *e["loc"])} for e in error.errors())


def _fields(where: tuple[str, ...]) -> list[str]:
    """The fields that a section may have, following model fields (and filters by name) down from Recipe."""
    model: Any = Recipe
    for part in where:
        if part in FILTERS:
            model = FILTERS[part]
            continue
        field = getattr(model, "model_fields", {}).get(part)
        types = [a for a in _flat(field.annotation) if isinstance(a, type)] if field else []
        inner = [a for a in types if issubclass(a, Section | NamedModel)]
        model = inner[0] if inner else model
    return [f for f in model.model_fields if model is not Recipe or f != "name"]


def _flat(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _flat(inner)
