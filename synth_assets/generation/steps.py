"""A step: render the prompts of a condition table, ask the model, parse the answers into rows.

A call that failed is a row with its reason, never a missing row and never an empty text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from synth_assets.generation import prompts

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.protocols import Answer, Completes, Message
    from synth_assets.recipe import Step, Task


def fields(task: Task, attributes: list[str]) -> list[str]:
    """The names that a step's template may use."""
    return [*prompts.task_fields(task), "label", "definition", "verbalizer", "demonstrations", *attributes]


def messages(
    step: Step, task: Task, conditions: pd.DataFrame, seeds: pd.DataFrame, api: str
) -> Iterator[list[Message]]:
    """The rendered messages of each condition row (p = E(e_task, e_condition, e_demo), Eq. 1)."""
    common, verbalizers = prompts.task_fields(task), task.verbalizers()
    seed_rows = {r["row_id"]: {"text": r["text"], "label": r["label"]} for r in seeds.to_dict("records")}
    for row in conditions.to_dict("records"):
        text = prompts.render(
            step.template,
            {
                **common,
                **row,
                "definition": task.classify[row["label"]].definition,
                "verbalizer": verbalizers[row["label"]],
                "demonstrations": [seed_rows[i] for i in row["demonstration_ids"]],
            },
        )
        yield prompts.chat(text, task.role) if step.prompt is not None else prompts.completion(text, api)


def run(
    step: Step, task: Task, conditions: pd.DataFrame, seeds: pd.DataFrame, model: Completes
) -> pd.DataFrame:
    """One generated row a condition row, in the same order: accepted, or rejected with the reason.

    Rows are asked in the table's order, in which neighbours show different demonstrations: an inference
    server then reads each of these prefixes about once, and not once in every slot.
    """
    answers = model.complete(
        list(messages(step, task, conditions, seeds, model.api)),
        step.sampling(),
        [f"{r.round}/{r.cell}/{r.replicate}" for r in conditions.itertuples()],
    )
    dropped = ["replicate", "demonstration_set", "demonstration_ids"]
    return conditions.drop(columns=dropped).assign(**_parsed(answers, one_line="\n" in step.stop))


def _parsed(answers: Any, one_line: bool) -> dict[str, list[Any]]:
    texts = [_clean(a, one_line) for a in answers]
    return {
        "text": texts,
        "reason": [_reason(a, t) for a, t in zip(answers, texts, strict=True)],
        "call_id": [a.identity for a in answers],
        "prompt_tokens": [a.prompt_tokens for a in answers],
        "completion_tokens": [a.completion_tokens for a in answers],
    }


def _clean(answer: Answer, one_line: bool) -> str | None:
    """The answer without white space around it; its first line where a line was asked for."""
    text = (answer.text or "").strip()
    return (text.splitlines()[0].strip() if one_line and text else text) or None


def _reason(answer: Answer, text: str | None) -> str | None:
    """Why the row is rejected, or None when it is accepted."""
    if answer.outcome != "ok":
        return answer.outcome
    return None if text else "empty"
