"""What a reasoning model thought before it answered, where that stands in the text of its answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from synth_assets.core.asking import Message

# patterns of beginning and end, in capitals or not: DeepSeek, Qwen and most others; Magistral; Kimi
TAGS = ((r"<think(?:\s[^<>]*)?>", r"</think\s*>"), (r"\[THINK\]", r"\[/THINK\]"), ("◁think▷", "◁/think▷"))
# patterns of others, which a prompt may ask for as well, and which older versions left in the answer
OTHERS = (
    (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),  # Command A
    (  # gpt-oss
        r"<\|channel\|>(?:analysis|commentary)[^<]*<\|message\|>",
        r"<\|channel\|>final[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>",
    ),
    (r"<\|channel>thought\s", r"<channel\|>"),  # Gemma 4
    (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),  # OpenThinker
    (r"<\|inner_prefix\|>", r"<\|inner_suffix\|>"),  # Apertus
    (r"<\|think\|>", r"<\|content\|>"),  # Solar
)
# and of other names of the tag: <thinking>, <thought>, <reasoning>, <seed:think>, <longcat_think>
NAMED = re.compile(r"</?([\w:]*(?:think|thought|reasoning)[\w:]*|analysis|scratchpad|reflection)\b", re.I)
# thoughts and answer in plain words: gpt-oss, where the server took its signs off; Granite
SPOKEN = re.compile(
    r"\s*(?:analysis(.*?)assistantfinal|here(?:'s| is) my thought process:(.*?)here(?:'s| is) my response:)",
    re.DOTALL | re.IGNORECASE,
)
# other signs of a model that its server left, where its answer or its thoughts have some
SIGNED = re.compile(r"\s*<\||.*<\|end_thinking\|>", re.DOTALL | re.IGNORECASE)
SIGNS = re.compile(
    r"<\|(?:(?:start|end)_response|(?:begin|end)_of_solution|start|begin|end|return)\|>(?:assistant)?",
    re.IGNORECASE,
)
# the end of a turn, which a server that does not know the model leaves behind its answer
TURN = re.compile(r"\s*(<\|(?:im_end|eot_id|eom_id|end|endoftext|end_of_text|return)\|>|<end_of_turn>)\s*\Z")
# what some models put around an answer behind their thoughts: Hunyuan, ERNIE; GLM
AROUND = re.compile(
    r"\s*(<(answer|response|output)>|<\|begin_of_box\|>)((?:(?!</\2>|<\|end_of_box\|>).)*)"
    r"(?:</\2>|<\|end_of_box\|>)?\s*",
    re.DOTALL | re.IGNORECASE,
)
MARKED = re.compile(r"[<\[◁]")


class Apart(NamedTuple):
    """An answer's text without its thoughts; `ended` is False when it broke off inside them."""

    text: str
    thoughts: str | None = None
    ended: bool = True


def apart(text: str, asked: Sequence[Message] | None = None) -> Apart:
    """Takes off the blocks that the text begins with, or all up to a lone end: the prompt templates of some
    models hold the beginning. A block inside the text is the author's own, and stays; so does one of OTHERS
    whose tag the prompt (`asked`) has, or where the prompt is not known. Signs of the model that its server
    left go too."""
    if asked is not None and (spoken := SPOKEN.match(text)):
        return Apart(text[spoken.end() :].lstrip(), (spoken[1] or spoken[2] or "").strip())
    if not MARKED.search(text):
        return Apart(text)
    prompt = "\n".join(message["content"] for message in asked or ())
    while asked is not None and (turn := TURN.search(text, len(text) - 40)) and turn[1] not in prompt:
        text = text[: turn.start()]
    said = SIGNS.sub("", text).rstrip() if SIGNED.match(text) else text
    names = [*dict.fromkeys(NAMED.findall(said))][:8]  # a model has one or two
    others = (*OTHERS, *map(_named, names)) if asked is not None else ()
    for tags in (*TAGS, *others):
        begin, end = _compiled(tags)
        inside, ended, rest = _cut(said, end)
        leads = begin.match(inside.lstrip())
        if not leads and (begin.search(inside) or not ended):
            continue
        if tags not in TAGS and begin.search(prompt):
            continue
        thoughts = [begin.sub("", inside.strip(), count=1) if leads else inside]
        while ended and begin.match(rest.lstrip()):
            more, ended, rest = _cut(begin.sub("", rest.lstrip(), count=1), end)
            thoughts.append(more)
        around = AROUND.fullmatch(rest)
        if asked is not None and around and around[1].lower() not in prompt.lower():
            rest = around[3].rstrip()
        return Apart(rest.lstrip(), "\n\n".join(each.strip() for each in thoughts), ended)
    return Apart(text)


def _named(name: str) -> tuple[str, str]:
    """The tags of this name, the first with or without attributes."""
    return rf"<{name}(?:\s[^<>]*)?>", rf"</{name}\s*>"


@lru_cache(maxsize=64)
def _compiled(tags: tuple[str, str]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    begin, end = (re.compile(tag, re.IGNORECASE) for tag in tags)
    return begin, end


def _cut(text: str, end: re.Pattern[str]) -> tuple[str, bool, str]:
    """What is before the end, whether there is one, and what is behind it."""
    found = end.search(text)
    return (text[: found.start()], True, text[found.end() :]) if found else (text, False, "")
