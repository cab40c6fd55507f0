"""What the kinds of steps have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from synth_assets.contracts.section import ModelSpec


class StepBase(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _one_kind(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and sum(word in value for word in WORDS) != 1:
            raise ValueError(
                "give exactly one of `prompt` (a chat message), `complete` (text to go on with), `tool`, "
                "`vote` and `turns`"
            )
        return value


class Sampled(StepBase):
    """Sampling that is not said here is as the model's entry in models.yaml says, or 1, 1 and 256."""

    asks: ClassVar[bool] = True

    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    stop: list[str] = []
    model: ModelSpec | None = None  # default: the recipe's model

    def sampling(self) -> dict[str, Any]:
        """What is said here; the rest is the model's."""
        said = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_tokens}
        stop = {"stop": list(self.stop)} if self.stop else {}
        return {name: value for name, value in said.items() if value is not None} | stop


class Unasked(StepBase):
    """A step that asks no model."""

    asks: ClassVar[bool] = False
    samples: ClassVar[int] = 1
    model: ClassVar[None] = None
    answer_schema: ClassVar[None] = None
    under_role: ClassVar[bool] = False


class Prompted(Sampled):
    """What a model is asked: `complete` is text that it goes on with, `prompt` a chat message."""

    prompt: str | None = None
    complete: str | None = None

    @property
    def template(self) -> str:
        return self.prompt if self.prompt is not None else str(self.complete)

    @property
    def templates(self) -> tuple[str, ...]:
        return (self.template,)

    @property
    def under_role(self) -> bool:
        """Whether the task's role stands over what is asked."""
        return self.prompt is not None


WORDS = ("prompt", "complete", "tool", "vote", "turns")
