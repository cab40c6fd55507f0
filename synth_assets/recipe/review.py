"""The section `review`: what people are asked about the rows, and what their answers decide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from synth_assets.contracts.section import Section, wrong

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe

HOST, PORT = "127.0.0.1", 3100  # of the page, where nobody says otherwise
ADDRESS = f"http://{HOST}:{PORT}"


class Agreement(Section):
    """How far the labels have to agree with people's, of rows drawn at random, before the set is released."""

    at_least: float = Field(default=0.8, gt=0, le=1)
    """Share of labels on which they agree; the lower end of its interval has to reach it."""


class Review(Section):
    """People look at rows (`synth review`). Only rows drawn at random, whose suggestion they did not see,
    measure; those that were chosen override labels and no more."""

    ask: Literal["label", "rating", "pair"] = "label"
    """Of a row its label (or labels, or spans, as the task has them), how good it is, or which of two."""
    show: Literal["blind", "suggestion"] = "blind"
    """suggestion: people see the label that the row has; what they decide then never measures."""
    control: float = Field(default=0.3, ge=0, le=1)
    """Share of the queue that is drawn at random."""
    by: Literal["disagreement", "confidence", "influence"] = "disagreement"
    """What the others are chosen by: where annotators disagree, where the label is least sure, or what
    moves a student most."""
    double: float = Field(default=0.1, ge=0, le=1)
    """Share of rows that a second person is given, for agreement between people."""
    gold: float = Field(default=0.05, ge=0, lt=1)
    """Share of seeds in the queue, whose label is known and not shown."""
    minutes: float | None = Field(default=None, gt=0)
    """A person's time; default: no limit."""
    price: float | None = Field(default=None, gt=0)
    """US dollars of one label by a person: what `front` in the metrics counts with."""
    dollars: float | None = Field(default=None, gt=0)
    """The most for a round's labels by people, at that price: the queue then ends; default: no limit."""
    by_people: Literal["majority", "dawid_skene"] = "majority"
    """How the labels of several people become one."""
    agreement: Agreement | None = Agreement()
    """Until it is reached, the set is not released; null: without this."""
    demonstrations: bool = False
    """What people labelled is shown in the prompts of the next rounds, as seeds are."""

    @property
    def priced(self) -> bool:
        """Whether it says what labels by people cost, in dollars or in time."""
        return self.ask == "label" and bool(self.price or self.minutes)

    @model_validator(mode="after")
    def _goes_with(self) -> Review:
        for field in ("agreement", "by_people", "demonstrations"):
            if self.ask != "label" and getattr(self, field) and field in self.model_fields_set:
                raise wrong("this is of labels: leave it out, or write `ask: label`", field)
        if self.dollars and not self.price:
            raise wrong("nobody knows what a label costs: write `price`, too", "dollars")
        return self


def fits(recipe: Recipe) -> Iterator[ValueError]:
    """People are asked for labels where rows have some, and rows are shown where prompts show some."""
    if recipe.shows_decided and recipe.demonstrations is None:
        yield wrong("no prompt shows rows: write `demonstrations: {k: 4}`", "review", "demonstrations")
    if (review := recipe.review) is None or review.ask != "label" or recipe.labels:
        return
    target = recipe.task.predict
    if target and target.word == "spans" and review.by_people == "dawid_skene":
        yield wrong("spans are no classes: leave it out, more than half decide", "review", "by_people")
    if target is None or target.word not in ("labels", "spans"):
        why = "rows have no label: write `ask: rating` or `ask: pair`, or `task.classify`"
        yield wrong(why, "review", "ask")


def kind_asked(recipe: Recipe) -> str:
    """The kind of decision that people are asked for, by a recipe that asks them."""
    assert recipe.review is not None
    if recipe.review.ask == "label":
        return recipe.task.predict.word if recipe.task.predict else "label"
    return {"rating": "rating", "pair": "choice"}[recipe.review.ask]
