"""Answers as providers were seen to give them, in public reports of their clients: a line a report."""

from __future__ import annotations

from typing import Any, NamedTuple

TEXT = "Please help, my card was stolen."
THOUGHTS = "The user wants a question."


class Shape(NamedTuple):
    """A choice of an answer, and what it is to be: its outcome, text, thoughts, and words of its error."""

    choice: dict[str, Any]
    outcome: str = "ok"
    text: str = TEXT
    thoughts: str | None = None
    error: str = ""


def message(content: Any, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    """A choice of the chat API."""
    return {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **more}}


def _tool(arguments: str) -> dict[str, Any]:
    return {
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}]
    }


MISTRAL = {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHTS}]}
SHAPES = {
    "plain": Shape(message(TEXT)),
    "DeepSeek R1, thoughts in the text": Shape(
        message(f"<think>\n{THOUGHTS}\n</think>\n\n{TEXT}"), thoughts=THOUGHTS
    ),
    "Qwen3, whose template holds the beginning": Shape(
        message(f"{THOUGHTS}\n</think>\n\n{TEXT}"), thoughts=THOUGHTS
    ),
    "Magistral": Shape(message(f"[THINK]{THOUGHTS}[/THINK]{TEXT}"), thoughts=THOUGHTS),
    "Kimi": Shape(message(f"◁think▷{THOUGHTS}◁/think▷{TEXT}"), thoughts=THOUGHTS),
    "empty thoughts": Shape(message(f"<think>\n\n</think>\n\n{TEXT}")),
    "two blocks": Shape(message(f"<think>a</think>\n<think>b</think>\n{TEXT}"), thoughts="a\n\nb"),
    "a block inside the text is the author's own": Shape(
        message("Write <think>so</think> first."), text="Write <think>so</think> first."
    ),
    "thoughts without an end": Shape(
        message(f"<think>\n{THOUGHTS}"), "truncated", "", THOUGHTS, "left no answer: raise max_tokens"
    ),
    "DeepSeek, vLLM, SGLang": Shape(message(TEXT, reasoning_content=THOUGHTS), thoughts=THOUGHTS),
    "OpenRouter, Groq, Ollama": Shape(message(TEXT, reasoning=THOUGHTS), thoughts=THOUGHTS),
    "thinking used all tokens": Shape(
        message("", "length", reasoning_content=THOUGHTS),
        *("truncated", "", THOUGHTS, "thinking used 30 of 30 tokens and left no answer: raise max_tokens"),
    ),
    "all of it is thoughts": Shape(
        message(None, reasoning_content=THOUGHTS), "provider_error", "", THOUGHTS, "left no answer"
    ),
    "Mistral, parts": Shape(message([MISTRAL, {"type": "text", "text": TEXT}]), thoughts=THOUGHTS),
    "Anthropic, parts": Shape(
        message([{"type": "thinking", "thinking": THOUGHTS}, {"type": "text", "text": TEXT}]),
        thoughts=THOUGHTS,
    ),
    "two parts of text": Shape(message([{"type": "text", "text": "Please help, "}, "my card was stolen."])),
    "a refusal in its field": Shape(message(None, refusal="I cannot."), "refused", "I cannot."),
    "a refusal as a part": Shape(
        message([{"type": "refusal", "refusal": "I cannot."}]), "refused", "I cannot."
    ),
    "broken off by the provider": Shape(
        {**message("My card was refused at the sho", "error"), "error": {"code": 502, "message": "upstream"}},
        *("provider_error", "My card was refused at the sho", None, "502: upstream"),
    ),
    "vLLM, aborted": Shape(message("My", "abort"), "provider_error", "My", None, "ended with 'abort'"),
    **{
        f"ended with {reason}": Shape(message(TEXT, reason), outcome)
        for outcome, reasons in {
            "truncated": ("length", "max_tokens", "MAX_TOKENS", "model_length"),
            "refused": ("content_filter", "refusal", "safety", "SAFETY"),
            "ok": ("stop", "STOP", "end_turn", "eos", "COMPLETE", "a word that nobody knows", None),
        }.items()
        for reason in reasons
    },
    "a tool that nobody offered": Shape(
        message(None, "tool_calls", **_tool("{}")), "ok", "", None, "called the tool 'f'"
    ),
}
NO_ANSWERS = {  # whole bodies with status 200 -> words of the error
    "an error": ({"error": {"code": 502, "message": "upstream is away"}}, "502: upstream is away"),
    "no choices": ({"choices": []}, "without choices"),
    "choices null": ({"choices": None, "base_resp": {"status_msg": "busy"}}, "busy"),
    "a list": ([], "not an answer"),
    "null": (None, "not an answer"),
    "a picture": ({"choices": [message([{"type": "image_url"}])]}, "of the type 'image_url'"),
    "a number": ({"choices": [message(7)]}, "content is int"),
}
