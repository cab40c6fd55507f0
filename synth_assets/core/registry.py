"""Methods by the word that a recipe has for them: built in, of an installed plug-in, or `module:name`.

A built-in one is a class with `name = "word"` (or `words`, a tuple) in the folder of its kind: the folder's
files are read, and only the one that is asked for is imported. A plug-in is an entry point of the group
`synth_assets.<kind>` whose name is the word. A recipe may also name a class or function of a module on the
path, as `package.module:Name`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import entry_points, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from synth_assets.core.errors import UserError, unknown
from synth_assets.core.identity import tagged_hash

OURS = __name__.partition(".")[0]
FUNCTION = re.compile(r"^def ([a-z]\w*)", re.MULTILINE)
CLASS = re.compile(r"^class (\w+)|^    (?:name|words)(?:: [^=\n]+)? = ([\"(].*)", re.MULTILINE)
WORD = re.compile(r'"(\w+)"')
_all = ContextVar("all", default=True)  # methods, and not the built-in ones alone


@contextmanager
def built_in_alone() -> Iterator[None]:
    """In the meantime no other method is found, and no module imported that a recipe names."""
    token = _all.set(False)
    try:
        yield
    finally:
        _all.reset(token)


@dataclass(frozen=True)
class Entry:
    """A method that can be named: where it is (`module:name`), and the package that it comes with."""

    target: str
    package: str = ""  # of a plug-in: name and version

    def __str__(self) -> str:
        return f"{self.target} ({self.package or 'built in'})"


@dataclass(frozen=True)
class Registry:
    """All methods of one kind. `what` is what one is called, `kind` the end of the entry points' group."""

    what: str
    kind: str
    folder: str  # the built-in ones: a package, or the module whose public functions they are
    more: Mapping[str, str] = field(default_factory=dict)  # words of built-in ones that stand elsewhere

    @cached_property
    def known(self) -> Mapping[str, Entry]:
        """Word -> where it stands. UserError where two have the same word."""
        all_ = [(word, Entry(target)) for word, target in (*_built_in(self.folder), *self.more.items())]
        for point in _plugged_in().select(group=f"{OURS}.{self.kind}"):
            package = f"{point.dist.name} {point.dist.version}" if point.dist else "a plug-in"
            all_.append((point.name, Entry(point.value, package)))
        found: dict[str, Entry] = {}
        for word, entry in all_:
            if word in found:
                raise self._twice(word, found[word], entry)
            found[word] = entry
        return found

    def unknown(self, word: object) -> UserError:
        """There is none of this word: all that are known, and where those of plug-ins come from."""
        packages = {name: entry.package for name, entry in self.known.items() if entry.package}
        return unknown(self.what, word, self.known, origins=packages)

    def find(self, word: str, base: type | None = None) -> Any:
        """The class or function of this word, imported. UserError if there is none, or none of this base."""
        if word not in self.known and ":" not in word:
            raise self.unknown(word)
        if not _all.get() and (word not in self.known or self.known[word].package):
            known = ", ".join(sorted(name for name, entry in self.known.items() if not entry.package))
            raise UserError(f"{self.what} {word!r} is not built in, and would run code. Built in: {known}.")
        found = imported(self.what, self.known[word].target if word in self.known else word)
        if not callable(found) or (base and not (isinstance(found, type) and issubclass(found, base))):
            wanted = f"class with {base.__name__} as its base" if base else "function"
            raise UserError(f"{self.what} {word!r}: it is a {type(found).__name__}, and no {wanted}.")
        if base:
            self._check_name(word, found)
        return found

    def _check_name(self, word: str, found: Any) -> None:
        """A class goes by the word that it gives itself, and no other has that."""
        names = [name for name in (getattr(found, "name", ""), *getattr(found, "words", ())) if name]
        if word in self.known and word not in names:
            raise UserError(f"{self.what} {word!r}: {self.known[word]} has another `name`: {names}.")
        for name in names if ":" in word else ():
            if name in self.known and self.known[name].target != word:
                raise self._twice(name, self.known[name], Entry(word, "in the recipe"))

    def _twice(self, word: str, first: Entry, second: Entry) -> UserError:
        fix = "give one of them another name, or uninstall its package."
        return UserError(f"{self.what} {word!r} is there twice: {first} and {second}: {fix}")


