"""Condition values from a tree of concepts that a language model grows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field

from synth_assets.contracts.provider import Listed
from synth_assets.core import templates
from synth_assets.core.asking import Completes
from synth_assets.core.errors import UserError
from synth_assets.core.identity import tagged_hash
from synth_assets.generation.conditions.asking import Question, ask_all, normalised

BETWEEN = " / "  # the names of a path
TRIES = 3  # nodes that are asked about in a round, until one has a new name below it
Path = tuple[str, ...]  # the names from the root to a node


class Tree(Listed):
    """The leaves of a tree of concepts that the model grows, `breadth` below each node, `depth` levels below
    the root (UltraChat, Ding et al. 2023; Explore-Instruct, Wan et al. 2023). A value is the leaf's path."""

    name = "tree"
    newer = ("alike", "grow")
    tree: str
    """The question, as a template; it knows node, path, siblings and breadth."""
    root: str
    """Where the tree begins."""
    depth: int = Field(default=2, ge=1, le=6)
    """Levels below the root."""
    breadth: int = Field(default=5, ge=1, le=1_000)
    """Nodes below each node."""
    alike: float = Field(default=1.0, ge=0, le=1)
    """Names whose ROUGE-L with another one of the tree is over this are left out."""
    grow: int = Field(default=0, ge=0, le=1_000)
    """Nodes by which each round after a cell's first makes the tree grow."""

    @property
    def wanted(self) -> int:
        return self.breadth

    def question(self, fields: Mapping[str, Any]) -> str:
        return self.tree

    def answers(self, question: str, model: Completes, replicate: str) -> list[str]:
        of = (self.root, self.depth, self.breadth, question, model, self.sampling, replicate)
        return leaves(map(BETWEEN.join, tree(*of, alike=self.alike)))

    @property
    def grows(self) -> int:
        return self.grow

    def grown(self, values: Iterable[str]) -> list[str]:
        return leaves(values)

    def more(
        self, values: Iterable[str], barren: Iterable[str], model: Completes, replicate: str
    ) -> list[tuple[str, str | None]]:
        """New nodes of one that is asked about: of those without nodes below it the first, and where all have
        some, beside the fewest (look-ahead and back-tracking of Explore-Instruct)."""
        nodes = _nodes([(self.root,), *(tuple(value.split(BETWEEN)) for value in values)])
        children = Counter(path[:-1] for path in nodes)
        gone = {*barren}
        fit = [p for p in nodes if len(p) <= self.depth and BETWEEN.join(p) not in gone]
        fit.sort(key=lambda path: (children[path], tagged_hash("grow/1", [replicate, *path])))
        taken, found = {normalised(path[-1]) for path in nodes}, list[tuple[str, str | None]]()
        for path in fit[:TRIES]:
            there = [other[-1] for other in nodes if other[:-1] == path]
            asked = _question(self.tree, path, nodes, self.grow, replicate, there)
            ask_all([asked], len(there) + self.grow, model, self.sampling, taken, self.alike)
            new, node = asked.found[len(there) :], BETWEEN.join(path)
            found += [(node, BETWEEN.join((node, name))) for name in new] or [(node, None)]
            if new:
                break
        return found


def leaves(values: Iterable[str]) -> list[str]:
    """The paths that go on in no other one."""
    paths = list(dict.fromkeys(values))
    inner = {BETWEEN.join(path[:-1]) for path in _nodes([tuple(p.split(BETWEEN)) for p in paths])}
    return [path for path in paths if path not in inner]


def _nodes(paths: Iterable[Path]) -> list[Path]:
    """The nodes that the paths go through, each once."""
    return list(dict.fromkeys(path[:end] for path in paths for end in range(1, len(path) + 1)))


def tree(
    root: str,
    depth: int,
    breadth: int,
    question: str,
    model: Completes,
    sampling: Any,
    replicate: str,
    alike: float = 1.0,
) -> list[Path]:
    """The paths of all nodes below `root`, level by level; each begins with `root`, the longest have `depth`
    more names.

    `question` is a template that knows `node`, `path` (names from the root to the node), `siblings` and
    `breadth`, the number of children wanted. A name stands in the tree once: a node that has no more than
    names that are taken has fewer children. A level is asked at once. UserError when the root has none.
    """
    templates.check(question, dict.fromkeys(["node", "path", "siblings", "breadth"]), "question of a tree")
    level: list[Path] = [(root,)]
    paths: list[Path] = []
    taken = {normalised(root)}
    for _ in range(depth):
        nodes = [_question(question, path, level, breadth, replicate) for path in level]
        ask_all(nodes, breadth, model, sampling, taken, alike)
        level = [(*path, name) for path, node in zip(level, nodes, strict=True) for name in node.found]
        if not level and not paths:
            why = nodes[0].error or f"nothing but {root}"
            raise UserError(f"the model gave nothing below {root!r} ({why}): say what to list.")
        paths += level
    return paths


def _question(
    template: str, path: Path, among: Sequence[Path], breadth: int, replicate: str, there: Sequence[str] = ()
) -> Question:
    """For nodes below one, which has some already."""
    siblings = [other[-1] for other in among if other[:-1] == path[:-1] and other != path]
    fields = {"node": path[-1], "path": list(path), "siblings": siblings, "breadth": breadth}
    return Question(templates.render(template, fields), f"{replicate}/{'/'.join(path)}", [*there])
