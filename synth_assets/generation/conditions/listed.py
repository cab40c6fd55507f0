"""Condition values that a language model lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from synth_assets.contracts.provider import Listed
from synth_assets.core import templates as core_templates
from synth_assets.generation.conditions import asking

if TYPE_CHECKING:
    from synth_assets.core.asking import Completes

OF_LABEL = {"definition", "verbalizer"}
TASK = {"role", "instruction", "text_type", "label_type", "definitions", "verbalizers"}


class Asked(Listed):
    """A list asked of the model, once for each combination of the conditions that the question names
    (AttrPrompt, Yu et al. 2023; ClinGen, Xu et al. 2023)."""

    name = "ask"
    knows = ("n",)
    ask: str
    n: int = Field(default=20, ge=1)

    def templates(self) -> list[str]:
        return [self.ask]

    @property
    def wanted(self) -> int:
        return self.n

    @property
    def named(self) -> set[str]:
        names = core_templates.names(self.ask) - {"n"} - TASK
        return names - OF_LABEL | ({"label"} if names & OF_LABEL else set())

    def question(self, fields: Mapping[str, Any]) -> str:
        return core_templates.render(self.ask, {**fields, "n": self.n})

    def answers(self, question: str, model: Completes, replicate: str) -> list[str]:
        return asking.ask(question, self.n, model, self.sampling, replicate)


class Tree(Listed):
    """The leaves of a tree of concepts that the model grows, `breadth` below each node, `depth` levels below
    the root (UltraChat, Ding et al. 2023; Explore-Instruct, Wan et al. 2023). A value is the leaf's path."""

    name = "tree"
    tree: str  # the question; it knows node, path, siblings, breadth
    root: str
    depth: int = Field(default=2, ge=1, le=6)
    breadth: int = Field(default=5, ge=1)

    @property
    def wanted(self) -> int:
        return self.breadth

    def question(self, fields: Mapping[str, Any]) -> str:
        return self.tree

    def answers(self, question: str, model: Completes, replicate: str) -> list[str]:
        """The paths of the tree's leaves."""
        paths = asking.tree(self.root, self.depth, self.breadth, question, model, self.sampling, replicate)
        inner = {path[:-1] for path in paths}
        return [" / ".join(path) for path in paths if path not in inner]
