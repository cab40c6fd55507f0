"""What a reasoning model thought before it answered, where that stands in the text of its answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from synth_assets.core.asking import Message

# beginning and end, as models write them, in capitals or not: DeepSeek, Qwen and most others; Magistral; Kimi
TAGS = (("<think>", "</think>"), ("[THINK]", "[/THINK]"), ("◁think▷", "◁/think▷"))
OTHERS = (  # which a prompt may ask for as well, and which older versions left in the answer
    *((f"<{name}>", f"</{name}>") for name in ("thinking", "thought", "reasoning", "seed:think")),
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),  # gpt-oss
)
# other signs of a model that its server left, where an answer begins with one
SIGNS = re.compile(r"<\|(?:start_response|end_response|start|end|return)\|>(?:assistant)?", re.IGNORECASE)

MARKED = re.compile(r"[<\[◁]")


class Apart(NamedTuple):
    """An answer's text without its thoughts; `ended` is False when it broke off inside them."""

    text: str
    thoughts: str | None = None
    ended: bool = True


def apart(text: str, asked: Sequence[Message] | None = None) -> Apart:
    """Takes off the blocks that the text begins with, or all up to a lone end: the prompt templates of some
    models hold the beginning. A block inside the text is the author's own, and stays; so does one of OTHERS
    whose tag the prompt (`asked`) has, or where the prompt is not known."""
    if not MARKED.search(text):
        return Apart(text)
    said = SIGNS.sub("", text) if text.lstrip().startswith("<|") else text
    prompt = "\n".join(message["content"] for message in asked or ()).lower()
    others = [tags for tags in OTHERS if asked is not None and tags[0].lower() not in prompt]
    for begin, end in map(_compiled, (*TAGS, *others)):
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


@cache
def _compiled(tags: tuple[str, str]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    begin, end = (re.compile(re.escape(tag), re.IGNORECASE) for tag in tags)
    return begin, end


def _cut(text: str, end: re.Pattern[str]) -> tuple[str, bool, str]:
    """What is before the end, whether there is one, and what is behind it."""
    found = end.search(text)
    return (text[: found.start()], True, text[found.end() :]) if found else (text, False, "")
