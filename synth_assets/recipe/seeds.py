"""The section `seeds` of a recipe: where the user's own rows are, and which of them are in which split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from synth_assets.contracts.reading import Reading
from synth_assets.contracts.section import Section, wrong
from synth_assets.core.addresses import has_login
from synth_assets.core.answer_schema import Kind, Schema, kind_of

Split = Literal["demonstration", "validation", "test"]
SPLITS = "`demonstration`, `validation`, `test`"
FORMS = "a number of rows (32), a share (0.2), `{rows: 200, labels: equal}` or `{file: test.csv}`"
ENTRY: Any = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}, {"type": "object"}]}
NAMES = {  # what a column of published data calls a split
    **dict.fromkeys(("train", "training"), "train"),
    "demonstration": "demonstration",
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    "test": "test",
    **dict.fromkeys(("unlabeled", "unlabelled", "unsupervised"), "unlabeled"),
}


class SplitOf(Section):
    """Which rows a split has: so many, drawn, or those of a file."""

    rows: int | float | None = None
    """How many: a number, or a share of all (0.2)."""
    labels: Literal["equal", "natural"] | None = None
    """equal: as many rows of each label; natural: each label by its share of the rows."""
    file: str | None = None
    """A file of its own, with the same columns."""

    @model_validator(mode="after")
    def _one(self) -> SplitOf:
        if (self.rows is None) == (self.file is None):
            raise ValueError("write either `rows`, how many of them, or the `file` with them")
        return self


class Seeds(Section):
    """The user's own rows, and how many of them go to which split (the rest is `unlabeled`)."""

    newer = ("asset", "read", "draw")

    file: str | None = None
    """A file, a folder or a pattern (docs/files.md): .csv, .tsv, .json, .jsonl, .parquet, .xlsx, .gz, .zip, a
    SQLite or DuckDB file, a `datasets` folder. package://NAME/path is of an installed package, and
    stage://RECIPE/STAGE what another recipe made."""
    read: Reading = Reading()
    """How the file is read, where it does not say so itself."""
    asset: str | None = Field(default=None, pattern=r"^[^/\s]+(/[^/\s]+)*$")
    """In the place of a file: key of another asset of your Dagster project, as in my/table; its value is a
    DataFrame, an Arrow table, a DuckDB relation, or the path of a file."""
    text: str = "text"
    """The column with the text."""
    label: str = "label"
    """The column with the label."""
    label_values: dict[str, str] = {}
    """Value in the file -> label of the task."""
    where: dict[str, str | int | float | bool | None] = {}
    """Column -> value: only these rows."""
    fields: list[str] | dict[str, Any] = []
    """Further columns, for prompts and for conditions; as text, or each with its type: `{score: number}`."""
    license: str | None = Field(default=None, exclude=True)
    """Said in the dataset card; makes no row stale."""
    source: str | None = Field(default=None, exclude=True)
    """Where the rows come from, likewise."""
    draw: Literal["stratified"] | None = None
    """stratified: validation and test have the labels' own shares, copies of a text are in one split, and
    rows that differ in a field are two. Without it each split has as many rows of each label, copies that
    differ in case or punctuation may be in two splits, and of rows with one text the first is kept."""
    splits: dict[Literal["demonstration", "validation", "test", "column", "values"], Any] = Field(
        default={}, json_schema_extra={"additionalProperties": ENTRY}
    )
    """Rows of each split: a number, a share, `{rows: 200, labels: equal}`, or `{file: test.csv}`; the rest is
    unlabeled. `column` says it of each row, with `values` (value -> split) where they are others."""

    @model_validator(mode="after")
    def _file(self) -> Seeds:
        if self.file is not None and self.asset is not None:
            raise ValueError("rows come from a `file` or from an `asset`: leave one of them out")
        if self.origin is None and (self.splits or self.where or self.label_values):
            raise ValueError("`file` is missing: name the file of the rows")
        if self.origin is not None and not self.splits:
            raise ValueError(f"`splits` is missing: say how many rows are {SPLITS}")
        return self

    @property
    def origin(self) -> str | None:
        """Where the rows come from, in words; None where there are none."""
        return f"file {self.file}" if self.file else f"asset {self.asset}" if self.asset else None

    @property
    def files(self) -> list[str]:
        """What is read: the rows, and the splits that have a file of their own."""
        return [file for file in (self.file, *(of.file for of in self.sizes.values())) if file]

    @property
    def sizes(self) -> dict[str, SplitOf]:
        """The splits that are drawn or have a file, in the order in which they are written."""
        drawn = {name: of for name, of in self.splits.items() if name not in ("column", "values")}
        return {n: of if isinstance(of, SplitOf) else SplitOf(rows=of) for n, of in drawn.items()}

    def has(self, split: str) -> bool:
        """Whether there may be rows in it: what a column says, only the rows tell."""
        of = self.sizes.get(split)
        return bool("column" in self.splits or (of and (of.rows or of.file)))

    @property
    def columns(self) -> dict[str, str]:
        """Further columns -> type, as in recipe/columns.yaml."""
        if isinstance(self.fields, list):
            return dict.fromkeys(self.fields, "string")
        return Schema.of(self.fields).columns

    @property
    def kinds(self) -> dict[str, Kind]:
        """Further columns -> their types, as the recipe says them."""
        listed = dict.fromkeys(self.fields, "text") if isinstance(self.fields, list) else self.fields
        return {name: kind_of(kind) for name, kind in listed.items()}

    @field_validator("fields")
    @classmethod
    def _typed(cls, value: Any) -> Any:
        for name, kind in value.items() if isinstance(value, dict) else ():
            try:
                kind_of(kind)
            except ValueError as error:
                raise wrong(str(error), name) from error
        return value

    @field_validator("label_values", mode="before", json_schema_input_type=dict[str, str])
    @classmethod
    def _text_keys(cls, value: Any) -> Any:
        return {str(k): v for k, v in value.items()} if isinstance(value, Mapping) else value

    @field_validator("file", "source", "license")
    @classmethod
    def _no_login(cls, value: str | None) -> str | None:
        """They stand in the dataset card, and in what is said of a file."""
        if value and "://" in value and has_login(value):
            raise ValueError("the address holds a user or password: leave them out, dataset cards have it")
        return value

    @field_validator("splits")
    @classmethod
    def _said(cls, value: dict[Any, Any]) -> dict[Any, Any]:
        if "values" in value and "column" not in value:
            raise wrong("it says what the values of a `column` mean: add that", "values")
        return {name: _split(name, said) for name, said in value.items()}


def _split(name: str, said: Any) -> Any:
    """One entry of `splits`, as it is meant."""
    number = isinstance(said, int | float) and not isinstance(said, bool)
    if name == "column":
        if not isinstance(said, str):
            raise wrong("write the name of the column", name)
        return said
    if name == "values":
        known = sorted({*NAMES.values()})
        if not isinstance(said, Mapping) or not {*said.values()} <= {*known}:
            raise wrong(f"write `value: split`, of {', '.join(known)}", name)
        return {str(value): split for value, split in said.items()}
    if number and said >= 0 and (said < 1 or float(said).is_integer()):
        return int(said) if float(said).is_integer() else said
    if isinstance(said, SplitOf):
        return said
    if isinstance(said, Mapping):
        of = SplitOf.model_validate(said)
        return of if of.rows is None else of.model_copy(update={"rows": _split(name, of.rows)})
    raise wrong(f"cannot be {said!r}: write {FORMS}", name)
