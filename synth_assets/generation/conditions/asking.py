"""Condition values that a language model lists: asked until there are enough, kept in a file for review."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

from pydantic import Field

from synth_assets.contracts.provider import Listed
from synth_assets.core import templates
from synth_assets.core.asking import Completes
from synth_assets.core.errors import UserError
from synth_assets.core.text.rouge import f1

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe

ROUNDS = 5  # times that a question is asked at most
SILENT = 2  # answers without a word (refused, all of it thoughts), after which no other is paid for
MARK = re.compile(  # "- item", "3. item", "b) item", "3、item"
    r"(\s*)(?:(?:[-*•–—]|\(?\d+[.):]|[a-zA-Z]\))\s+|(?:[(（]?\d+[、．）]|[①-⑳])\s*)(.*)"
)
OF_LABEL = {"definition", "verbalizer"}
TASK = {"role", "instruction", "text_type", "label_type", "definitions", "verbalizers"}


@dataclass
class Question:
    """A question for a list, and what came of it."""

    text: str
    replicate: str
    found: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # named, but taken by another question
    error: str | None = None  # why an answer gave nothing
    silent: int = 0  # answers without a word


class Asked(Listed):
    """A list asked of the model, once for each combination of the conditions that the question names
    (AttrPrompt, Yu et al. 2023; ClinGen, Xu et al. 2023)."""

    name = "ask"
    knows = ("n",)
    ask: str
    """The question, as a template; it knows `n`."""
    n: int = Field(default=20, ge=1, le=10_000)
    """Values that are wanted."""

    def templates(self) -> list[str]:
        return [self.ask]

    @property
    def wanted(self) -> int:
        return self.n

    @property
    def named(self) -> set[str]:
        names = templates.names(self.ask) - {"n"} - TASK
        return names - OF_LABEL | ({"label"} if names & OF_LABEL else set())

    def question(self, fields: Mapping[str, Any]) -> str:
        return templates.render(self.ask, {**fields, "n": self.n})

    def answers(self, question: str, model: Completes, replicate: str) -> list[str]:
        return ask(question, self.n, model, self.sampling, replicate)


def questions(recipe: Recipe) -> Iterator[tuple[str, Listed, str, str]]:
    """What has to be asked for the conditions that a model lists: attribute, its section, the values of other
    conditions that it is asked for, question."""
    words = recipe.task.verbalizers()
    for name, section in recipe.listed.items():
        names = sorted(section.named)
        columns = (recipe.labels if n == "label" else recipe.attributes[n] for n in names)
        for values in product(*columns):
            row: dict[str, str] = dict(zip(names, map(str, values), strict=True))
            if label := recipe.task.classify.get(row.get("label", "")):
                row |= {"definition": label.definition, "verbalizer": words[row["label"]]}
            asked = section.question({**recipe.task.fields(), **row})
            yield name, section, section.given(row), asked


def answers(name: str, section: Listed, given: str, question: str, model: Completes) -> list[str]:
    """The values that the model lists for an attribute."""
    return section.answers(question, model, f"values/{name}/{given}")


def ask(question: str, n: int, model: Completes, sampling: Mapping[str, Any], replicate: str) -> list[str]:
    """`n` different values, or fewer when the model has no more of them after five rounds, each told what is
    there. Values that differ in case, white space or punctuation at their ends are the same. UserError when
    none came."""
    asked = Question(question, replicate)
    ask_all([asked], n, model, sampling, set())
    if not asked.found:
        why = f"the model gave no value to {question!r} ({asked.error})"
        raise UserError(f"{why}: say what to list, or list values.")
    return asked.found


def ask_all(
    questions: Sequence[Question],
    n: int,
    model: Completes,
    sampling: Mapping[str, Any],
    taken: set[str],
    alike: float = 1.0,
) -> None:
    """Ask the questions that have fewer than `n` values, round by round; one that brings nothing but silence
    is given up. `taken`: all values, normalised. A value whose ROUGE-L with one of them is over `alike` is
    refused as well."""
    for turn in range(ROUNDS):
        open_ = [q for q in questions if len(q.found) < n and (q.found or q.silent < SILENT)]
        if not open_:
            return
        asked = [templates.chat(_told(q, n), "") for q in open_]
        answers = model.complete(asked, sampling, [f"{q.replicate}/{turn}" for q in open_])
        for question, answer in zip(open_, answers, strict=True):
            whole = -1 if answer.outcome == "truncated" else None  # the last value was cut off
            spoken = (answer.text or "") if answer.outcome in ("ok", "truncated") else ""
            question.silent += not spoken.strip()
            values = parse_list(spoken)[:whole]
            if not values:
                why = "no list in its answer" if answer.outcome == "ok" else answer.outcome
                question.error = answer.error or why
            own = {normalised(value) for value in question.found}
            for value in values:
                name = normalised(value)
                new = name not in taken and (alike == 1 or all(f1(name, each) <= alike for each in taken))
                if new and len(question.found) < n:
                    question.found.append(value)
                    own.add(name)
                    taken.add(name)
                elif name not in own:
                    question.refused.append(value)


def _told(question: Question, n: int) -> str:
    missing = n - len(question.found)
    form = f"Answer with a list of {missing}, one a line, and nothing else."
    if not (there := list(dict.fromkeys([*question.found, *question.refused]))):
        return f"{question.text}\n\n{form}"
    given = "\n".join(f"- {value}" for value in there)
    return f"{question.text}\n\nThese are there already:\n{given}\n\nGive others. {form}"


def normalised(value: str) -> str:
    """What two values that are the same have in common: " Lost-card." -> "lost card"; C and C++ differ."""
    return re.sub(r"[\s_\-‐–]+", " ", value.casefold()).strip(" .,;:!?\"'`*“”‘’")


def parse_list(answer: str) -> list[str]:
    """The items of a list as models write them: numbered, with bullets, in JSON, a line each, or with commas.

    Words before the list and bullets below an item are left out, marks and quotes around items too. Of items
    that are the same but for case, the first stays.
    """
    items = _json_items(answer)
    if items is None:
        lines = [line for line in answer.splitlines() if line.strip() and not line.lstrip().startswith("```")]
        if marked := [found for line in lines if (found := MARK.fullmatch(line.replace("**", "")))]:
            least = min(len(found[1]) for found in marked)
            items = [found[2] for found in marked if len(found[1]) == least]
        elif len(lines) == 1:
            items = re.split(r"\s*[,;，、；]\s*(?:and\s+)?", re.sub(r"^[^,:，、：]*(?::\s|：)", "", lines[0]))
        else:
            items = [line for line in lines if not line.rstrip().endswith(":")]
    first: dict[str, str] = {}
    for item in map(_clean, items):
        first.setdefault(normalised(item), item)
    return [item for name, item in first.items() if name]


def _json_items(answer: str) -> list[str] | None:
    """Of a JSON list, or of the list in a JSON object; of one that is cut off, the whole texts."""
    import json

    body = re.sub(r"^\s*```\w*\s*|\s*```\s*$", "", answer).strip()
    if found := re.search(r"^\s*(\[\s*\"[^\]]*\])\W*$", body, re.MULTILINE):  # with words before it
        body = found[1]
    try:
        value = json.loads(body)
    except json.JSONDecodeError:
        return re.findall(r'"((?:[^"\\]|\\.)+)"', body) if body.startswith('["') else None
    lists = [v for v in value.values() if isinstance(v, list)] if isinstance(value, dict) else [value]
    if not lists or not isinstance(lists[0], list):
        return None
    # of objects, {"name": ..., "why": ...}, the first field
    return [str(next(iter(i.values()), "") if isinstance(i, dict) else i) for i in lists[0]]


def _clean(item: str) -> str:
    item = re.sub(r"\*\*|__|`", "", item).strip().rstrip(",;").removesuffix(".").strip()
    quoted = re.fullmatch(r"""(["'“‘])(.*)["'”’]""", item)
    return (quoted[2] if quoted else item).strip()