@cache
def imported(what: str, target: str) -> Any:
    """What `package.module:name` says. UserError, with what there is instead."""
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise UserError(f"{what} {target!r}: write it as package.module:{what.partition(' ')[0]}.")
    try:
        module = import_module(module_name)
    except Exception as error:
        why = f"{module_name} cannot be imported ({type(error).__name__}: {error})."
        fix = "Install it, or put its folder on PYTHONPATH."
        raise UserError(f"{what} {target!r}: {why} {fix}") from error
    if not hasattr(module, name):
        known = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise unknown(what, name, known, target)
    return getattr(module, name)


@cache
def made_of(method: Any) -> str | None:
    """Hash of what a plug-in is made of, so that an edit makes stale what it touches: the source and version
    of its module and of its bases'. None of what is built in: its word and its settings say all."""
    modules = [c.__module__ for c in method.__mro__] if isinstance(method, type) else [method.__module__]
    theirs = [m for m in dict.fromkeys(modules) if m.partition(".")[0] not in {OURS, "pydantic", "builtins"}]
    parts = [[m, _version(m), _source(m)] for m in theirs if m not in sys.stdlib_module_names]
    return tagged_hash("plug-in/1", [method.__qualname__, *parts]) if parts else None


@cache
def _packages() -> Mapping[str, list[str]]:
    """Which packages have a module: all files of all packages are looked at for it."""
    return packages_distributions()


def _version(module: str) -> list[str]:
    packages = _packages().get(module.partition(".")[0], [])
    return [f"{name} {version(name)}" for name in sorted(set(packages))]


def _source(module: str) -> str:
    file = getattr(sys.modules.get(module), "__file__", None)  # none: a notebook
    return Path(file).read_bytes().hex() if file else ""


def _built_in(folder: str) -> Iterator[tuple[str, str]]:
    """Word and place (`module:name`) of each method of a package or module, which are read, not imported:
    an `ast` of them takes twenty times as long as these patterns."""
    origin = Path(str(getattr(find_spec(folder), "origin", "")))
    if origin.name != "__init__.py":
        yield from ((name, f"{folder}:{name}") for name in FUNCTION.findall(origin.read_text("utf-8")))
        return
    for path in sorted(origin.parent.glob("*.py")):
        owner = ""
        for name, words in CLASS.findall(path.read_text("utf-8")):
            owner = name or owner
            yield from ((word, f"{folder}.{path.stem}:{owner}") for word in WORD.findall(words))


_plugged_in = cache(entry_points)
TOOL_STEPS = dict.fromkeys(
    ("function", "python", "retrieve", "sql"), f"{OURS}.generation.steps.tool:ToolStep"
)
FILTERS = Registry("filter", "filters", f"{OURS}.curation.filters")
VALUES = Registry("source of values", "values", f"{OURS}.generation.conditions")
LABELS = Registry("way to label", "labels", f"{OURS}.curation.labels")
WEIGHTS = Registry("way to weigh", "weights", f"{OURS}.curation.weights")
METRICS = Registry("metric", "metrics", f"{OURS}.evaluation")
SIGNALS = Registry("signal", "signals", f"{OURS}.evaluation.signals")
TOOLS = Registry("tool", "tools", f"{OURS}.generation.steps.tools", TOOL_STEPS)
STEPS = Registry(
    "step", "steps", f"{OURS}.generation.steps", {"annotate": f"{OURS}.annotation.asking:AnnotateStep"}
)
