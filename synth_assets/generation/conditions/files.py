"""Condition values from files: lines, words, a taxonomy, snippets of code."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import Field

from synth_assets.contracts.provider import SEPARATOR, Around, Draw, Pool, Weights
from synth_assets.core import strict_yaml
from synth_assets.core.errors import UserError
from synth_assets.generation.conditions.drawn import number
from synth_assets.generation.conditions.turns import Turns, shuffled
from synth_assets.selection.select import ranked, select_random

AGAIN = ([], *([f"again {n}"] for n in range(1, 50)))  # draws of a snippet that no row had yet


class Lines(Pool):
    """The lines of a text file."""

    name = "file"
    file: str
    """A text file, a value a line."""

    def files(self) -> list[Path]:
        return [Path(self.file)]

    def pool(self, name: str, row: Mapping[str, str], around: Around) -> Weights:
        found = lines_of(self.file)
        if not found:
            raise UserError(f"conditions.{name}: {self.file} has no lines: write one value a line.")
        return dict.fromkeys(found, 1.0)


class Leaves(Pool):
    """The leaves of a folder tree of examples (LAB, Sudalairaj et al. 2024)."""

    name = "taxonomy"
    taxonomy: str
    """The folder."""

    def files(self) -> list[Path]:
        return [path for path in sorted(Path(self.taxonomy).rglob("*")) if path.is_file()]

    def pool(self, name: str, row: Mapping[str, str], around: Around) -> Weights:
        return dict.fromkeys(taxonomy(Path(self.taxonomy)), 1.0)


class Words(Draw):
    """`k` words of each part of speech of a file of lines `word,pos` (TinyStories, Eldan and Li 2023)."""

    name = "words"
    remembers = True
    words: str
    """A file of lines `word,pos`."""
    k: int = Field(default=1, ge=1, le=10_000)
    """Words of each part of speech."""

    def files(self) -> list[Path]:
        return [Path(self.words)]

    def _in_turn(self, around: Around, parts: Sequence[object]) -> Iterator[str]:
        *place, _, name = parts
        pool = _vocabulary(*stamp(self.words))
        words(pool, self.k, *parts)  # refuses a pool with too few
        taken = [str(value).split(SEPARATOR) for value in around.taken(str(name))]
        turns = [
            Turns(
                of_it,
                partial(shuffled, *place, name, pos),
                (word for value in taken for word in value[at * self.k : (at + 1) * self.k]),
            )
            for at, (pos, of_it) in enumerate(pool.items())
        ]
        while True:
            yield SEPARATOR.join(word for each in turns for word in each.take_some(self.k))

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        if found := self.remembered(around, parts, partial(self._in_turn, around, parts)):
            return found
        return SEPARATOR.join(words(_vocabulary(*stamp(self.words)), self.k, *parts))


class Snippets(Draw):
    """Consecutive lines of one of some files (OSS-Instruct, Wei et al. 2023)."""

    name = "snippets"
    remembers = True
    snippets: str
    """Which files: a glob."""
    lines: tuple[int, int] = (1, 15)
    """The fewest and the most lines."""

    def files(self) -> list[Path]:
        pattern = Path(self.snippets).expanduser()
        within = Path(pattern.anchor)  # it may be an absolute one
        try:
            found = sorted(within.glob(str(pattern.relative_to(within))))
        except ValueError:
            why = f"{self.snippets}: ** stands for whole folders, as in src/**/*.py."
            raise UserError(why) from None
        return [path for path in found if path.is_file()]

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        found = self.files()
        if not found:
            raise UserError(f"conditions.{parts[-1]}: no file matches {self.snippets}.")
        make = partial(self._unlike, found, around, parts)
        return self.remembered(around, parts, make) or snippet(found, self.lines, *parts)

    def _unlike(self, files: Sequence[Path], around: Around, parts: Sequence[object]) -> Iterator[str]:
        *place, _, name = parts
        seen = {*around.taken(str(name))}
        for at in count():
            draws = (snippet(files, self.lines, *place, *again, at, name) for again in AGAIN)
            found = next((text for text in draws if text not in seen), None)
            yield found or snippet(files, self.lines, *place, at, name)
            seen.add(found)


def stamp(file: str) -> tuple[str, int]:
    """What a cache knows a file by."""
    try:
        seen = Path(file).stat()
    except OSError as error:
        why = f"{file} cannot be read: {error.strerror}. Name a file of the working directory."
        raise UserError(why) from error
    # a file that was put back may have the time of before; the last of these is no one's to set
    return file, hash((seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns))


def lines_of(file: str) -> list[str]:
    """The different lines of a file that are not empty."""
    return list(_read(*stamp(file)))


def places_of_lines(file: str) -> Mapping[str, int]:
    """The same -> the number of the line that has it first."""
    return _read(*stamp(file))


@lru_cache(maxsize=32)
def _read(file: str, _: int) -> Mapping[str, int]:
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    found: dict[str, int] = {}
    for place, line in enumerate(text.splitlines(), 1):
        if line.strip():
            found.setdefault(line.strip(), place)
    return found


@lru_cache(maxsize=8)
def _vocabulary(file: str, _: int) -> Mapping[str, Sequence[str]]:
    return read_words(Path(file))


def read_words(path: Path) -> dict[str, list[str]]:
    """Part of speech -> its words, from a CSV file of lines `word,pos`. A repeated word counts once."""
    pool: dict[str, dict[str, None]] = {}
    for line, fields in enumerate(_csv(path), 1):
        cells = [cell.strip() for cell in fields]
        if len(cells) != 2 or not all(cells):
            why = f"{','.join(fields)!r} is no word and its part of speech: write word,pos."
            raise UserError(f"{path}:{line}: {why}")
        if (line, cells) != (1, ["word", "pos"]):
            pool.setdefault(cells[1], {})[cells[0]] = None
    if not pool:
        raise UserError(f"{path} has no words: write lines of word,pos.")
    return {pos: list(of_it) for pos, of_it in pool.items()}


def words(pool: Mapping[str, Sequence[str]], k: int, *parts: object) -> list[str]:
    """`k` different words of each part of speech. A word that is added changes only the rows that take it."""
    for pos, of_it in pool.items():
        if len(of_it) < k:
            why = f"the vocabulary has {len(of_it)} of {pos!r}, fewer than {k}: add words, or ask for fewer."
            raise UserError(why)
    return [word for pos, of_it in pool.items() for word in select_random(of_it, k, *parts, pos)]


def snippet(files: Iterable[Path], lines: tuple[int, int], *parts: object) -> str:
    """Consecutive lines of one of the files, as many as `lines` says. Files that are not UTF-8 text, or
    shorter, are passed over. They are told apart by their paths as given: with relative paths the choice is
    the same on another machine. UserError when none of them has the lines."""
    by_name = {path.as_posix(): path for path in files}
    size = int(number(*lines, *parts, "size", whole=True))
    for name in ranked(by_name, *parts):
        found = _lines(by_name[name])
        first = int(number(0, max(0, len(found) - size), *parts, "first", whole=True))
        if len(found) >= size and (text := "\n".join(found[first : first + size])).strip():
            return text
    why = f"none of {len(by_name):,} files is a text of {size} lines"
    raise UserError(f"{why}: add files, or take fewer lines.")


def _lines(path: Path) -> list[str]:
    """None of a binary file: Git's rule (a NUL byte), and UTF-8."""
    content = path.read_bytes()
    try:
        return [] if b"\0" in content else content.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        return []


