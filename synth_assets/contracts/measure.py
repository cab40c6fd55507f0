"""What a metric is: one class in one file, which a recipe's `metrics` name by its `name`.

A built-in one is a class in evaluation/. One of your own is an entry point `synth_assets.metrics`, or a class
on the path that a recipe writes as `package.module:Class` (see docs/plugins.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from synth_assets.contracts.section import Section

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.contracts.measured import Measured
    from synth_assets.contracts.model_spec import NamedModel
    from synth_assets.core.asking import Answer, Completes, Encode, LabelLogprobs

Passes = Callable[[Sequence[str]], Sequence[bool]]  # programs -> which come to their last line


class Row(NamedTuple):
    """A line of the table `metrics`: what was measured of what, and the parts of the slice that are more than
    words, for those who read it."""

    name: str
    slice: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    reason: str | None = None
    set: str | None = None  # of a learning curve: the set, and how many of its rows
    set_rows: int | None = None
    gold: str | None = None  # of a confusion: the real label, and the predicted one
    said: str | None = None
    against: str | None = None  # the round that this one is held against
    attribute: str | None = None  # condition, or `label`, whose value the rows have
    attribute_value: str | None = None


def row(name: str, slice_: str, found: Measured, **columns: Any) -> Row:
    """A line of `metrics` from what a measure gives."""
    return Row(name, slice_, found.value, found.low, found.high, found.n, found.why or None, **columns)


class Before(NamedTuple):
    """The last round that was measured before this one: its rows, its training set and its metrics."""

    round: str
    kept: pd.DataFrame
    weighted: pd.DataFrame
    metrics: pd.DataFrame


class Share(NamedTuple):
    """Of what a condition can take: how many items there are, were asked for, and are in kept rows; of each,
    in how many."""

    items: int
    used: int
    kept: int
    times: Mapping[str, int] = {}


@dataclass
class Look:
    """What a metric may look at; of a table with very many rows, a sample (see stages/samples.py). While a
    round is only planned, tables that are not made yet are None."""

    recipe: Any  # synth_assets.recipe.recipe.Recipe
    round: str
    generations: pd.DataFrame  # this round's rows, stage by stage
    filtered: pd.DataFrame
    labelled: pd.DataFrame
    weighted: pd.DataFrame  # the training set: the rows of all rounds
    seeds: pd.DataFrame
    so_far: Callable[[str], pd.DataFrame]  # stage -> its rows in all rounds up to this one
    latest: Callable[[str, int], pd.DataFrame]  # the same, of this round and the last n before it with rows
    sets: Callable[[], Mapping[str, pd.DataFrame]]  # what is compared, by name: rows of all rounds
    before: Callable[[], Before | None]
    student: Any  # untrained (see students/made.py)
    encode: Encode
    # name (None: the annotator), what it is asked for, lines of an answer -> the model. The last two are for
    # a plan, which counts calls, and so is `expect`: so many at the most, about rows that are not made yet
    model: Callable[..., Completes]
    expect: Callable[[Completes, int], None]
    annotate: Callable[[Sequence[str]], Sequence[LabelLogprobs | None]]  # the annotator, of the texts' labels
    text_of: Callable[[Answer, bool], str]  # what was said (on one line), without what models put around it
    retrieve: Callable[[str, str, int], Sequence[str]]  # file, query, k -> the passages that fit best
    passes: Passes
    verdicts: Callable[[str], Mapping[tuple[str, str], float]]  # file -> what people say of pairs of ids
    knowledge: Callable[[], Mapping[str, Share]] = dict  # condition -> what all rounds used of its items
    reviews: pd.DataFrame | None = None  # what people decided, of a recipe that asks them
    shared: dict[str, Any] = field(default_factory=dict)  # what one metric works out and another needs
    told: dict[str, list[Sequence[str]]] = field(default_factory=dict)  # small tables for people


class Metric(Section):
    """Base of all metrics. Its fields are what a recipe may say of it."""

    name: ClassVar[str] = ""
    of_pairs: ClassVar[bool] = False  # whether its texts are both of a pair, as one of `core.text.pairs`

    @classmethod
    def of(cls, said: Any) -> Metric:
        """The metric as a field of `metrics` asks for it: one that is built in."""
        return cls() if said is True else cls.model_validate({"wanted": said})

    def measure(self, look: Look) -> Iterable[Row] | pd.DataFrame:
        """The rows of the table `metrics`: one by one, or as a table of them."""
        raise NotImplementedError(f"{type(self).__name__} needs measure()")

    def models(self) -> Sequence[str | NamedModel | None]:
        """Whom it asks: aliases or names, None for the annotator's model; empty if it asks nobody."""
        return ()

    def ask(self, look: Look) -> None:
        """Ask what `measure` would ask. A plan calls it to count; of rows that are not made yet, let
        `look.expect` say how many calls there may be."""
        if self.models() and look.filtered is not None:
            for _ in self.measure(look):
                pass
