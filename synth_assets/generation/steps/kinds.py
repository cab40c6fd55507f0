"""The kinds of steps that make a row: a model is asked, a tool is run, the samples of a question vote, two
models talk. A step is of the kind whose word (`prompt` or `complete`, `tool`, `vote`, `turns`) it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from synth_assets.contracts.step import StepBase
from synth_assets.generation.steps.dialogue import TurnsStep
from synth_assets.generation.steps.prompt import Step
from synth_assets.generation.steps.tool import ToolStep
from synth_assets.generation.steps.vote import VoteStep

KINDS: Mapping[str, type[StepBase]] = {"tool": ToolStep, "vote": VoteStep, "turns": TurnsStep}


def class_of(section: Any) -> type[StepBase]:
    """The class of a step as it is written."""
    if not isinstance(section, Mapping):
        return type(section) if isinstance(section, StepBase) else Step
    return next((found for word, found in KINDS.items() if word in section), Step)


AnyStep = Annotated[
    Annotated[Step, Tag("Step")]
    | Annotated[ToolStep, Tag("ToolStep")]
    | Annotated[VoteStep, Tag("VoteStep")]
    | Annotated[TurnsStep, Tag("TurnsStep")],
    Discriminator(lambda value: class_of(value).__name__),
]
TAGS = ("Step", *(found.__name__ for found in KINDS.values()))  # that pydantic puts into places
