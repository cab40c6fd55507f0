"""A recipe from a sentence: a model that has read what a recipe may say writes it, and the check judges."""

from __future__ import annotations

import json
import os
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.core.addresses import has_login
from synth_assets.core.asking import Answer, Message
from synth_assets.core.days import timezone_here, today
from synth_assets.core.errors import UserError
from synth_assets.core.text.signs import OBEYED
from synth_assets.generation.conditions.document_files import read_document
from synth_assets.generation.conditions.documents import Documents
from synth_assets.generation.conditions.knowledge import Index
from synth_assets.planning import foreign
from synth_assets.planning.checked import check_recipe
from synth_assets.planning.reference import GALLERY, first_words, of_recipes
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.schema import LINE
from synth_assets.resources.gateway.budget import Use, use_of
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import LIMITS, Request
from synth_assets.resources.storage.sources import files_of, read_rows

if TYPE_CHECKING:
    from synth_assets.resources.gateway.language_model import LanguageModel

TRIES = 3
LONGEST = 8_000  # tokens of an answer
CORRECTED = 2_000  # signs of the mistakes that a model is told
SHOWN = 160  # signs of a value of the data
FEW = 20  # values of a column that are all shown
DOCUMENTS = (".md", ".markdown", ".html", ".htm", ".xhtml", ".pdf", ".txt")
OURS = re.compile(r"^(?:model|start|timezone):.*\n?(?:[ \t]+.*\n?)*", re.MULTILINE)  # what is written for it
FENCED = re.compile(r"^([ \t]*)(`{3,}|~{3,})[^\n]*\n(.*?)(?:^\1\2[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
FIELD = re.compile(rf"(?:{'|'.join(Recipe.fields_of())}):(?:\s|$)")

WISH = """\
Write the recipe of this data set:

{words}

{data}

Answer with the whole recipe, in YAML, and nothing else. What it has to be:
- an ordinary recipe as a person writes it, with a short comment (`# why`) at each choice;
- {only};
- without `model`, `start`, `timezone` and `encoder`, and with no model named anywhere: that is done for you;
- of what is built in alone: no plug-in and no `module:Name`;
- `rows` a small number: a person asks for more.

Recipes of published systems that are near to it, for the form (their files are not here):

{examples}
"""
AGAIN = """\
`synth check` says of it:
{mistakes}
Write the whole recipe once more, with that mended, and nothing else.
"""


@dataclass(frozen=True)
class Wish:
    """What a recipe is wanted for: in the user's words, with the user's data, and the model that it names."""

    name: str
    words: str
    data: str | None
    model: str

    @property
    def paths(self) -> frozenset[str]:
        """The files that it may read."""
        found = [self.data, *map(str, _files(self.data))] if self.data else []
        return frozenset(map(os.path.normpath, found))


@dataclass(frozen=True)
class Try:
    """What one answer came to: a recipe, or what is wrong with it."""

    answer: Answer
    text: str  # of the file that it would be
    recipe: Recipe | None
    notes: Sequence[tuple[str, str]]  # what the check says of a right one
    wrong: UserError | None

    def data(self) -> dict[str, Any]:
        """For programs."""
        mistakes = self.wrong.mistakes if self.wrong else ()
        return {"call": self.answer.identity, "recipe": self.text, "mistakes": mistakes}


def nearest(words: str, n: int = 3) -> dict[str, str]:
    """Recipes of the gallery whose words are most like these (BM25): name -> what it is."""
    paths = sorted(GALLERY.glob("*.yaml"))
    index = Index([path.read_text(encoding="utf-8") for path in paths])
    return {paths[at].stem: first_words(paths[at]) for at, _ in index.search(words, n)}


def question(wish: Wish) -> list[Message]:
    """What `synth context` says of recipes, and what is wished for."""
    examples = [(GALLERY / f"{name}.yaml").read_text(encoding="utf-8") for name in nearest(wish.words, 2)]
    only = f"the only file that it may name is `{wish.data}`" if wish.data else "it names no file: no `seeds`"
    asked = WISH.format(
        words=wish.words,
        data=_about(wish.data) if wish.data else "There is no file of data.",
        only=only,
        examples="\n".join(f"```yaml\n{text}```" for text in examples) or "(none)",
    )
    return [{"role": "system", "content": "\n".join(of_recipes())}, {"role": "user", "content": asked}]


def about_at_most(messages: Sequence[Message], model: Model) -> Use:
    """What all tries take, where each answer is as long as it can be; four bytes a token."""
    first = sum(len(message["content"].encode()) for message in messages) // 4
    prompts = sum(first + again * (LONGEST + CORRECTED // 4) for again in range(TRIES))
    return use_of(prompts, TRIES * LONGEST, model.price)


def _sampling(model: Model) -> dict[str, Any]:
    """The limit by each name that the model's entry has for it."""
    names = {"max_tokens", *(name for name in LIMITS if model.parameters.get(name))}
    return {"temperature": 0.0, **dict.fromkeys(sorted(names), LONGEST)}


def tries(lm: LanguageModel, model: Model, messages: list[Message], wish: Wish, path: Path) -> Iterator[Try]:
    """Ask, until an answer is right; each question after a wrong answer says what was wrong. UserError where
    the model gives no answer at all."""
    for _ in range(TRIES):
        (answer,) = lm.complete(model, [Request(messages, _sampling(model))])
        if answer.outcome not in ("ok", "truncated"):
            code = "mistake" if answer.outcome == "refused" else "unanswered"
            raise UserError(f"{model.name}: {answer.outcome} ({answer.error or answer.text}).", code)
        said = answer.text or ""
        made = _judged(answer, said, wish, path)
        yield made
        if made.wrong is None:
            return
        again = {"role": "user", "content": AGAIN.format(mistakes=_mistakes(made))}
        messages = [*messages, {"role": "assistant", "content": said or "(nothing)"}, again]


def _judged(answer: Answer, said: str, wish: Wish, path: Path) -> Try:
    text = written(said, wish)
    try:
        if answer.outcome == "truncated":
            raise UserError(f"the answer had more than {LONGEST:,} tokens: write a shorter recipe.")
        recipe = foreign.read(text.encode(), path, wish.data, wish.paths)
        return Try(answer, text, recipe, list(check_recipe(recipe, path)), None)
    except UserError as error:
        return Try(answer, text, None, (), error)


def written(said: str, wish: Wish) -> str:
    """The file that an answer would be: with what it is for in a comment, the user's model, the first day."""
    timezone = timezone_here()
    about = textwrap.wrap(" ".join(OBEYED.sub(" ", wish.words).split()), 100, break_on_hyphens=False)
    head = [f"# {line}" for line in about]
    model = json.dumps(wish.model, ensure_ascii=False)
    tail = [f"model: {model}", f"start: {today(timezone)}", f"timezone: {timezone}"]
    return LINE + "\n".join([*head, "", OURS.sub("", yaml_of(said)).strip("\n"), "", *tail]) + "\n"


def yaml_of(said: str) -> str:
    """The recipe of an answer, which may stand in a fence, or between words."""
    said = said.replace("\r\n", "\n")
    fenced = [textwrap.dedent(found[3]) for found in FENCED.finditer(said)]
    blocks = [block for block in fenced if any(map(FIELD.match, block.splitlines()))]
    lines = max(blocks, key=len, default=said).splitlines()
    starts = [at for at, line in enumerate(lines) if FIELD.match(line)]
    if not starts:
        return said
    first = last = starts[0]
    while first and (lines[first - 1].startswith("#") or not lines[first - 1].strip()):
        first -= 1
    while last < len(lines) and (
        not lines[last].strip() or lines[last][0] in " \t#-}]" or _field(lines[last])
    ):
        last += 1
    return "\n".join(lines[first:last])


def _field(line: str) -> bool:
    """Whether it may be a field, a wrong one too; no sentence of an answer is one."""
    return re.match(r"[a-z_]+:(\s|$)", line) is not None


def _mistakes(made: Try) -> str:
    """What is wrong, each with its line as it stands there; not with a path of this machine."""
    assert made.wrong is not None
    lines, told = ["", *made.text.splitlines()], []
    for mistake in made.wrong.mistakes:
        named = not mistake.field or mistake.message.startswith(mistake.field)
        line = "".join(lines[mistake.line or 0 :][:1]).strip()
        at = f" (line `{line}`)" if line else ""
        told.append(f"- {'' if named else f'{mistake.field}: '}{mistake.message}{at}")
    return "\n".join(told)[:CORRECTED]


def _files(data: str) -> list[Path]:
    if Path(data).suffix.lower() in DOCUMENTS:
        return Documents(documents=data).files()
    return files_of(data)


def _about(data: str) -> str:
    """The user's data in words. UserError where it cannot be read."""
    if "://" in data and has_login(data):
        raise UserError("--data: the address holds a user or password: leave them out.", "usage")
    if Path(data).suffix.lower() in DOCUMENTS:
        return _about_documents(data)
    rows = read_rows(data, field="--data")
    told = [f"The data are in `{data}`: {len(rows):,} rows with these columns, and values of the first rows."]
    for name in rows:
        column = rows[name].astype(str)
        counts = column.value_counts()
        few = (
            f"; all of them: {_json(dict(counts.sort_index()))}"
            if 1 < len(counts) <= min(FEW, len(rows) // 2)
            else ""
        )
        told.append(f"- {_json(str(name))}: {len(counts):,} different; {_json(list(column.head(3)))}{few}")
    return "\n".join(told)


def _about_documents(data: str) -> str:
    found = _files(data)
    if not found:
        raise UserError(
            f"--data: no file matches {data}: write a glob from the working directory on.", "usage"
        )
    begins = [f"- {path.as_posix()}: {_json(read_document(path).text)}" for path in found[:3]]
    word = json.dumps(data, ensure_ascii=False)
    how = f"as a source of values, `{{documents: {word}}}` takes pieces of them"
    return "\n".join(
        [f"The data are documents, `{data}`: {len(found):,} files ({how}). They begin:", *begins]
    )


def _json(value: Any) -> str:
    """Short, and on one line."""
    if isinstance(value, str):
        return json.dumps(value[:SHOWN] + "…" * (len(value) > SHOWN), ensure_ascii=False)
    if isinstance(value, dict):
        return ", ".join(f"{_json(name)} ({n:,})" for name, n in value.items())
    return ", ".join(map(_json, value))
