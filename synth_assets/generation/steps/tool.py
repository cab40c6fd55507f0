"""Steps that ask no model: a tool makes something of a text, the samples of a question vote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from synth_assets.contracts.section import NAME, wrong
from synth_assets.contracts.step import Unasked
from synth_assets.core import templates
from synth_assets.core.errors import unknown
from synth_assets.generation.conditions.knowledge import retrieve
from synth_assets.generation.steps import prompt
from synth_assets.generation.steps.tools import OF_A_TEXT, own_function
from synth_assets.resources.storage.sources import fingerprint

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.core.asking import Result, RunsTools
    from synth_assets.recipe.task import Task


class Made(NamedTuple):
    """What a function made of one text."""

    reason: str
    text: str | None = None
    error: str | None = None


def rendered(
    template: str, task: Task, conditions: pd.DataFrame, seeds: pd.DataFrame, said: prompt.Said
) -> list[str]:
    filled = prompt.values(task, conditions, seeds, said)
    return [templates.render(template, fields).strip() for fields in filled]


def run_tool(
    step: ToolStep,
    task: Task,
    conditions: pd.DataFrame,
    seeds: pd.DataFrame,
    tools: RunsTools,
    said: prompt.Said,
) -> dict[str, list[Any]]:
    """Column -> a value a condition row: the text that the tool made, or the reason why it made none."""
    inputs = rendered(step.input, task, conditions, seeds, said)
    own = _own(step)
    results = map(_tried(own), inputs) if own else tools(step.tool, step.settings, inputs)
    columns = empty_columns([*prompt.COLUMNS, *step.fields])
    for row_id, result in zip(conditions["row_id"], results, strict=True):
        row = _row(result)
        if row["reason"] is None:
            row |= {name: _field(said, field, row_id) for name, field in step.fields.items()}
        add_row(columns, row)
    return columns


def _own(step: ToolStep) -> Callable[[str], Any] | None:
    """The tool as a function of a text; None where it needs a process or a data base."""
    if step.function:
        return own_function(step.function)
    if step.tool == "retrieve":
        return lambda query: "\n".join(retrieve(str(step.file), query, step.k))
    return OF_A_TEXT.get(step.tool)


def foreseen(step: ToolStep, conditions: pd.DataFrame, said: prompt.Said) -> dict[str, list[Any]]:
    """The same without the tool: a text that is there for no other row."""
    columns = empty_columns([*prompt.COLUMNS, *step.fields])
    for row_id in conditions["row_id"]:
        fields = {name: _field(said, field, row_id) for name, field in step.fields.items()}
        add_row(columns, {"text": f"a result that is not there yet {row_id}", **fields})
    return columns


def _tried(function: Any) -> Any:
    """The function; of a text that it cannot work on, the reason."""

    def tried(text: str) -> Made:
        try:
            made = function(text)
            if isinstance(made, str):
                made.encode()  # half a character (a lone surrogate) fits no table
        except Exception as error:
            words = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            return Made("error", error=words[:500])
        if not isinstance(made, str):
            return Made("error", error=f"the function gave a {type(made).__name__}, not a text")
        return Made("ok", made)

    return tried


def _row(result: Result) -> dict[str, Any]:
    text = (result.text or "").strip() or None
    reason = result.reason if result.reason != "ok" else None if text else "empty"
    return {"text": text, "reason": reason, "error": result.error}


def _field(said: prompt.Said, field: str, row_id: str) -> Any:
    name, _, part = field.partition(".")
    return getattr(said[name][row_id], part)


def empty_columns(names: Iterable[str]) -> dict[str, list[Any]]:
    return {name: [] for name in names}


def add_row(columns: Mapping[str, list[Any]], row: Mapping[str, Any]) -> None:
    for name, values in columns.items():
        values.append(row.get(name))


# every tool -> its settings
TOOLS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(OF_A_TEXT, ()),
    "function": ("function",),
    "retrieve": ("file", "k"),
    "python": ("timeout_s", "memory_mib"),
    "sql": ("file", "timeout_s", "ordered"),
}


class ToolStep(Unasked):
    """A tool of TOOLS makes the text of `input`. `fields` are answers' fields that become columns."""

    kind: ClassVar[Literal["tool"]] = "tool"

    tool: str
    input: str = Field(min_length=1)
    timeout_s: float = Field(default=5, gt=0, le=3600)
    memory_mib: int = Field(default=512, ge=64)
    file: str | None = None  # sql: a SQLite or DuckDB file; retrieve: a text with a passage a line
    k: int = Field(default=1, ge=1)  # passages that are retrieved
    ordered: bool = False  # results in another order are other results
    function: str | None = None  # package.module:name, a function str -> str
    fields: dict[str, str] = {}  # column -> step.field of an earlier step with `output`

    @field_validator("fields")
    @classmethod
    def _names(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not NAME.fullmatch(name) or name == "text":
                raise wrong(f"{name!r} is no name of a column: use lower-case letters, digits and _", name)
        return value

    @model_validator(mode="after")
    def _settings(self) -> ToolStep:
        if self.tool not in TOOLS:
            raise wrong(str(unknown("tool", self.tool, TOOLS)), "tool")
        known = TOOLS[self.tool]
        for name in sorted(self.model_fields_set - {"tool", "input", "fields", *known}):
            raise wrong(str(unknown(f"setting of {self.tool}", name, known)), name)
        for name in {"file", "function"} & set(known):
            if getattr(self, name) is None:
                raise wrong(f"{self.tool} needs `{name}`", "tool")
        return self

    @property
    def settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in TOOLS[self.tool]}

    @property
    def template(self) -> str:
        return self.input

    @property
    def templates(self) -> tuple[str, ...]:
        return (self.input,)

    @property
    def works_with(self) -> str | None:
        """Hash of the file that decides its results: the data base, or the module of the function."""
        if self.file is not None:
            return fingerprint(self.file)
        if self.function is None:
            return None
        try:
            module = find_spec(self.function.partition(":")[0])
        except Exception:  # of a package on the way; chain.check says what is wrong
            return None
        return fingerprint(module.origin) if module and module.origin else None
