"""What a command says: lines for people as they come, or with --json one object for a program at the end."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import date
from io import TextIOWrapper
from math import isfinite
from typing import Any, SupportsFloat

from synth_assets.core.errors import Mistake, UserError, status_of
from synth_assets.core.text.signs import OBEYED


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json: see `Output`."""
    parser.add_argument("--json", action="store_true", help="for programs: one object on standard output")


@dataclass
class Output:
    """Where a command says what it found: `lines` for people, `give` for programs. Errors are for both."""

    command: str = ""
    json: bool = False
    data: dict[str, Any] = field(default_factory=dict)
    errors: list[Mistake] = field(default_factory=list)

    def lines(self, lines: Iterable[object]) -> None:
        """Print them, each as it comes; not for a program."""
        if not self.json:
            for line in lines:
                print(line, flush=True)

    def give(self, **data: Any) -> None:
        """What a program gets, by name."""
        self.data |= data

    def wrong(self, *mistakes: Mistake) -> None:
        """What a program is told besides, where the exit code is not 0."""
        self.errors += mistakes

    @contextmanager
    def whole(self) -> Iterator[None]:
        """For a program nothing but the object is on standard output, whatever a library prints."""
        with redirect_stdout(sys.stderr) if self.json else nullcontext():
            yield

    def finish(self, code: int) -> int:
        """Print the object, if it is wanted, and what is left of the lines; returns the exit code."""
        try:
            if self.json:
                head = {"command": self.command, "ok": code == 0, "exit_code": code, "errors": self.errors}
                escaped = not (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")
                print(json.dumps(plain({**head, **self.data}), ensure_ascii=escaped, indent=1))
            if sys.stdout is not None:
                sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:  # a full disk
            if not code:
                print(f"error: standard output: {error}", file=sys.stderr)
            nobody_listens()
            return code or 1
        return code


class Terminal(TextIOWrapper):
    """Standard output or error where it is a terminal, which obeys no text that a model or a file has."""

    def write(self, text: str) -> int:
        return super().write(harmless(text))


def harmless(text: str) -> str:
    """The text with all that a terminal obeys written out, as `\\x1b`."""
    return OBEYED.sub(lambda sign: sign[0].encode("unicode_escape").decode(), text)


def protect() -> None:
    """Let a terminal be shown signs alone; into a pipe or a file everything goes as it is."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, TextIOWrapper):  # it may be closed
            stream.reconfigure(errors="backslashreplace")  # what it cannot show, and half an emoji anywhere
            if stream.isatty() and not isinstance(stream, Terminal):
                how: dict[str, Any] = {"encoding": stream.encoding, "errors": stream.errors}
                setattr(sys, name, Terminal(stream.buffer, **how, line_buffering=True))


def nobody_listens() -> None:
    """What is still to be printed goes nowhere, as Python would say when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def failed(out: Output, error: UserError | str, code: str = "mistake") -> int:
    """Say on standard error what is wrong, and tell a program too; returns the exit status."""
    mistakes = error.mistakes if isinstance(error, UserError) else (Mistake(error, code),)
    status = status_of(mistakes)
    print(f"error: {error}" if status else error, file=sys.stderr)
    out.wrong(*mistakes)
    return status


def plain(value: Any) -> Any:
    """As JSON has it: a number that is none is null, and a day its text."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if hasattr(value, "tolist"):  # an array, or a number out of one
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(each) for each in value]
    if isinstance(value, str | int | None):
        return value
    if isinstance(value, SupportsFloat):
        return float(value) if isfinite(value) else None
    return value.isoformat() if isinstance(value, date) else str(value)
