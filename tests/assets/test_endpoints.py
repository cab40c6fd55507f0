"""Whole rounds against endpoints that answer and refuse as real ones do."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from synth_assets.cli import main
from tests.assets.test_round import ROUND, ask
from tests.endpoint import Endpoint
from tests.resources.gateway.shapes import SHAPES, TEXT

PLAYED = (
    *("DeepSeek R1, thoughts in the text", "Qwen3, whose template holds the beginning", "Mistral, parts"),
    *("thoughts without an end", "DeepSeek, vLLM, SGLang", "thinking used all tokens"),
    *("all of it is thoughts", "a refusal in its field", "broken off by the provider"),
    *("ended with MAX_TOKENS", "ended with SAFETY", "ended with a word that nobody knows"),
)


def test_each_shape_of_an_answer_is_a_row_with_its_outcome(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    """Thoughts are in no row and in no rating; what broke off is asked once more; the trace tells it all."""
    edit("  duplicate: {}", "  judge: {at_least: 4}")
    turns, shapes = count(), {}

    def play(body: dict[str, Any]) -> Any:
        if "from 0 to 5" in body["messages"][-1]["content"]:
            said = "<think>Rating: 1 would be far too low</think>\n\n5"
            return {"choices": [{"finish_reason": "stop", "message": {"content": said}}]}
        name = shapes.setdefault(body["seed"], PLAYED[next(turns) % len(PLAYED)])
        return {"choices": [SHAPES[name].choice], "usage": {"prompt_tokens": 5, "completion_tokens": 30}}

    endpoint.play = play
    assert main(["run", "reviews", "--round", ROUND]) == 0
    made = ask(
        "select parameters, reason, g.text, g.error, thoughts "
        "from reviews.generations as g join reviews.calls using (call_id)"
    )
    assert len(made) == len(shapes) == len(PLAYED) == 12
    for parameters, reason, text, error, thoughts in made:
        shape = SHAPES[shapes[json.loads(parameters)["seed"]]]
        assert (reason or "ok", text or "", thoughts) == (shape.outcome, shape.text, shape.thoughts)
        assert shape.error in (error or "")
    twice = sum(SHAPES[name].outcome == "provider_error" for name in PLAYED)
    judged = 2  # the same text in two cells
    assert len(endpoint.requests) == 12 + twice + judged
    assert set(ask("select text, weight from reviews.weighted")) == {(TEXT, 1.0)}
    assert ask("select distinct judge from reviews.scores where judge is not null") == [(5.0,)]
    ((row,),) = ask(
        "select row_id from reviews.generations join reviews.calls using (call_id) "
        "where finish_reason like 'a word%'"
    )
    capsys.readouterr()
    assert main(["trace", row]) == 0
    assert "ended with a word that nobody knows" in capsys.readouterr().out
