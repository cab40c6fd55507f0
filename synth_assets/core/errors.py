"""The one error that users see: a mistake which they can mend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

CODES: Mapping[str, str] = {  # what `--json` calls a mistake; programs rely on these words
    "unknown_field": "a field that this section of the file does not have",
    "unknown_name": "a name that is not among those that are known: a filter, a label, a recipe, a round",
    "missing_field": "a field that has no default is not there",
    "wrong_type": "a text where a number should be, or the like",
    "out_of_range": "a number, a list or a text that is too small or too large",
    "wrong_value": "any other value of a file that cannot be, by itself or beside another",
    "written_twice": "a field that stands in the file twice",
    "not_yaml": "the file cannot be read as YAML in UTF-8",
    "no_key": "the environment variable with the key of a model is not set",
    "usage": "an option or argument of the command line",
    "mistake": "any other mistake that you can mend: the message says how",
    "unreachable": "nobody answers at the model's address; the same command goes on when somebody does",
    "waiting": "requests are with the provider's Batch API; the same command goes on when they are back",
    "unanswered": "rows are there, but requests have no answer; the same command asks for them again",
    "over_budget": "requests were not sent, since the budget does not allow them; what was made is kept",
    "nothing_new": "each text to annotate is a row of another round: there is nothing to do",
    "check_failed": "a blocking check stopped the round; what was made until then is kept",
    "damaged": "a call or a partition is not as it was made",
    "unexpected": "a fault of synth-assets, or of a method of your own; a file says where",
    "system": "the operating system refused something: a full disk, a missing right",
    "stopped": "stopped from outside; the same command goes on",
}
STATUSES: Mapping[int, str] = {  # the exit statuses of `synth`; scripts rely on these numbers
    0: "whole: nothing is left to do",
    1: "failed: a blocking check stopped the round, something is damaged, the system refused something",
    2: "refused: a mistake in the recipe, in an option or in a setting, which you can mend",
    3: "over budget: the rest is made when the budget allows it",
    69: "unreachable: nobody answers at the model's address (EX_UNAVAILABLE)",
    75: "not whole yet: with the provider's Batch API, or without an answer; run again (EX_TEMPFAIL)",
    129: "stopped by a closed terminal",
    130: "stopped by Ctrl-C",
    143: "stopped by SIGTERM",
}
_STATUS_OF: Mapping[str, int] = {  # code of a mistake -> exit status; 2 for all that are not named
    **dict.fromkeys(("check_failed", "damaged", "unexpected", "system"), 1),
    "nothing_new": 0,
    "over_budget": 3,
    "unreachable": 69,
    **dict.fromkeys(("waiting", "unanswered", "stopped"), 75),
}

SYSTEMS = (
    "synth-assets runs on Linux and macOS. On Windows, install and run it in WSL "
    "(https://learn.microsoft.com/windows/wsl/install)."
)


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong, and where."""

    message: str
    code: str = "mistake"
    file: str | None = None
    line: int | None = None
    field: str | None = None  # ("filters.words.at_least")
    fix: str | None = None  # what to write instead, where that can be said apart from the message

    def __str__(self) -> str:
        """As people read it."""
        place = f"{self.file}:{self.line or 1}: " if self.file else ""
        named = not self.field or self.message.startswith(self.field)
        return f"{place}{self.message}" if named else f"{place}{self.field}: {self.message}"


class UserError(Exception):
    """Something that the user wrote or set is wrong. The message names the place (file, line or field), the
    known alternatives and the fix; the command line prints it without a traceback and exits with the status
    that belongs to its code."""

    def __init__(
        self, message: str, code: str = "mistake", fix: str | None = None, mistakes: Sequence[Mistake] = ()
    ) -> None:
        super().__init__(message)
        self.mistakes = tuple(mistakes) or (Mistake(message, code, fix=fix),)

    def of(self, field: str) -> UserError:
        """The same, of a field of a recipe, where it does not say itself of which."""
        return UserError(
            str(self), mistakes=[m if m.field else replace(m, field=field) for m in self.mistakes]
        )

    @property
    def code(self) -> str:
        return self.mistakes[0].code

    @property
    def fix(self) -> str | None:
        return self.mistakes[0].fix

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it."""
        return [f"error: {self}"]


def status_of(mistakes: Sequence[Mistake]) -> int:
    """The exit status that says what sort of mistakes they are: that of the first."""
    return _STATUS_OF.get(mistakes[0].code, 2) if mistakes else 0


def refused(mistakes: Iterable[Mistake]) -> UserError:
    """One error of several mistakes, a line each."""
    found = list(mistakes)
    return UserError("\n".join(map(str, found)), mistakes=found)


def together(errors: Iterable[UserError]) -> UserError:
    """One error of several."""
    found = list(errors)
    return UserError("\n".join(map(str, found)), mistakes=[m for error in found for m in error.mistakes])


def reasons(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what is behind it; one that was raised in two contexts may be behind itself."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__


class NotInstalled(UserError):
    """A part of the installation is not there that a round can do without: what rests on it is unknown, and
    the message is the reason."""


def unknown(
    what: str,
    name: object,
    known: Iterable[object],
    where: str = "",
    origins: Mapping[str, str] | None = None,
) -> UserError:
    """`what` is unknown here: name the alternatives, where they come from, and the likeliest of them."""
    names = sorted(str(k) for k in known)
    near = get_close_matches(str(name), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    prefix = f"{where}: " if where else ""
    all_ = ", ".join(f"{n} ({origins[n]})" if origins and n in origins else n for n in names)
    words = f"{prefix}unknown {what} {str(name)!r}.{hint} Known: {all_ or 'none'}."
    code = "unknown_field" if what == "field" else "unknown_name"
    return UserError(words, code, f"write {near[0]} in the place of {name}" if near else None)
