"""The section `task` of a recipe: what the rows are, and their labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from synth_assets.contracts.section import Section
from synth_assets.contracts.step import StepBase


class Label(Section):
    """One entry of the codebook."""

    definition: str = Field(min_length=1)
    verbalizer: str | None = None  # the word that stands for the label in prompts; default: its name


class Task(Section):
    """Task specification: what the model is told before any condition (role, codebook, text type)."""

    classify: dict[str, Label] = {}  # the codebook; none: rows without a label
    text: str = "text"  # text type and label type as in GPT3Mix (Yoo et al. 2021)
    label: str = "label"
    role: str = ""
    instruction: str = ""

    @field_validator("classify", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        """`label: definition` is short for `label: {definition: ...}`."""
        if not isinstance(value, Mapping):
            raise ValueError("labels are written as `label: definition`, one a line")
        if len(value) == 1:
            raise ValueError("one label says nothing: write two or more, or leave out `classify`")
        for name, label in value.items():
            if label is None or (isinstance(label, str) and not label.strip()):
                raise ValueError(f"label {str(name)!r} has no definition: write `{name}: what it means`")
            if not isinstance(name, str):
                why = f"label {name!r} is not text to YAML (yes, no, on, off, 1)"
                raise ValueError(f"{why}: put it in quotes")
        return {n: {"definition": v} if isinstance(v, str) else v for n, v in value.items()}

    def fields(self) -> dict[str, Any]:
        """What a template may say about the task itself (e_task of the prompt triple, Eq. 1)."""
        return {
            "role": self.role,
            "instruction": self.instruction,
            "text_type": self.text,
            "label_type": self.label,
            "definitions": {name: label.definition for name, label in self.classify.items()},
            "verbalizers": self.verbalizers(),
        }

    def told_by(self, step: StepBase) -> dict[str, Any]:
        """What of it stands in the prompts of a step; the role stands over every chat."""
        words = set(re.findall(r"\w+", step.template)) | ({"role"} if step.under_role else set())
        return {name: value for name, value in self.fields().items() if name in words}

    def of_label(self, label: str | None) -> dict[str, str]:
        """What a template may say of a row's label; nothing where rows have none."""
        if label not in self.classify:
            return {}
        of = self.classify[label]
        return {"definition": of.definition, "verbalizer": of.verbalizer or label}

    def verbalizers(self) -> dict[str, str]:
        return {name: label.verbalizer or name for name, label in self.classify.items()}
