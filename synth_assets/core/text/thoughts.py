"""What a reasoning model thought before it answered, where that stands in the text of its answer."""

from __future__ import annotations

from typing import NamedTuple

TAGS = (  # beginning and end, as models write them: DeepSeek, Qwen and most others; Magistral; Kimi
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
)


class Apart(NamedTuple):
    """An answer's text without its thoughts; `ended` is False when it broke off inside them."""

    text: str
    thoughts: str | None = None
    ended: bool = True


def apart(text: str) -> Apart:
    """Takes off the blocks that the text begins with, or all up to a lone end: the prompt templates of some
    models hold the beginning. A block inside the text is the author's own, and stays."""
    for begin, end in TAGS:
        if end not in text and begin not in text:
            continue
        inside, ended, rest = text.partition(end)
        leads = inside.lstrip().startswith(begin)
        if not leads and (begin in inside or not ended):
            continue
        thoughts = inside.strip().removeprefix(begin).strip()
        while ended and rest.lstrip().startswith(begin):
            more, ended, rest = rest.lstrip().removeprefix(begin).partition(end)
            thoughts += f"\n\n{more.strip()}"
        return Apart(rest.lstrip(), thoughts, bool(ended))
    return Apart(text)