def taxonomy(folder: Path) -> dict[str, list[dict[str, str]]]:
    """The leaves of a folder tree in the order of their paths, relative to it and with slashes -> their rows.

    A leaf holds qna.yaml (`seed_examples` with question, answer and perhaps context) or .csv and .jsonl files
    with a column `text`. Raises UserError when a file is not like that, or when there is none.
    """
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows}
    rows: dict[str, list[dict[str, str]]] = {}
    for path in sorted(folder.rglob("*")):
        reader = _qna if path.name == "qna.yaml" else readers.get(path.suffix)
        if reader and path.is_file():
            rows.setdefault(path.parent.relative_to(folder).as_posix(), []).extend(reader(path))
    if not rows:
        raise UserError(f"{folder} has no leaf: put a qna.yaml, .csv or .jsonl file into its folders.")
    return dict(sorted(rows.items()))


def _qna(path: Path) -> list[dict[str, str]]:
    examples = strict_yaml.read(path).content.get("seed_examples")
    rows = []
    for example in examples if isinstance(examples, list) else []:
        mapping = example if isinstance(example, dict) else {}
        for pair in mapping.get("questions_and_answers", [mapping]):  # version 3: several of one context
            both = mapping | (pair if isinstance(pair, dict) else {})
            rows.append({k: str(both[k]).strip() for k in ("question", "answer", "context") if both.get(k)})
    if not rows or not all({"question", "answer"} <= set(row) for row in rows):
        raise UserError(f"{path}: seed_examples is not a list of examples with question and answer.")
    return rows


def _csv_rows(path: Path) -> list[dict[str, str]]:
    head, *body = _csv(path) or [[]]
    return _with_text(path, [dict(zip(head, row, strict=False)) for row in body])


def _jsonl_rows(path: Path) -> list[dict[str, str]]:
    rows = []
    for at, line in enumerate(_text(path).split("\n"), 1):
        try:
            rows += [json.loads(line)] if line.strip() else []
        except json.JSONDecodeError as error:
            raise UserError(f"{path}:{at}: not JSON: {error.msg}.") from error
    return _with_text(path, rows)


def _with_text(path: Path, rows: list[Any]) -> list[dict[str, str]]:
    if not rows or not all(isinstance(row, dict) and row.get("text") for row in rows):
        raise UserError(f"{path}: not every row has a text: name the column `text`, and fill it.")
    return [{str(k): str(v) for k, v in row.items() if v is not None} for row in rows]


def _csv(path: Path) -> list[list[str]]:
    """The lines that are not empty, as fields."""
    return [row for row in csv.reader(StringIO(_text(path), newline="")) if row]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}: save the file as UTF-8.") from error
