"""The section `task.annotate`: the user's own rows that have no label yet. Each is a row of the set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from synth_assets.contracts.provider import Provider
from synth_assets.contracts.reading import Reading
from synth_assets.contracts.section import Section, one_of, wrong
from synth_assets.core.answer_schema import Schema
from synth_assets.recipe.columns import OF_ROWS, RESERVED
from synth_assets.recipe.seeds import Seeds
from synth_assets.selection.select import METHODS

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe

UNSURE = ("entropy", "least_confidence", "margin", "vote_k")  # what a student says of the texts decides
ALIKE = ("k_means", "fast_vote_k", "facility_location")  # vectors alone
ACQUIRE = ("random", *UNSURE, *ALIKE)
ITEM = "item"  # what prompts call the text
ALL = 10_000_000  # rows of a round where nothing is said: all texts that there are
STEP = "answer"  # how a model is asked where no step is written
TAKEN = {*OF_ROWS, *RESERVED, ITEM}
OF_WRITTEN_ROWS = {
    "conditions": "conditions are what rows are written for",
    "constraints": "they are of conditions",
    "design": "it spreads conditions over rows",
    "cell": "it is one of the conditions",
}


class Acquire(Section):
    """Which texts a round takes of those that no round has."""

    by: str = Field(default="entropy", json_schema_extra={"enum": list(ACQUIRE)})
    """random; entropy, least_confidence, margin, vote_k: of which a student of the labels so far is least
    sure; k_means, fast_vote_k, facility_location: that stand for many others."""
    candidates: int = Field(default=10_000, ge=1)
    """Texts, drawn at random, that are looked at: each gets a vector, or what the student says of it."""

    @model_validator(mode="after")
    def _by(self) -> Acquire:
        one_of("way to choose texts", self.by, ACQUIRE, "by")
        return self


class Annotate(Section):
    """Your own rows without a label: each text is a row of the set, and a model says what it is."""

    newer = ("acquire",)

    file: str
    """A file, a folder or a pattern (docs/files.md)."""
    text: str = "text"
    """The column with the text."""
    fields: list[str] | dict[str, Any] = []
    """Further columns that rows keep, such as an id; as text, or each with its type: `{score: number}`."""
    shown: list[str] = []
    """Those of `fields` that prompts show beside the text."""
    where: dict[str, str | int | float | bool | None] = {}
    """Column -> value: only these rows."""
    read: Reading = Reading()
    """How the file is read, where it does not say so itself."""
    acquire: Acquire | None = None
    """Which texts come first, where `rows` takes some a round; default: at random."""

    @model_validator(mode="after")
    def _fields(self) -> Annotate:
        for name in self.texts.columns:
            if name.casefold() in TAKEN:
                raise wrong(f"{name} is a column of the platform: give that column another name", "fields")
        for name in self.shown:
            one_of("field", name, self.fields, "shown")
        return self

    @property
    def texts(self) -> Seeds:
        """What `seeds` would say of such rows, none of which is in a split."""
        same = {name: getattr(self, name) for name in ("file", "text", "fields", "where", "read")}
        return Seeds(**same, splits={"demonstration": 0})

    @property
    def columns(self) -> dict[str, Given]:
        """Of the conditions: the text and its fields."""
        of = self.fields if isinstance(self.fields, Mapping) else dict.fromkeys(self.fields, "text")
        return {name: Given(kind=kind) for name, kind in {ITEM: "string", **Schema.of(of).columns}.items()}


class Given(Provider):
    """A column of the texts, which nobody draws."""

    kind: str

    def column_type(self, fields: Mapping[str, str]) -> str:
        return self.kind


def filled(content: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe that annotates, with what it need not say: all texts are asked about once, without examples,
    and examples may be of any label. The nearest ones are those of the text."""
    made = {"rows": ALL, "steps": {"text": {"annotate": STEP}}, **content}
    shown = made.get("demonstrations")
    if isinstance(shown, Mapping):
        nearest = {"query": f"{{{{ {ITEM} }}}}"} if "query" in METHODS.get(str(shown.get("by")), ()) else {}
        made["demonstrations"] = {"label": "any", **nearest, **shown}
    return made


def annotated(recipe: Recipe) -> Iterator[ValueError]:
    """Texts that are annotated are all that a row has, and its last step says what they are."""
    place = ("task", "annotate")
    if recipe.task.annotate is None:
        return
    if not recipe.labels and recipe.task.predict is None:
        yield wrong("say what they are asked for: write `classify` or `predict` beside it", *place)
    for field, of in OF_WRITTEN_ROWS.items():
        if field in recipe.model_fields_set:
            yield wrong(f"{of}, and here rows are your own texts: leave it out", field)
    if recipe.steps["text"].name != "annotate":
        fix = "leave `steps` out, or write `text: {annotate: answer}` as the last one"
        yield wrong(f"the last step has to say what each text is: {fix}", "steps", "text")
    if (acquire := recipe.task.annotate.acquire) and recipe.rows == ALL:
        yield wrong("it chooses some of the texts: write `rows`, how many a round takes", *place, "acquire")
    if acquire and acquire.by in UNSURE and not recipe.labels:
        yield wrong(f"its student learns labels: write one of {', '.join(ALIKE)}", *place, "acquire", "by")
    if recipe.feedback.rows != "fixed":
        yield wrong("there are no more texts than the file has: leave it out", "feedback", "rows")
    if recipe.demonstrations and recipe.demonstrations.label == "same" and recipe.labels:
        yield wrong(
            "the label of a text is not known before it is asked: write any", "demonstrations", "label"
        )
    if "label_agreement" in recipe.filters:
        why = "the label is a model's own, which it agrees with: use the filter `annotators`, or leave it out"
        yield wrong(why, "filters", "label_agreement")
