"""The recipe: one YAML file that describes one data set.

What is not said has a default; what is said wrongly is refused with file, line, field and alternatives.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, SerializeAsAny, field_validator, model_validator

from synth_assets.contracts.filter import Filter
from synth_assets.contracts.model_spec import NamedModel
from synth_assets.contracts.provider import Listed, Provider
from synth_assets.contracts.section import NAME, ModelSpec, Section, wrong
from synth_assets.core import templates
from synth_assets.core.errors import UserError, unknown
from synth_assets.curation.filters.label_agreement import LabelAgreement
from synth_assets.curation.filters.marks import Annotators
from synth_assets.curation.filters.rules import LeakedLabel
from synth_assets.curation.filters.students import OfStudents
from synth_assets.generation.conditions.listed import Asked
from synth_assets.generation.conditions.rows import Rows
from synth_assets.generation.steps.dialogue import IN_A_DIALOGUE
from synth_assets.generation.steps.kinds import AnyStep
from synth_assets.generation.steps.prompt import OUTPUT, Step
from synth_assets.recipe.measuring import InContext, Metrics, Student
from synth_assets.recipe.names import NO_CELL, OF_ROWS, RESERVED, check_cell
from synth_assets.recipe.sections import (
    GOLD,
    Annotator,
    BudgetCaps,
    Demonstrations,
    Feedback,
    Labelled,
    Seeds,
    Weights,
)
from synth_assets.recipe.short_forms import condition_values, filter_of
from synth_assets.recipe.task import Task
from synth_assets.resources.home import recipes

OF_LABELS = (Annotators, LabelAgreement, LeakedLabel, OfStudents)
ProviderSpec = SerializeAsAny[Provider]


class Recipe(BaseModel):
    model_config = Section.model_config

    name: str
    task: Task
    seeds: Seeds = Seeds()
    conditions: dict[str, Literal["labels"] | dict[str, Annotated[float, Field(gt=0)]] | ProviderSpec] = {}
    constraints: list[str] = []  # expressions that the values of a row make true
    design: Literal["product", "balanced", "coverage", "latin"] = "product"
    cell: str | None = None  # attribute whose values cut a round where there are no labels
    shards: int = Field(default=1, ge=1, le=1000)  # of a round, where nothing else cuts it
    demonstrations: Demonstrations | None = None
    steps: dict[str, AnyStep] = Field(min_length=1)
    rows: int = Field(ge=1)  # a cell and round
    model: ModelSpec = "embedded"
    mode: Literal["online", "batch"] = "online"  # batch: rows by way of the provider's Batch API
    annotator: Annotator = Annotator()
    filters: dict[str, SerializeAsAny[Filter]] = {}
    minimum_yield: float = Field(default=0.1, ge=0, le=1)  # kept share of what was asked for
    labelled: Labelled = Field(default={}, validate_default=True)
    weights: Weights = Field(default={}, validate_default=True)
    student: Student = Student()
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
                raise wrong(f"step {str(name)!r}: use lower-case letters, digits and _", str(name))
            if name in RESERVED | {"label"}:
                raise wrong(f"{name} means something else in prompts: choose another name", name)
        return {n: {"prompt": v} if isinstance(v, str) else v for n, v in value.items()}

    @field_validator("conditions", mode="before")
    @classmethod
    def _conditions(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError("conditions are written as `name: values`")
        if value.get("label", "labels") != "labels":
            raise ValueError("the values of `label` are the task's: write `label: labels`, or leave it out")
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
        return {name: condition_values(values) for name, values in value.items()}

    @field_validator("filters", mode="before")
    @classmethod
    def _filters(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError("filters are written as `name: {rule}`")
        return {n: v if isinstance(v, Filter) else filter_of(n, v) for n, v in value.items()}

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
            if NO_CELL.search(label):
                raise ValueError(f"label {label!r} names a partition: leave out | , [ ] quotes and ...")
        for way in (self.weights, self.labelled):
            for needed, written in way.needs.items():
                if needed not in self.filters:
                    add = f"add `{needed}: {written}` to filters"
                    raise ValueError(f"{way.place} needs that filter: {add}")
        if self.weights.labelled_by and self.labelled.by not in self.weights.labelled_by:
            why = f"{self.labelled.place} gives other confidences: weigh by `confidence` or `none`"
            raise wrong(why, "weights", "by")
        gold = any(self.seeds.splits.get(split) for split in GOLD)
        if self.weights.needs_gold and not gold:
            raise wrong(f"it needs seeds in the split {' or '.join(GOLD)}", "weights", "by")
        return self

    @model_validator(mode="after")
    def _without_labels(self) -> Recipe:
        """What rests on labels needs some; what cuts a round is one thing."""
        if self.labels:
            if self.cell or self.shards > 1:
                raise wrong("the labels cut a round: leave it out", "cell" if self.cell else "shards")
            return self
        resting = {
            "conditions": "label" in self.conditions,
            "filters": any(isinstance(rule, OF_LABELS) for rule in self.filters.values()),
            "labelled": self.labelled.by != "condition" or self.labelled.human is not None,
            "metrics": bool(self.metrics.model_alone or self.metrics.word_list),
            "weights": self.weights.needs_labels,
        }
        for section, rests in resting.items():
            if rests:
                raise wrong("this rests on labels: write them as `task.classify`", section)
        if self.cell:
            if not isinstance(self.attributes.get(self.cell), dict):
                listed = [name for name, values in self.attributes.items() if isinstance(values, dict)]
                raise wrong(str(unknown("attribute with listed values", self.cell, listed)), "cell")
            for name in self.cells:
                check_cell(name)
        return self

    @model_validator(mode="after")
    def _values(self) -> Recipe:
        """A condition may depend on those written above it, and on the label."""
        above = ["label", "definition", "verbalizer", *self.task.fields()]
        for name, values in self.attributes.items():
            if isinstance(values, Provider):
                self._check_provider(name, values, above)
            above.append(name)
        return self

    def _check_provider(self, name: str, values: Provider, above: list[str]) -> None:
        known = [*above, "n"] if isinstance(values, Asked) else above
        for template in values.templates():
            try:
                templates.check(template, dict.fromkeys(known), "its template")
            except UserError as error:
                raise wrong(str(error), "conditions", name) from error
        other = getattr(values, "by", None) or getattr(values, "of", None)
        if other is not None and other not in above:
            raise wrong(str(unknown("condition", other, above)), "conditions", name)
        listed = [a for a in above if isinstance(self.attributes.get(a), dict)]
        for other in (values.named if isinstance(values, Listed) else set()) - {"label", *listed}:
            raise wrong(str(unknown("condition with listed values", other, listed)), "conditions", name)

    @model_validator(mode="after")
    def _chain(self) -> Recipe:
        """What a step may say depends on where it stands."""
        if isinstance(self.step, Step) and self.step.output and "text" not in self.step.output:
            raise wrong(OUTPUT, "steps", "text", "output")
        for name in set(self.steps) & set(self.attributes):
            raise wrong("a condition has the same name: choose another one", "steps", name)
        sampled = [name for name, step in self.steps.items() if step.samples > 1]
        if len(sampled) > 1:
            why = f"one step is where rows part that share a question: write it here or at {sampled[0]}"
            raise wrong(why, "steps", sampled[1], "samples")
        return self

    @model_validator(mode="after")
    def _kinds(self) -> Recipe:
        """What a vote, a dialogue and the fields of a tool's step need around them."""
        names = list(self.steps)
        for place, (name, step) in enumerate(self.steps.items()):
            if step.kind == "vote" and all(self.steps[n].samples == 1 for n in names[:place]):
                raise wrong("a vote is of several rows: give a step before it `samples`", "steps", name)
            if step.kind == "turns":
                if self.mode == "batch":
                    why = "a round takes a batch of its own, up to a day: a dialogue needs `mode: online`"
                    raise wrong(why, "steps", name)
                for taken in set(IN_A_DIALOGUE) & {*names, *self.attributes}:
                    why = f"in a dialogue, {taken} means something else: rename the condition or step"
                    raise wrong(why, "steps", name)
            if step.kind == "tool":
                fields = {f"{n}.{f}" for n in names[:place] for f in self.columns_of(n)}
                for column, field in step.fields.items():
                    if field not in fields:
                        why = str(unknown("field of an earlier step", field, fields))
                        raise wrong(why, "steps", name, "fields", column)
        return self

    @model_validator(mode="after")
    def _filter_names(self) -> Recipe:
        """Scores become columns of their row, beside those that are there."""
        columns = {name: [*rule.raw, *rule.columns] for name, rule in self.filters.items()}
        for name, rule in self.filters.items():
            taken = {c: f"the filter {n}" for n, others in columns.items() if n != name for c in others}
            taken |= dict.fromkeys(self.attributes, "the conditions")
            if rule.renamed:
                taken |= dict.fromkeys([*OF_ROWS, *self.row_columns], "the row")
                taken |= dict.fromkeys(rule.renamed, "this kind of filter")
            for column in columns[name]:
                if column in taken:
                    why = f"{column} is a column of {taken[column]}: choose another name"
                    raise wrong(why, "filters", name)
        return self

    @model_validator(mode="after")
    def _output_names(self) -> Recipe:
        """Fields of an answer become columns of its row, beside those that are there."""
        taken = dict.fromkeys(OF_ROWS, "the platform")
        for name, rule in self.filters.items():
            taken |= dict.fromkeys([*rule.raw, *rule.columns], f"the filter {name}")
        taken |= dict.fromkeys(self.attributes, "the conditions")
        for step, spec in self.steps.items():
            for name in self.columns_of(step):
                if name in taken:
                    why = f"{name} is a column of {taken[name]}: choose another name"
                    raise wrong(why, "steps", step, "fields" if spec.kind == "tool" else "output", name)
        return self

    @model_validator(mode="after")
    def _filter_columns(self) -> Recipe:
        """Columns that a filter reads are conditions or fields of the last step, of a type that it reads."""
        columns = self.row_columns
        told = {*self.task.fields(), *columns, *(("definition", "verbalizer") if self.labels else ())}
        known = [name for name, kind in columns.items() if kind == "string"]
        if self.metrics.evidence not in (None, *known):
            raise wrong(str(unknown("column", str(self.metrics.evidence), known)), "metrics", "evidence")
        if self.metrics.judge:
            try:
                templates.check(self.metrics.judge.question, dict.fromkeys(sorted(told)), "its template")
            except UserError as error:
                raise wrong(str(error), "metrics", "judge", "question") from error
        for name, rule in self.filters.items():
            for template, more in rule.templates().items():
                try:
                    templates.check(template, dict.fromkeys([*sorted(told), *more]), "its template")
                except UserError as error:
                    raise wrong(str(error), "filters", name) from error
            for column, types in rule.columns_needed().items():
                if columns.get(column) not in types:
                    known = [c for c, kind in columns.items() if kind in types]
                    what = f"column ({' or '.join(sorted(types))})"
                    raise wrong(str(unknown(what, column, known)), "filters", name)
        return self

    @model_validator(mode="after")
    def _answers(self) -> Recipe:
        """What is held against the truth, and what a model answers that is shown rows."""
        for column, truth in self.metrics.truth.items():
            for name in (column, truth.column):
                if name not in self.row_columns:
                    why = str(unknown("column", name, self.row_columns))
                    raise wrong(why, "metrics", "truth", column)
        if self.metrics.in_context:
            self._check_in_context(self.metrics.in_context)
        return self

    def _check_in_context(self, wanted: InContext) -> None:
        place, shown = ("metrics", "in_context"), self.shown_fields
        if wanted.answer not in shown:
            raise wrong(str(unknown("field of seeds and rows", wanted.answer, shown)), *place, "answer")
        if not self.seeds.splits.get("test"):
            raise wrong("it needs seeds in the split test", *place)
        blank = dict.fromkeys(shown, "")
        told = {**self.task.fields(), **blank, "demonstrations": [blank]}
        told.pop(wanted.answer)
        try:
            templates.check(wanted.template, dict.fromkeys(told), "its template")
            templates.render(wanted.template, told)
        except UserError as error:
            raise wrong(str(error), *place, "complete" if wanted.prompt is None else "prompt") from error

    @property
    def labels(self) -> list[str]:
        return list(self.task.classify)

    @property
    def row_columns(self) -> dict[str, str]:
        """What a row has besides its place: column -> type."""
        texts = [*self.attributes, "text", *(["label"] if self.labels else [])]
        return {**dict.fromkeys(texts, "string"), **self.columns_of("text")}

    @property
    def shown_fields(self) -> list[str]:
        """Columns that the seeds and the rows have, by the same name."""
        return [name for name in ("text", "label", *self.seeds.fields) if name in self.row_columns]

    @property
    def cells(self) -> list[str]:
        """What cuts a round: the labels, the values of an attribute, or numbers."""
        cut = self.attributes.get(self.cell) if self.cell else None
        by_number = [str(n) for n in range(1, self.shards + 1)]
        return self.labels or (list(cut) if isinstance(cut, dict) else by_number)

    @property
    def attributes(self) -> dict[str, dict[str, float] | Provider]:
        """Condition attributes other than the label: values with their weights, or where they come from."""
        return {n: v for n, v in self.conditions.items() if v != "labels"}

    @property
    def listed(self) -> dict[str, Listed]:
        """Attributes whose values a model lists."""
        return {n: v for n, v in self.attributes.items() if isinstance(v, Listed)}

    @property
    def shows_kept(self) -> bool:
        """Whether the rows that earlier rounds kept are conditions or demonstrations."""
        shown = self.demonstrations
        rows = any(isinstance(v, Rows) and v.rows == "kept" for v in self.attributes.values())
        return rows or bool(shown and (shown.pool == "kept" or "kept" in shown.mix))

    @property
    def annotator_model(self) -> str | NamedModel:
        return self.annotator.model or self.model

    @property
    def step(self) -> AnyStep:
        """The step that makes the row's text."""
        return self.steps["text"]

    @property
    def step_stages(self) -> dict[str, str]:
        """Stage -> the step that makes it, in the order in which they run."""
        return {"generations" if name == "text" else f"generations_{name}": name for name in self.steps}

    @property
    def samples(self) -> int:
        """Rows that answer the same question."""
        return max(step.samples for step in self.steps.values())

    @property
    def reviews(self) -> Path:
        """The folder of the files in which a person may edit the values that a model listed."""
        return recipes() / f"{self.name}.values"

    def shared(self, step: str) -> bool:
        """Whether the rows of a question share the step's answer: it stands before the one that samples."""
        names = list(self.steps)
        return any(self.steps[name].samples > 1 for name in names[names.index(step) + 1 :])

    def columns_of(self, step: str) -> dict[str, str]:
        """What the table of a step has besides the text: column -> type."""
        spec = self.steps[step]
        if spec.kind != "tool":
            return dict(spec.columns)
        parts = {column: field.partition(".") for column, field in spec.fields.items()}
        return {column: self.columns_of(name)[field] for column, (name, _, field) in parts.items()}

    def model_of(self, step: str) -> str | NamedModel:
        return self.steps[step].model or self.model

    def models_of(self, step: str) -> list[str | NamedModel]:
        """Whom a step asks: nobody, a model, or in a dialogue the assistant's and, if it is another, the
        user's."""
        spec = self.steps[step]
        user = [spec.user_model] if spec.kind == "turns" and spec.user_model else []
        return [self.model_of(step), *user] if spec.asks else []

    def version(self, *sections: str) -> str:
        """Hash of these sections (see versions.py): a change of it concerns every partition of the stage."""
        from synth_assets.recipe.versions import version

        return version(self, *sections)
