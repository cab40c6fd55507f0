"""The recipe: one YAML file that describes one data set.

What is not said has a default; what is said wrongly is refused with file, line, field and alternatives.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from synth_assets.contracts.filter import Filter
from synth_assets.contracts.model_spec import ModelSpec, NamedModel
from synth_assets.contracts.provider import Listed, Provider
from synth_assets.contracts.section import NAME, Strict, all_wrong, wrong
from synth_assets.recipe import sections
from synth_assets.recipe.accepted import Rows
from synth_assets.recipe.annotate import filled
from synth_assets.recipe.checks import all_checked
from synth_assets.recipe.columns import RESERVED
from synth_assets.recipe.measuring import Metrics, Student
from synth_assets.recipe.review import Review
from synth_assets.recipe.review_files import is_edited
from synth_assets.recipe.rounds import RoundsOf
from synth_assets.recipe.seeds import Seeds
from synth_assets.recipe.short_forms import AnyFilter, AnyStep, AnyValues
from synth_assets.recipe.steering import signals_of
from synth_assets.resources.home import recipes, shared


def usual_prefix() -> tuple[str, ...]:
    """What assets' keys begin with where nobody says it: `$SYNTH_KEY_PREFIX` (`ml`, or `team/ml`), so that
    the commands see the runs of a project that has such keys."""
    return tuple(filter(None, os.environ.get("SYNTH_KEY_PREFIX", "").split("/")))


class Recipe(Strict):
    """A whole recipe, read and checked."""

    name: str
    """The name of its file."""
    task: sections.Task
    """What a row is, its labels, and who writes it."""
    seeds: Seeds = Seeds()
    """Your own rows: the file, its columns, and how many of them go to which split."""
    conditions: dict[str, AnyValues] = {}
    """Attributes of a row: a list of values, values with weights, or where they come from."""
    constraints: list[str] = []
    """Expressions that the values of a row make true."""
    design: Literal["product", "balanced", "coverage", "latin"] = "product"
    """How values are spread over the rows: each by itself, as often, pairs seen least first, or latin."""
    remember: bool = Field(default=False, exclude=True)
    """Over all rounds of a cell, each value, line, piece, leaf, row and triple is taken before any is taken
    twice: under balanced and coverage, and of sources under product."""
    cell: str | None = None
    """Attribute whose values cut a round, where there are no labels."""
    shards: int = Field(default=1, ge=1, le=1000)
    """Parts of a round, where nothing else cuts it."""
    demonstrations: sections.Demonstrations | None = None
    """Rows that the prompt shows; none where it is left out."""
    steps: dict[str, AnyStep] = Field(min_length=1)
    """What makes a row, in order: a prompt, a tool, a vote or a dialogue. The last one is called text. Of
    texts that are annotated, it may be left out."""
    rows: Rows
    """Rows a label (or cell) and round, or how many of them are to pass; of texts that are annotated, all
    where it is left out."""
    model: ModelSpec = "embedded"
    """embedded, an alias of models.yaml, a model's name, or an entry as in models.yaml."""
    mode: Literal["online", "batch"] = "online"
    """batch: rows go through the provider's Batch API, at a lower price and within a day."""
    annotator: sections.Annotator = sections.Annotator()
    """The model as a few-shot classifier of rows."""
    filters: dict[str, AnyFilter] = {}
    """Rules that rows are kept or dropped by, in their order."""
    minimum_yield: float = Field(default=0.1, ge=0, le=1)
    """Kept share of the rows asked for, under which a check blocks."""
    labelled: sections.Labelled = Field(default={}, validate_default=True)
    """Whose label a row carries on."""
    weights: sections.Weights = Field(default={}, validate_default=True)
    """What a row weighs in the training set."""
    review: Review | None = None
    """What people are asked about the rows, and what their answers decide; none where it is left out."""
    encoder: str | None = Field(default=None, exclude=True)
    """Texts to vectors: a folder of sentence-transformers or of ONNX, or a name on the hub; default:
    all-MiniLM-L6-v2, which reads English."""
    vectors: bool = Field(default=False, exclude=True)
    """Whether the vectors of the rows that are kept are an asset, for SQL and for other machines."""
    student: Student = Student()
    """The small model that is trained on the sets, to measure them."""
    metrics: Metrics = Metrics()
    """What is measured, and the limits of its checks."""
    feedback: sections.Feedback = sections.Feedback()
    """What the last round's metrics change in the next round."""
    rounds: RoundsOf = Field(default=None, exclude=True)
    """How many rounds there are in all, and what ends them before: `5`, or a mapping; default: no end."""
    budget: sections.BudgetCaps = sections.BudgetCaps()
    """The most that calls may cost."""
    schedule: sections.Scheduled = None
    """When rounds are made by themselves: a cron line of five fields, or a mapping; switched on in the UI."""
    missed_nights: Literal["skip", "catch_up"] = "skip"
    """Rounds that no daemon was there to make: left out, or made later."""
    refresh: Literal["latest", "all", "none"] = "latest"
    """Rounds that are made again after an edit."""
    timezone: str = "UTC"
    """Of the schedule and of the days of rounds, as in Europe/Berlin."""
    start: date = date(2026, 1, 1)
    """The first round."""
    seed: int = 0
    """Another number changes every draw."""
    _key_prefix: tuple[str, ...] = PrivateAttr(default_factory=lambda: usual_prefix())

    @model_validator(mode="before")
    @classmethod
    def _annotates(cls, value: Any) -> Any:
        task = value.get("task") if isinstance(value, Mapping) else None
        return filled(value) if isinstance(task, Mapping) and task.get("annotate") else value

    @field_validator("steps", mode="before")
    @classmethod
    def _names_of_steps(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError("steps are written as `column: prompt`")
        if list(value)[-1:] != ["text"]:
            names = ", ".join(map(str, value)) or "none"
            raise ValueError(f"the last step makes the row and must be called text; the steps are {names}")
        for name in list(value)[:-1]:
            if not NAME.fullmatch(str(name)):
                raise wrong(f"step {str(name)!r}: use lower-case letters, digits and _", str(name))
            if name in RESERVED | {"label"}:
                raise wrong(f"{name} means something else in prompts: choose another name", name)
        return value

    @field_validator("conditions", mode="before")
    @classmethod
    def _conditions(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError("conditions are written as `name: values`")
        if value.get("label", "labels") != "labels":
            raise ValueError("the values of `label` are the task's: write `label: labels`, or leave it out")
        if reserved := RESERVED & set(value):
            names = ", ".join(sorted(reserved))
            raise ValueError(f"{names} is a column of the platform: choose another name")
        for name, values in value.items():
            if not NAME.fullmatch(str(name)):
                raise ValueError(f"condition {str(name)!r}: use lower-case letters, digits and _")
            if isinstance(values, list) and len(set(map(str, values))) != len(values):
                raise ValueError(f"condition {name!r} lists a value twice")
            if isinstance(values, list | Mapping) and not values:
                raise ValueError(f"condition {name!r} has no values")
        return value

    @field_validator("filters", mode="before")
    @classmethod
    def _filters(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError("filters are written as `name: {rule}`")
        return {str(n): v if isinstance(v, Filter) else (str(n), v) for n, v in value.items()}

    @field_validator("filters")
    @classmethod
    def _by_name(cls, value: dict[str, Filter]) -> dict[str, Filter]:
        """A filter that a recipe names by its place (`module:Class`) goes by its own name."""
        for key, rule in value.items():
            if key != rule.name and (rule.name in value or not NAME.fullmatch(rule.name)):
                raise wrong(f"its `name` is {rule.name!r}, which is taken or no name: choose another", key)
        return {rule.name: rule for rule in value.values()}

    @property
    def nightly(self) -> sections.Schedule | None:
        """The schedule with all that it may say."""
        return sections.Schedule(cron=self.schedule) if isinstance(self.schedule, str) else self.schedule

    @field_validator("seed", mode="before")
    @classmethod
    def _one_number(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            raise ValueError("write a whole number; rows of your own are `seeds`")
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

    @field_validator("*")
    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> Any:
        """Who reads a file is told which sections are right by themselves: see `part`."""
        if info.context is not None and info.field_name:
            info.context[info.field_name] = value
        return value

    @model_validator(mode="after")
    def _together(self) -> Recipe:
        self.check()
        return self

    def check(self) -> None:
        """ValidationError with all that is wrong between the sections."""
        if found := all_checked(self):
            raise all_wrong(found)

    @classmethod
    def part(cls, read: Mapping[str, Any], broken: Iterable[str]) -> Recipe:
        """A recipe without its broken sections, whose `check` says what is wrong between the others."""
        part = cls.model_construct(**read)
        for section in broken:
            vars(part).pop(section, None)
        return part

    @cached_property
    def as_written(self) -> str:
        """The YAML that it was read from (see load.py), which is no part of what it says."""
        return ""

    @property
    def labels(self) -> list[str]:
        return list(self.task.classify)

    @property
    def of_labels(self) -> bool:
        """Whether rows are asked for by their label, which then cuts rounds: not where labels are answers."""
        return bool(self.labels) and not self.task.annotate

    @property
    def row_columns(self) -> dict[str, str]:
        """What a row has besides its place: column -> type."""
        texts = ["text", *(["label"] if self.labels else [])]
        texts_too = {**self.condition_columns, **dict.fromkeys(texts, "string")}
        return {**texts_too, **self.steps["text"].columns_of(self)}

    @property
    def condition_columns(self) -> dict[str, str]:
        """The conditions' columns -> type: text, but for what keeps the type of a field of the seeds."""
        fields = self.seeds.columns
        found: dict[str, str] = {}
        for name, values in self.attributes.items():
            provider = values if isinstance(values, Provider) else Provider()
            found[name] = provider.column_type(fields)
            found |= {f"{name}_{part}": kind for part, kind in provider.beside.items()}
        return found

    @property
    def shown_fields(self) -> list[str]:
        """Columns that the seeds and the rows have, by the same name."""
        return [name for name in ("text", "label", *self.seeds.fields) if name in self.row_columns]

    @property
    def cells(self) -> list[str]:
        """What cuts a round: the labels, the values of an attribute, or numbers."""
        cut = self.attributes.get(self.cell) if self.cell else None
        by_number = [str(n) for n in range(1, self.shards + 1)]
        return self.labels if self.of_labels else list(cut) if isinstance(cut, dict) else by_number

    @property
    def attributes(self) -> dict[str, dict[str, float] | Provider]:
        """Condition attributes other than the label: values with their weights, or where they come from. Of
        rows that are annotated: their text and its fields."""
        if self.task.annotate:
            return dict(self.task.annotate.columns)
        return {n: v for n, v in self.conditions.items() if v != "labels"}

    @property
    def condition_files(self) -> list[Path]:
        """The files in which values of conditions stand."""
        return [path for v in self.attributes.values() if isinstance(v, Provider) for path in v.files()]

    @property
    def listed(self) -> dict[str, Listed]:
        """Attributes whose values a model lists."""
        return {n: v for n, v in self.attributes.items() if isinstance(v, Listed)}

    @property
    def signals(self) -> list[str]:
        """What a round tells the next one besides its rows: signals that the recipe names."""
        return signals_of(self)

    @property
    def growing(self) -> dict[str, Listed]:
        """Those that have more values from round to round."""
        return {n: v for n, v in self.listed.items() if v.grows}

    @property
    def most_rows(self) -> int:
        """Rows a cell and round that are asked for, at the most."""
        return self.rows if isinstance(self.rows, int) else self.rows.at_most

    @property
    def asks_for(self) -> str:
        """That in words."""
        if isinstance(self.rows, int):
            return f"{self.rows:,} rows a round"
        return f"rows until {self.rows.accepted:,} a round pass, at most {self.rows.at_most:,}"

    @property
    def shows_kept(self) -> bool:
        """Whether the rows that earlier rounds kept are conditions or demonstrations."""
        return bool(self._of_kept)

    @property
    def last_kept(self) -> int | None:
        """Of how many of the last rounds these rows are; None: of all."""
        numbers = [number for number in self._of_kept if number is not None]
        return max(numbers, default=None) if len(numbers) == len(self._of_kept) else None

    @property
    def _of_kept(self) -> list[int | None]:
        """For each place where kept rows are taken, of how many rounds."""
        found = [v.last for v in self.attributes.values() if isinstance(v, Provider) and v.takes_kept]
        shown = self.demonstrations
        return [*found, shown.last] if shown and shown.of_kept else found

    @property
    def shows_decided(self) -> bool:
        """Whether the rows of earlier rounds that people labelled are demonstrations."""
        return self.by_people and self.review is not None and self.review.demonstrations

    @property
    def annotator_model(self) -> str | NamedModel:
        return self.annotator.model or self.model

    @property
    def step_stages(self) -> dict[str, str]:
        """Stage -> the step that makes it, in the order in which they run."""
        return {"generations" if name == "text" else f"generations_{name}": name for name in self.steps}

    @property
    def samples(self) -> int:
        """Rows that answer the same question."""
        return max(step.per_question for step in self.steps.values())

    @property
    def by_people(self) -> bool:
        """Whether what people decide is whose label a row carries on."""
        return self.review is not None and self.review.ask == "label"

    @property
    def released_at(self) -> float | None:
        """How far people have to agree with the labels before the set is released; None: without this."""
        if self.review is None or not self.by_people or self.review.agreement is None:
            return None
        return self.review.agreement.at_least

    @property
    def reviews(self) -> Path:
        """The folder of the files in which a person may edit the values that a model listed."""
        return shared(recipes() / f"{self.name}.values", is_edited=is_edited)

    def feedback_file(self, round_: str) -> Path:
        """The file in which a person may edit what a round tells the next one."""
        name = f"{round_}.yaml"
        return shared(recipes() / f"{self.name}.feedback", name if round_ else None, is_edited) / name

    def shared(self, step: str) -> bool:
        """Whether the rows of a question share the step's answer: it stands before the one that samples."""
        names = list(self.steps)
        return any(self.steps[name].per_question > 1 for name in names[names.index(step) + 1 :])

    def models_of(self, step: str) -> list[str | NamedModel]:
        """Whom a step asks: nobody, a model, or in a dialogue the assistant's and then the user's."""
        return self.steps[step].models(self.model)

    @property
    def key_prefix(self) -> tuple[str, ...]:
        """What the keys of its assets begin with, in a project where that is wanted (see `usual_prefix`)."""
        return self._key_prefix

    def under(self, key_prefix: Sequence[str]) -> Recipe:
        """The same recipe, whose assets' keys begin so."""
        placed = self.model_copy()
        placed._key_prefix = tuple(key_prefix)
        return placed

    @classmethod
    def fields_of(cls) -> list[str]:
        return [name for name in super().fields_of() if name != "name"]  # which is its file's

    def version(self, *sections: str) -> str:
        """Hash of these sections (see versions.py): a change of it concerns every partition of the stage."""
        from synth_assets.recipe.versions import version

        return version(self, *sections)
