"""The one error that users see: a mistake which they can mend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches


class UserError(Exception):
    """Something that the user wrote or set is wrong. The message names the place (file, line or field), the
    known alternatives and the fix; the command line prints it without a traceback and exits with 2."""


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
    return UserError(f"{prefix}unknown {what} {str(name)!r}.{hint} Known: {all_ or 'none'}.")
