"""What a reasoning model thought before it answered, where that stands in the text of its answer."""

from __future__ import annotations

import re
from typing import NamedTuple

TAGS = (  # beginning and end, as models write them, in capitals or not
    *((f"<{name}>", f"</{name}>") for name in ("think", "thinking", "thought", "reasoning", "seed:think")),
    ("[THINK]", "[/THINK]"),  # Magistral
    ("◁think▷", "◁/think▷"),  # Kimi
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),  # gpt-oss
)
BLOCKS = [tuple(re.compile(re.escape(tag), re.IGNORECASE) for tag in tags) for tags in TAGS]
# other signs of a model that its server left, where an answer begins with one
SIGNS = re.compile(r"<\|(?:start_response|end_response|start|end|return)\|>(?:assistant)?", re.IGNORECASE)


class Apart(NamedTuple):
    """An answer's text without its thoughts; `ended` is False when it broke off inside them."""

    text: str
    thoughts: str | None = None
    ended: bool = True


def apart(text: str) -> Apart:
    """Takes off the blocks that the text begins with, or all up to a lone end: the prompt templates of some
    models hold the beginning. A block inside the text is the author's own, and stays."""
    said = SIGNS.sub("", text) if text.lstrip().startswith("<|") else text
    for begin, end in BLOCKS:
        inside, ended, rest = _cut(said, end)
        leads = begin.match(inside.lstrip())
        if not leads and (begin.search(inside) or not ended):
            continue
        thoughts = [begin.sub("", inside.strip(), count=1) if leads else inside]
        while ended and begin.match(rest.lstrip()):
            more, ended, rest = _cut(begin.sub("", rest.lstrip(), count=1), end)
            thoughts.append(more)
        return Apart(rest.lstrip(), "\n\n".join(each.strip() for each in thoughts), ended)
    return Apart(text)


def _cut(text: str, end: re.Pattern[str]) -> tuple[str, bool, str]:
    """What is before the end, whether there is one, and what is behind it."""
    found = end.search(text)
    return (text[: found.start()], True, text[found.end() :]) if found else (text, False, "")
