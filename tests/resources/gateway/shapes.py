"""Answers as providers were seen to give them, in public reports of their clients: a line a report."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from tests.endpoint import Played

TEXT = "Please help, my card was stolen."
THOUGHTS = "The user wants a question."
OUT_OF_ROOM = "model_context_window_exceeded"


class Shape(NamedTuple):
    """A choice of an answer, and what it is to be: its outcome, text, thoughts, and words of its error."""

    choice: dict[str, Any]
    outcome: str = "ok"
    text: str = TEXT
    thoughts: str | None = None
    error: str = ""


def message(content: Any, finish: Any = "stop", **more: Any) -> dict[str, Any]:
    """A choice of the chat API."""
    return {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **more}}


def _tool(arguments: str) -> dict[str, Any]:
    return {
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}]
    }


BLOCK = {"type": "text", "text": TEXT}
SUMMARY = {"type": "reasoning", "summary": [{"type": "summary_text", "text": THOUGHTS}]}
MISTRAL = {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHTS}]}
SHAPES = {
    "plain": Shape(message(TEXT)),
    "an answer as of a stream": Shape({"finish_reason": "stop", "delta": {"content": TEXT}}),
    "DeepSeek R1, thoughts in the text": Shape(
        message(f"<think>\n{THOUGHTS}\n</think>\n\n{TEXT}"), thoughts=THOUGHTS
    ),
    "Qwen3, whose template holds the beginning": Shape(
        message(f"{THOUGHTS}\n</think>\n\n{TEXT}"), thoughts=THOUGHTS
    ),
    "Magistral": Shape(message(f"[THINK]{THOUGHTS}[/THINK]{TEXT}"), thoughts=THOUGHTS),
    "Kimi": Shape(message(f"◁think▷{THOUGHTS}◁/think▷{TEXT}"), thoughts=THOUGHTS),
    "Seed": Shape(message(f"<seed:think>{THOUGHTS}</seed:think>{TEXT}"), thoughts=THOUGHTS),
    "another name of the tag": Shape(message(f"<Thinking>{THOUGHTS}</Thinking>\n{TEXT}"), thoughts=THOUGHTS),
    "Command A": Shape(
        message(f"<|START_THINKING|>{THOUGHTS}<|END_THINKING|><|START_RESPONSE|>{TEXT}<|END_RESPONSE|>"),
        thoughts=THOUGHTS,
    ),
    "gpt-oss, whose signs the server left": Shape(
        message(
            f"<|channel|>analysis<|message|>{THOUGHTS}<|end|><|start|>assistant"
            f"<|channel|>final<|message|>{TEXT}<|return|>"
        ),
        thoughts=THOUGHTS,
    ),
    **{
        f"{name}, thoughts in the text": Shape(message(text), thoughts=THOUGHTS)
        for name, text in {
            "Gemini": f"<thought>\n{THOUGHTS}\n</thought>\n{TEXT}",
            "LongCat": f"<longcat_think>{THOUGHTS}</longcat_think>{TEXT}",
            "a tag with an attribute": f'<think time="3">{THOUGHTS}</think>{TEXT}',
            "Gemma 4": f"<|channel>thought\n{THOUGHTS}\n<channel|>{TEXT}",
            "OpenThinker": f"<|begin_of_thought|>{THOUGHTS}<|end_of_thought|>\n\n"
            f"<|begin_of_solution|>\n{TEXT}\n<|end_of_solution|>",
            "Apertus": f"<|inner_prefix|>{THOUGHTS}<|inner_suffix|>{TEXT}",
            "Solar": f"<|think|>{THOUGHTS}<|end|><|begin|>assistant<|content|>{TEXT}<|end|>",
            "Command A, whose template holds the beginning": f"{THOUGHTS}<|END_THINKING|>"
            f"<|START_RESPONSE|>{TEXT}<|END_RESPONSE|>",
            "gpt-oss, JSON": f"<|channel|>analysis<|message|>{THOUGHTS}<|end|><|start|>assistant"
            f"<|channel|>final <|constrain|>json<|message|>{TEXT}",
            "gpt-oss, a comment": f"<|channel|>commentary<|message|>{THOUGHTS}<|end|>"
            f"<|channel|>final<|message|>{TEXT}",
            "gpt-oss, without its signs": f"analysis{THOUGHTS}assistantfinal{TEXT}",
            "Granite": f"Here is my thought process:\n\n{THOUGHTS}\n\nHere is my response:\n\n{TEXT}",
            "Hunyuan": f"<think>\n{THOUGHTS}\n</think>\n<answer>\n{TEXT}\n</answer>",
            "GLM": f"<think>{THOUGHTS}</think><|begin_of_box|>{TEXT}<|end_of_box|>",
        }.items()
    },
    "Gemma 4, thoughts without an end": Shape(
        message(f"<|channel>thought\n{THOUGHTS}"), "truncated", "", THOUGHTS, "left no answer"
    ),
    "a list whose text holds the thoughts": Shape(
        message([{"type": "text", "text": f"<think>{THOUGHTS}</think>{TEXT}"}]), thoughts=THOUGHTS
    ),
    "Qwen, whose end of a turn the server left": Shape(message(f"{TEXT}<|im_end|>\n<|endoftext|>")),
    "empty thoughts twice": Shape(message(f"</think></think>{TEXT}")),
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
    **{
        f"{name}, thoughts among the parts": Shape(message([part, BLOCK]), thoughts=THOUGHTS)
        for name, part in {
            "Databricks": SUMMARY,
            "Bedrock": {"reasoningContent": {"reasoningText": {"text": THOUGHTS}}},
            "Gemini": {"type": "text", "text": THOUGHTS, "thought": True},
            "SGLang": {"type": "reasoning_content", "reasoning_content": THOUGHTS},
        }.items()
    },
    **{
        f"{name}, beside the text": Shape(message([part, BLOCK]))
        for name, part in {
            "Mistral, a reference": {"type": "reference", "reference_ids": [1]},
            "a kind of part that nobody knows": {"type": "new", "text": "what is this?"},
            "a part that is null": {"type": "text", "text": None},
        }.items()
    },
    "a part that holds parts": Shape(message([{"type": "message", "content": [BLOCK]}])),
    "a part whose text is a value": Shape(message([{"type": "text", "text": {"value": TEXT}}])),
    **{
        f"{name}, nothing but thoughts": Shape(
            message("", **{field: blocks}), "provider_error", "", THOUGHTS, "left no answer"
        )
        for name, field, blocks in (
            ("OpenRouter", "reasoning_details", [{"type": "reasoning.text", "text": THOUGHTS}]),
            ("OpenRouter, o3", "reasoning_details", [{"type": "reasoning.summary", "summary": THOUGHTS}]),
            ("LiteLLM", "thinking_blocks", [{"type": "thinking", "thinking": THOUGHTS, "signature": "x"}]),
            ("Ollama", "reasoning", {"content": THOUGHTS}),
        )
    },
    "TGI, why it ended is an object": Shape(message(TEXT, {"type": "length", "length": 30}), "truncated"),
    "two parts of text": Shape(message([{"type": "text", "text": "Please help, "}, "my card was stolen."])),
    "a refusal in its field": Shape(message(None, refusal="I cannot."), "refused", "I cannot."),
    "a refusal as a part": Shape(
        message([{"type": "refusal", "refusal": "I cannot."}]), "refused", "I cannot."
    ),
    "broken off by the provider": Shape(
        {**message("My card was refused at the sho", "error"), "error": {"code": 502, "message": "upstream"}},
        *("provider_error", "My card was refused at the sho", None, "502: upstream"),
    ),
    **{
        f"broken off with {reason}": Shape(message(TEXT, reason), "provider_error", error="ended with")
        for reason in (
            "server_error",
            "overloaded",
            "rate_limit",
            "insufficient_system_resource",
            "not_finished",
        )
    },
    "vLLM, aborted": Shape(message("My", "abort"), "provider_error", "My", None, "ended with 'abort'"),
    **{
        f"ended with {reason}": Shape(message(TEXT, reason), outcome)
        for outcome, reasons in {
            "truncated": (
                *("length", "max_tokens", "MAX_TOKENS", "model_length", "token_limit", OUT_OF_ROOM),
                *("maxTokens", "length_limit", "context_length_exceeded", "ERROR_LIMIT"),
            ),
            "refused": (
                *("content_filter", "content-filter", "refusal", "safety", "SAFETY", "RECITATION"),
                *("contentFilter", "blocked", "ERROR_TOXIC", "content_filter: PROHIBITED_CONTENT"),
            ),
            "ok": ("stop", "STOP", "end_turn", "eos", "COMPLETE", "a word that nobody knows", None),
        }.items()
        for reason in reasons
    },
    "Gemini, a call of a tool that is none": Shape(
        message(None, "function_call_filter: MALFORMED_FUNCTION_CALL"),
        *("provider_error", "", None, "ended with 'function_call_filter: MALFORMED_FUNCTION_CALL'"),
    ),
    "Gemini, no text and no reason": Shape(
        message("", "OTHER"), "provider_error", "", None, "ended with 'OTHER', without a text"
    ),
    "nothing, and all is well": Shape(message("", "stop"), "ok", ""),
    "no message": Shape({"index": 0, "finish_reason": "stop", "message": None}, "ok", ""),
    "a refusal that is empty": Shape(message(TEXT, refusal="")),
    "a part that stands alone": Shape(message({"type": "text", "text": TEXT})),
    "OpenRouter, moderated in the middle": Shape(
        {**message("My"), "error": {"code": 403, "message": "Output was flagged"}},
        *("refused", "My", None, "403: Output was flagged"),
    ),
    "log-probabilities that are none": Shape({**message(TEXT), "logprobs": {"content": None}}),
    "log-probabilities without a token": Shape(
        {**message(TEXT), "logprobs": {"content": [{"token": None, "logprob": -1, "bytes": [226]}]}}
    ),
    "a tool that nobody offered": Shape(
        message(None, "tool_calls", **_tool("{}")), "ok", "", None, "called the tool 'f'"
    ),
}
FINISHED = sorted({str(shape.choice["finish_reason"]) for shape in SHAPES.values()})
NO_ANSWERS = {  # whole bodies with status 200 -> words of the error
    "an error": ({"error": {"code": 502, "message": "upstream is away"}}, "502: upstream is away"),
    "no choices": ({"choices": []}, "without choices"),
    "choices null": ({"choices": None, "base_resp": {"status_msg": "busy"}}, "busy"),
    "a list": ([], "not an answer"),
    "null": (None, "not an answer"),
    "a picture": ({"choices": [message([{"type": "image_url"}])]}, "of the type 'image_url'"),
    "a number": ({"choices": [message(7)]}, "content is int"),
    "an object": ({"choices": [message({"text2": "so"})]}, "of the type None"),
    "vLLM, an error": ({"object": "error", "message": "no such thing", "code": 500}, "500: no such thing"),
    "one without a code": ({"error": {"message": "computer says no"}}, "computer says no"),
    "a stream": (
        Played(200, b'data: {"choices": [{"delta": {}}]}\n\ndata: [DONE]\n\n'),
        "a stream of events, which nobody asked for",
    ),
    "words": (Played(200, b"upstream connect error"), "no JSON: 'upstream connect error'"),
    "nothing": (Played(200, b""), "an empty answer"),
}


class Refused(NamedTuple):
    """A refusal, and what it concerns: see `refusals.Concern`."""

    status: int
    body: Any
    kind: str
    name: str = ""
    instead: Any = None

    def __call__(self, body: dict[str, Any]) -> Played | None:
        """What the provider says to a request, if it refuses it."""
        has = {
            "schema": body.get("response_format", {}).get("type") == "json_schema",
            "system": any(message["role"] == "system" for message in body["messages"]),
            "top_logprobs": body.get("top_logprobs", 0) > 5,
        }.get(self.name, self.name in body)
        return Played(self.status, self.body) if has else None


def _error(message: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


CONTEXT = (
    "This model's maximum context length is 4096 tokens. However, your messages resulted in 5012 tokens."
)
EXTRA = {
    "type": "extra_forbidden",
    "loc": ["body", "seed"],
    "msg": "Extra inputs are not permitted",
    "input": 7,
}
NO_LIMIT = "Unsupported parameter: 'max_tokens' is not supported with this model."
REASONING = f"{NO_LIMIT} Use 'max_completion_tokens' instead."
REFUSED = {
    # this prompt
    "OpenAI, context": Refused(400, _error(CONTEXT, "context_length_exceeded", "messages"), "prompt"),
    "llama.cpp, context": Refused(
        400, _error("the request exceeds the available context size (768 tokens)", "400"), "prompt"
    ),
    "llama.cpp, context, as its own fault": Refused(
        500, _error("Context size has been exceeded.", "500"), "prompt"
    ),
    "vLLM, context": Refused(
        400,
        _error("'max_tokens' is too large: 30. This model's maximum context length is 128 tokens"),
        "prompt",
    ),
    "Anthropic, context": Refused(
        400, _error("prompt is too long: 210000 tokens > 200000 maximum"), "prompt"
    ),
    "Groq, too large": Refused(
        413, _error("Request too large for model `x`: Limit 6000, Requested 7000"), "prompt"
    ),
    "Azure, with what its filter found": Refused(
        400,
        {
            "error": {
                "message": "The response was filtered due to the prompt triggering the management policy.",
                "code": "content_filter",
                "param": "prompt",
                "status": 400,
                "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}},
            }
        },
        "prompt",
    ),
    "vLLM, an error with its fields outside": Refused(
        400, {"object": "error", "message": CONTEXT, "type": "BadRequestError", "code": 400}, "prompt"
    ),
    "nginx, too large": Refused(413, "<html><head><title>413 Too Large</title></head></html>", "prompt"),
    "Moonshot": Refused(
        400, {"error": {"message": "The request was rejected", "type": "content_filter"}}, "prompt"
    ),
    "OpenAI, more than a minute's tokens": Refused(
        429,
        _error("Request too large for m on tokens per min (TPM): Limit 30000, Requested 31538.", "tokens"),
        "prompt",
    ),
    "an error inside of an answer": Refused(200, {"error": {"code": 400, "message": CONTEXT}}, "prompt"),
    "DeepSeek": Refused(400, _error("Content Exists Risk", "invalid_request_error"), "prompt"),
    "OpenAI, prompt": Refused(400, _error("Invalid prompt: it was not allowed", "invalid_prompt"), "prompt"),
    "Azure": Refused(400, _error("The response was filtered", "content_filter", "prompt"), "prompt"),
    "Alibaba": Refused(
        400, _error("Input data may contain bad content.", "data_inspection_failed"), "prompt"
    ),
    "OpenRouter, moderation": Refused(403, _error("Input was flagged by moderation", "403"), "prompt"),
    # what a request can do without
    "DeepSeek, schema": Refused(
        400, _error("This response_format type is unavailable now"), "feature", "schema", "words"
    ),
    "Mistral, schema": Refused(
        400, _error("Model m does not support structured outputs"), "feature", "schema", "words"
    ),
    "Ollama, schema": Refused(
        400,
        _error("json: cannot unmarshal object into Go struct field ChatRequest.format of type string"),
        *("feature", "schema", "words"),
    ),
    "Gemini, schema": Refused(
        400,
        [_error('Invalid JSON payload received. Unknown name "additionalProperties"')],
        "feature",
        "schema",
        "words",
    ),
    "DeepSeek, schema, another version": Refused(
        422,
        _error("Failed to deserialize the JSON body: response_format.type `json_schema` is unavailable now"),
        *("feature", "schema", "words"),
    ),
    "an error that is a text": Refused(
        400, {"error": "'response_format.type' must be 'text'"}, "feature", "schema", "words"
    ),
    "pydantic, seed": Refused(422, {"detail": [EXTRA]}, "feature", "seed"),
    "Mistral, seed": Refused(422, {"object": "error", "message": {"detail": [EXTRA]}}, "feature", "seed"),
    "Mistral, seed, JSON in a text": Refused(
        422, {"object": "error", "message": json.dumps({"detail": [EXTRA]})}, "feature", "seed"
    ),
    "Gemini, seed": Refused(
        400, _error('Invalid JSON payload received. Unknown name "seed"'), "feature", "seed"
    ),
    "OpenAI, limit": Refused(
        400,
        _error(REASONING, "unsupported_parameter", "max_tokens"),
        *("feature", "max_tokens", "max_completion_tokens"),
    ),
    "OpenAI, temperature": Refused(
        400,
        _error("Unsupported value: 'temperature' does not support 0 with this model", "unsupported_value"),
        *("feature", "temperature"),
    ),
    "no log-probabilities": Refused(400, _error("Logprobs is not enabled"), "feature", "logprobs"),
    "OpenAI, log-probabilities": Refused(
        403, _error("You are not allowed to request logprobs from this model"), "feature", "logprobs"
    ),
    "an old server, seed, as its own fault": Refused(
        500, _error("generate() got an unexpected keyword argument 'seed'"), "feature", "seed"
    ),
    "vLLM, fewer log-probabilities": Refused(
        400,
        _error("Requested sample logprobs of 20, which is greater than max allowed: 5"),
        *("feature", "top_logprobs", 5),
    ),
    "fewer log-probabilities": Refused(
        400, _error("top_logprobs must be <= 5, got 20"), "feature", "top_logprobs", 5
    ),
    "Gemma's template": Refused(400, _error("System role not supported"), "feature", "system", "user"),
    "Gemini, Gemma": Refused(
        400, _error("Developer instruction is not enabled for models/gemma-3"), "feature", "system", "user"
    ),
    # all prompts
    "a parameter of the user's": Refused(
        400, _error("Unrecognized request argument: top_k"), "parameter", "top_k"
    ),
    "Groq, what the model wrote is no JSON": Refused(
        400,
        {
            "error": {
                "message": "Failed to generate JSON. Please adjust your prompt.",
                "code": "json_validate_failed",
                "failed_generation": '{"text": ',
            }
        },
        "misfit",
    ),
    "a wrong key": Refused(401, _error("Incorrect API key provided"), "key"),
    "no credit": Refused(402, _error("Insufficient Balance"), "account"),
    "no quota": Refused(429, _error("You exceeded your current quota", "insufficient_quota"), "account"),
    "no such model": Refused(404, _error("The model `m` does not exist", "model_not_found"), "model"),
    "OpenAI, a model that is not yours": Refused(
        403, _error("Project `p` does not have access to model `m`", "model_not_found"), "model"
    ),
    "OpenAI, a country": Refused(403, _error("Country, region, or territory not supported"), "key"),
    "xAI, a wrong key": Refused(400, {"error": "Incorrect API key provided: xa***"}, "key"),
    "a web page that says no": Refused(403, "<title>Attention Required!</title>", "unsure", "key"),
    "no credit, inside of an answer": Refused(
        200, {"error": {"code": 402, "message": "Insufficient credits"}}, "account"
    ),
    "no such model, inside of an answer": Refused(
        200, {"error": {"code": "404", "message": "No endpoints found for m"}}, "model"
    ),
    "Ollama, no such model": Refused(404, {"error": "model 'm' not found"}, "model"),
    "a proxy": Refused(407, "", "proxy"),
    "nginx, TLS": Refused(400, "The plain HTTP request was sent to HTTPS port", "tls"),
    "DeepSeek, no such model": Refused(400, _error("Model Not Exist"), "model"),
    # for whoever asks to find out, or for later
    "words that nobody knows": Refused(400, _error("computer says no"), "unsure"),
    "too much": Refused(429, _error("slow down"), "heals"),
    **{
        f"status {status}": Refused(status, _error("Overloaded"), "heals")
        for status in (408, 409, 425, 499, 500, 502, 503, 504, 520, 522, 524, 529)
    },
}
