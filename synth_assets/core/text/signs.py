"""Signs of a text that nobody sees, and that change how the rest is shown."""

from __future__ import annotations

import re
from typing import NamedTuple

# What moves the cursor, renames the window, colours or answers in the user's name (control characters but tab
# and line end), and what turns the order of signs around or hides among them.
OBEYED = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u206f\\ufff9-\\ufffb"
    "\\U000e0000-\\U000e007f]"
)


class Piece(NamedTuple):
    """A part of a text: words as they are, or the name of one sign that is not to be obeyed."""

    text: str
    is_sign: bool = False


def pieces(text: str) -> list[Piece]:
    """The text in parts, each such sign as its name, as in U+202E."""
    found, at = [], 0
    for sign in OBEYED.finditer(text):
        if sign.start() > at:
            found.append(Piece(text[at : sign.start()]))
        found.append(Piece(f"U+{ord(sign[0]):04X}", is_sign=True))
        at = sign.end()
    if at < len(text):
        found.append(Piece(text[at:]))
    return found
