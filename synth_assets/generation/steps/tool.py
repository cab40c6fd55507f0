"""Steps in which a tool makes something of a text, without a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from pydantic import Field, field_validator, model_validator

from synth_assets.contracts.section import NAME, as_wrong, one_of, wrong
from synth_assets.contracts.step import StepBase, Work
from synth_assets.core.asking import Result
from synth_assets.core.errors import UserError
from synth_assets.core.registry import TOOLS, imported

# tools that are more than a function of a text -> their settings
SETTINGS: Mapping[str, tuple[str, ...]] = {
    "function": ("function",),
    "retrieve": ("file", "k"),
    "python": ("timeout_s", "memory_mib"),
    "sql": ("file", "timeout_s", "ordered"),
}


class ToolStep(StepBase):
    """A tool makes the text of `input`. It is one of SETTINGS, of tools.py, or a plug-in, which is a function
    of a text. `fields` are answers' fields that become columns."""

    name = "tool"
    columns_in = "fields"

    tool: str
    """Which tool: built in, of a plug-in, or module:function."""
    input: str = Field(min_length=1)
    """What it works on, as a template."""
    timeout_s: float = Field(default=5, gt=0, le=3600)
    """Of python and sql."""
    memory_mib: int = Field(default=512, ge=64, le=2**20)
    """Of python."""
    file: str | None = None
    """sql: a SQLite or DuckDB file; retrieve: a text with a passage a line."""
    k: int = Field(default=1, ge=1, le=10_000)
    """Passages that are retrieved."""
    ordered: bool = False
    """Results in another order are other results."""
    function: str | None = None
    """package.module:name, a function str -> str."""
    fields: dict[str, str] = {}
    """Column -> step.field of an earlier step with `output`."""

    @field_validator("fields")
    @classmethod
    def _names(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not NAME.fullmatch(name) or name == "text":
                raise wrong(f"{name!r} is no name of a column: use lower-case letters, digits and _", name)
        return value

    @model_validator(mode="after")
    def _settings(self) -> ToolStep:
        with as_wrong("tool"):
            _ = self.methods
        known = SETTINGS.get(self.tool, ())
        for name in sorted(self.model_fields_set - {*StepBase.model_fields, "tool", "input", "fields"}):
            one_of(f"setting of {self.tool}", name, known, name)
        for name in {"file", "function"} & set(known):
            if getattr(self, name) is None:
                raise wrong(f"{self.tool} needs `{name}`", "tool")
        return self

    @property
    def methods(self) -> list[Any]:
        return [type(self), *([] if self.tool in SETTINGS else [TOOLS.find(self.tool)])]

    @property
    def tools(self) -> Mapping[str, Mapping[str, Any]]:
        return {self.tool: {name: getattr(self, name) for name in SETTINGS.get(self.tool, ())}}

    @property
    def templates(self) -> tuple[str, ...]:
        return (self.input,)

    @property
    def works_with(self) -> list[str | None]:
        """The data base, the text or the module of the function."""
        if self.function is None:
            return [self.file]
        try:
            module = find_spec(self.function.partition(":")[0])
        except Exception:  # of a package on the way; `prepare` says what is wrong
            return [None]
        return [module.origin if module else None]

    def _parts(self) -> Iterator[tuple[str, str, str]]:
        """Column, step and field of each of `fields`."""
        for column, place in self.fields.items():
            step, _, field = place.partition(".")
            yield column, step, field

    def columns_of(self, recipe: Any) -> dict[str, str]:
        """Of what is not there, `check` says so."""
        made = {
            step: recipe.steps[step].columns_of(recipe)
            for _, step, _ in self._parts()
            if step in recipe.steps
        }
        return {c: made[step][field] for c, step, field in self._parts() if field in made.get(step, ())}

    def check(self, recipe: Any, name: str) -> None:
        names = list(recipe.steps)
        known = {f"{n}.{f}" for n in names[: names.index(name)] for f in recipe.steps[n].columns_of(recipe)}
        for column, field in self.fields.items():
            one_of("field of an earlier step", field, known, "steps", name, "fields", column)

    def prepare(self) -> None:
        if self.function:
            own_function(self.function)

    def run(self, work: Work) -> Iterator[Mapping[str, Any]]:
        inputs, own = work.rendered(self.input), self._own()
        if own is None:
            assert work.tools is not None
            results = work.tools(self.tool, self.tools[self.tool], inputs)
        else:
            results = (_tried(own, text) for text in inputs)
        for row_id, result in zip(work.rows["row_id"], results, strict=True):
            row = _row(result)
            yield row if row["reason"] else row | self._beside(work, row_id)

    def foresee(self, work: Work) -> Iterator[Mapping[str, Any]]:
        """Only what composes a text from answers is done."""
        if self.tool == "compose":
            yield from self.run(work)
            return
        for row_id, row in zip(work.rows["row_id"], super().foresee(work), strict=True):
            yield {**row, **self._beside(work, row_id)}

    def _own(self) -> Callable[[str], Any] | None:
        """The tool as a function of a text; None where it needs a process or a data base."""
        if self.function:
            return own_function(self.function)
        if self.tool == "retrieve":
            from synth_assets.generation.conditions.knowledge import retrieve

            return lambda query: "\n".join(retrieve(str(self.file), query, self.k))
        return None if self.tool in SETTINGS else TOOLS.find(self.tool)

    def _beside(self, work: Work, row_id: str) -> dict[str, Any]:
        return {column: getattr(work.said[step][row_id], field) for column, step, field in self._parts()}


def own_function(path: str) -> Callable[..., Any]:
    """The user's function `package.module:function`. It runs in this process, as trusted as the recipe."""
    found = imported("function", path)
    if callable(found):
        return found
    name = path.partition(":")[2]
    raise UserError(f"function {path!r}: {name} is a {type(found).__name__}, not a function.")


def _tried(function: Callable[[str], Any], text: str) -> Result:
    """What the function makes of a text; where it cannot work on it, the reason."""
    try:
        made = function(text)
        if isinstance(made, str):
            made.encode()  # half a character (a lone surrogate) fits no table
    except Exception as error:
        words = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        return Result("error", error=words[:500])
    if not isinstance(made, str):
        return Result("error", error=f"the function gave a {type(made).__name__}, not a text")
    return Result("ok", made)


def _row(result: Result) -> dict[str, Any]:
    text = (result.text or "").strip() or None
    reason = result.reason if result.reason != "ok" else None if text else "empty"
    return {"text": text, "reason": reason, "error": result.error}
