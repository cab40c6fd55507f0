"""What a step of a recipe is: it makes the text of each row, from the row's conditions and the answers of
the steps before it. A step is one class with a `name`; docs/plugins.md has an example.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from synth_assets.contracts.model_spec import ModelSpec, NamedModel
from synth_assets.contracts.section import TOKENS, Section
from synth_assets.core import templates
from synth_assets.core.values import plain

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.core.answer_schema import Schema
    from synth_assets.core.asking import Completes, RunsTools

Said = Mapping[str, Mapping[str, Any]]  # name of an earlier step -> row id -> its text, or its fields
SKIPPED = "skipped"  # the reason of an accepted row that a step was not asked for
COLUMNS = ("text", "reason", "error", "call_id", "prompt_tokens", "completion_tokens")  # what a step may make


@dataclass(frozen=True)
class Work:
    """The rows of one cell that a step is to make, and what it may use."""

    rows: pd.DataFrame  # of the conditions
    seeds: pd.DataFrame  # rows that a prompt may show
    task: Mapping[str, Any]  # what templates know of the task
    said: Said = field(default_factory=dict)
    samples: int = 1  # rows that answer the same question; they stand together
    suffix: str = ""  # of its replicates: tells this step's samples from those of other steps
    model: Completes | None = None
    user: Completes | None = None  # of a dialogue
    tools: RunsTools | None = None  # None: this is a plan
    of: Any = None  # the task itself, as the recipe has it
    maybe: Callable[[Completes, int], None] = lambda model, n: None  # of a plan: calls that may come, or not

    def fields(self) -> Iterator[dict[str, Any]]:
        """What the templates of each row are filled with."""
        shown = {row["row_id"]: plain(row) for row in self.seeds.to_dict("records")}
        columns = list(self.rows)
        for condition in self.rows.itertuples(index=False, name=None):
            row = dict(zip(columns, condition, strict=True))
            yield {
                **self.task,
                **plain(row),
                "demonstrations": [shown[i] for i in row["demonstration_ids"]],
                **{name: answers[row["row_id"]] for name, answers in self.said.items()},
            }

    def rendered(self, template: str) -> list[str]:
        """The template, filled in for each row."""
        return [templates.render(template, fields).strip() for fields in self.fields()]

    def replicates(self) -> list[str]:
        """What tells the calls of each row from those of the others that ask the same."""
        return [f"{r.round}/{r.cell}/{r.replicate}{self.suffix}" for r in self.rows.itertuples()]


class StepBase(Section):
    """Base of all steps. An author writes the `name`, which is also a field of the section, `templates` and
    `run`; the base of a step that asks a model is Sampled. Rows of which `when` is not true are not in its
    work."""

    newer: ClassVar[tuple[str, ...]] = ("when", "otherwise")
    name: ClassVar[str] = ""
    words: ClassVar[tuple[str, ...]] = ()  # in the place of `name`, where there are several
    asks: ClassVar[bool] = False  # a model
    columns: ClassVar[Mapping[str, str]] = {}  # what its table has besides the text -> type
    fills: ClassVar[frozenset[str]] = frozenset()  # columns of the platform that are its to fill
    votes: ClassVar[bool] = False  # whether it needs the rows of a question side by side
    in_turns: ClassVar[bool] = False  # whether its prompts need earlier answers: none is made before the run
    second: ClassVar[str] = ""  # what its second model is asked for, in a plan
    inside: ClassVar[Mapping[str, Any]] = {}  # what its templates know besides -> an example of it
    columns_in: ClassVar[str] = "output"  # the field of its section that names its columns

    when: str | None = Field(default=None, min_length=1)
    """An expression over conditions and earlier steps: only rows that make it true are asked; all stay."""
    otherwise: str | None = Field(default=None, min_length=1)
    """Of the last step, with `when`: the condition or earlier step that is the text of the other rows."""

    @property
    def templates(self) -> tuple[str, ...]:
        """Its prompts, or what it works on."""
        raise NotImplementedError(f"{type(self).__name__} needs templates")

    @property
    def template(self) -> str:
        return "\n".join(self.templates)

    @property
    def per_question(self) -> int:
        """Answers that it makes of each question."""
        return 1

    @property
    def under_role(self) -> bool:
        """Whether the task's role stands over what is asked."""
        return False

    @property
    def answer_schema(self) -> Schema | None:
        """What the answer has to be; None for any text."""
        return None

    @property
    def tools(self) -> Mapping[str, Mapping[str, Any]]:
        """The tools that it runs, with their settings."""
        return {}

    @property
    def works_with(self) -> list[str | None]:
        """Files that decide what it makes; None for one that cannot be found."""
        return []

    @property
    def methods(self) -> list[Any]:
        """The classes and functions that decide what it makes."""
        return [type(self)]

    def columns_of(self, recipe: Any) -> dict[str, str]:
        """Its columns, where they depend on its section."""
        return dict(self.columns)

    def models(self, default: str | NamedModel) -> list[str | NamedModel]:
        """Whom it asks: nobody, a model, or in a dialogue the assistant's and then the user's."""
        return []

    def check(self, recipe: Any, name: str) -> None:
        """What it needs around it in the recipe. ValidationError (see `wrong`) where that is not there."""

    def prepare(self) -> None:
        """UserError when what it needs is not to be found."""

    def shown(self, work: Work) -> Iterator[str]:
        """What is asked, or worked on, for the first row."""
        fields = {**next(work.fields()), **self.inside}
        yield from (templates.render(template, fields) for template in self.templates)

    def run(self, work: Work) -> Iterator[Mapping[str, Any]]:
        """For each row its `text`, or the `reason` why there is none and the `error` in words; besides, what
        is known of the rest of COLUMNS and of its own columns."""
        raise NotImplementedError(f"{type(self).__name__} needs run()")

    def foresee(self, work: Work) -> Iterator[Mapping[str, Any]]:
        """The same before there is what it works on: a text that is there for no other row."""
        yield from ({"text": f"a result that is not there yet {row_id}"} for row_id in work.rows["row_id"])


class Sampled(StepBase):
    """Sampling that is not said here is as the model's entry in models.yaml says, or 1, 1 and 256."""

    asks: ClassVar[bool] = True

    temperature: float | None = Field(default=None, ge=0, le=100)
    """Default: as the model's entry says, or 1."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Default: as the model's entry says, or 1."""
    max_tokens: int | None = Field(default=None, ge=1, le=TOKENS)
    """Default: as the model's entry says, or 256."""
    stop: list[str] = []
    """Texts at which an answer ends."""
    model: ModelSpec | None = None
    """Default: the recipe's model."""

    def sampling(self) -> dict[str, Any]:
        """What is said here; the rest is the model's."""
        said = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_tokens}
        stop = {"stop": list(self.stop)} if self.stop else {}
        return {name: value for name, value in said.items() if value is not None} | stop

    def models(self, default: str | NamedModel) -> list[str | NamedModel]:
        return [self.model or default]


class Prompted(Sampled):
    """What a model is asked: `complete` is text that it goes on with, `prompt` a chat message."""

    prompt: str | None = None
    """A chat message, as a template."""
    complete: str | None = None
    """A text that the model goes on with, as a template."""

    @property
    def templates(self) -> tuple[str, ...]:
        return (self.prompt if self.prompt is not None else str(self.complete),)

    @property
    def under_role(self) -> bool:
        return self.prompt is not None
