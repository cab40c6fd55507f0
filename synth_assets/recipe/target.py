"""What is learned of a row where that is not one label: the section `task.predict`, by its own word.

Each class says how the value of a row is read, and as which column training sets have it. The students are in
students/targets.py, the measures in evaluation/targets.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, field_validator

from synth_assets.contracts.section import NAME, Section, wrong
from synth_assets.core.text import marks

Names = Annotated[dict[str, str] | list[str], Field(min_length=1)]
FEW = 8  # names, in a message


def _lacks(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


class Target(Section):
    """Base of what is learned of a row."""

    word: ClassVar[str] = ""
    column_type: ClassVar[str] = "string"  # of a training set
    measure: ClassVar[str] = ""  # the metric by which sets are compared
    lower: ClassVar[bool] = False  # whether a low value of it is a good one
    students: ClassVar[Sequence[str]] = ()  # what `student.by` may be

    @property
    def columns(self) -> list[str]:
        """Of rows and seeds, that have it."""
        return [getattr(self, self.word)]

    @property
    def types(self) -> Sequence[str]:
        """That its columns may have in rows and seeds (see recipe/columns.py)."""
        raise NotImplementedError

    @property
    def definitions(self) -> dict[str, str]:
        """Of its labels or kinds, for prompts."""
        return {}

    def read(self, row: Mapping[str, Any]) -> Any:
        """The value of a row; None where it has none. ValueError: what it is not."""
        raise NotImplementedError

    def known_of(self, row: Mapping[str, Any]) -> Any:
        """The same, None too where it cannot be read."""
        try:
            return self.read(row)
        except ValueError:
            return None

    def stored(self, row: Mapping[str, Any]) -> Any:
        """What a training set has of the row, in the first of its columns; None where it cannot be read."""
        return self.known_of(row)

    def given(self, text: str, value: Any) -> Any:
        """The same of a value that people gave the text."""
        return value


class TargetNumber(Target):
    """A number, which a student learns by regression."""

    word = "number"
    column_type = "double"
    measure = "rmse"
    lower = True
    students = ("logistic", "boosting")

    number: str
    """The column with the number, of seeds and rows."""

    @property
    def types(self) -> Sequence[str]:
        return ("double", "int64", "string")

    def read(self, row: Mapping[str, Any]) -> float | None:
        value = row[self.number]
        if _lacks(value) or value == "":
            return None
        try:
            found = float(value)
        except (TypeError, ValueError):
            raise ValueError(f"{value!r} is no number") from None
        if found - found != 0:
            raise ValueError(f"{value!r} is no finite number")
        return found


class _Named(Target):
    """Base of those that have names: labels, or kinds of spans."""

    of: dict[str, str]
    """Their names; or `name: what it means`, which prompts have as `definitions`."""

    @field_validator("of", mode="before", json_schema_input_type=Names)
    @classmethod
    def _defined(cls, value: Any) -> Any:
        if not value:
            raise ValueError("it has no name: write one or more")
        return {name: name for name in value} if isinstance(value, list) else value

    @property
    def definitions(self) -> dict[str, str]:
        return dict(self.of)

    def known(self, names: Sequence[str]) -> list[str]:
        """The names, if the recipe has them all."""
        if other := [name for name in names if name not in self.of]:
            listed = ", ".join([*self.of][:FEW]) + ", ..." * (len(self.of) > FEW)
            raise ValueError(f"{other[0]!r} is none of {listed}")
        return list(names)


class TargetLabels(_Named):
    """Any number of labels, each of which a student learns by itself."""

    word = "labels"
    column_type = "list<string>"
    measure = "micro_f1"
    students = ("logistic", "softmax", "boosting")

    labels: str
    """The column with the labels of a row, of seeds and rows: a list, or a text with commas."""

    @property
    def types(self) -> Sequence[str]:
        return ("list<string>", "string")

    def read(self, row: Mapping[str, Any]) -> list[str] | None:
        value = row[self.labels]
        if _lacks(value):
            return None
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                raise ValueError(f"{value[:60]!r} is no list in JSON") from None
        names = re.split("[\n;,]", value) if isinstance(value, str) else value
        return self.known(sorted({name for each in names if (name := str(each).strip())}))


class TargetSpans(_Named):
    """Spans of the text, each of a kind, which a student learns as tags of its tokens."""

    word = "spans"
    measure = "span_f1"
    students = ("logistic",)

    spans: str
    """The column with the text, its spans marked: `<person>Ann</person> sings.`; or with a list of spans."""
    kinds: str | None = None
    """The column with the kinds of listed spans."""

    @field_validator("of")
    @classmethod
    def _in_marks(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not NAME.fullmatch(name.lower().replace("-", "_")):
                raise wrong(f"kind {name!r}: use letters, digits, - and _, as it stands in marks", name)
        return value

    @property
    def columns(self) -> list[str]:
        return [self.spans, *filter(None, [self.kinds])]

    @property
    def types(self) -> Sequence[str]:
        return ("string",) if self.kinds is None else ("list<string>",)

    def read(self, row: Mapping[str, Any]) -> list[marks.Span] | None:
        value, kinds = row[self.spans], row.get(self.kinds or "")
        if _lacks(value) or not isinstance(row["text"], str):
            return None
        if isinstance(value, str):  # as in all training sets
            plain, spans = marks.unmarked(value)
            text = row["text"]
            if plain != text.strip():
                raise ValueError("without its marks it is not the text")
            blanks = len(text) - len(text.lstrip())
            spans = [marks.Span(kind, start + blanks, end + blanks) for kind, start, end in spans]
        elif kinds is None or len(value) != len(kinds):
            raise ValueError(f"there are {len(value)} spans, and not as many kinds")
        elif sign := marks.MARK.search(row["text"]):
            raise ValueError(f"the text has {sign[0]} in it, which looks like the mark of a span")
        else:
            spans = marks.found(row["text"], zip(kinds, value, strict=True))
        self.known([span.kind for span in spans])
        return spans

    def stored(self, row: Mapping[str, Any]) -> str | None:
        """The marked text, whatever the columns have."""
        spans = self.known_of(row)
        return None if spans is None else marks.marked(row["text"], spans)

    def given(self, text: str, value: Any) -> str:
        """Marked, of (start, end, kind)."""
        return marks.marked(text, [marks.Span(kind, start, end) for start, end, kind in value])


def _by_word(value: Any) -> Any:
    """The class that the section's own word names."""
    if value is None or isinstance(value, Target):
        return value
    words = [kind for kind in KINDS if isinstance(value, Mapping) and kind.word in value]
    if len(words) != 1:
        forms = ", ".join(f"`{kind.word}: COLUMN`" for kind in KINDS)
        raise ValueError(f"say what is learned, and in which column it stands: one of {forms}")
    return words[0].model_validate(value)


KINDS: tuple[type[Target], ...] = (TargetNumber, TargetLabels, TargetSpans)
Predict = Annotated[TargetNumber | TargetLabels | TargetSpans | None, BeforeValidator(_by_word)]
