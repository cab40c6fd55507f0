"""How a file of rows is to be read, where it does not say so itself."""

from __future__ import annotations

import codecs
from typing import Literal

from pydantic import Field, field_validator, model_validator

from synth_assets.contracts.section import Section


class Reading(Section):
    """How the file is read, where it does not say so itself."""

    newer = ("tokens", "tags", "names")

    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """What stands between the columns of a .csv; found where it is a comma, `;`, a tab or `|`."""
    quoting: Literal["double", "none"] | None = None
    """double: quotes stand around a text, as in CSV; none: they are part of it."""
    encoding: str | None = None
    """Of text that is not UTF-8 and has no byte order mark: cp1252, cp1251, shift_jis."""
    sheet: str | None = None
    """Of an .xlsx; the first."""
    table: str | None = None
    """Of a SQLite or DuckDB file; the only one."""
    query: str | None = None
    """In the place of a table: SQL."""
    tokens: str | None = None
    """A column with lists of tokens: rows are as of CoNLL, with `text`, `marked`, `spans` and `kinds`."""
    tags: str | None = None
    """The column with the BIO tags of the tokens."""
    names: list[str] = []
    """The tags that numbers stand for, from 0 on."""

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        try:
            return value and codecs.lookup(value).name
        except LookupError as error:
            raise ValueError(f"unknown encoding {value!r}: write it as in cp1252 or utf-16") from error

    @model_validator(mode="after")
    def _one(self) -> Reading:
        if self.table is not None and self.query is not None:
            raise ValueError("`table` and `query` both say which rows: leave one of them out")
        if (self.tokens is None) != (self.tags is None) or (self.names and self.tags is None):
            raise ValueError("`tokens` and `tags` go together, and `names` with them")
        return self
