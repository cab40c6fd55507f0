"""Prompts: Jinja templates in a sandbox, in which an unknown field is an error and never an empty string."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from synth_assets.errors import UserError, unknown

if TYPE_CHECKING:
    from jinja2 import Template

    from synth_assets.protocols import Message
    from synth_assets.recipe import Task

CONTINUE = (
    "You continue texts. Answer with what comes next after the user's text, up to the end of that line, "
    "and with nothing else."
)


@cache
def _compiled(template: str) -> Template:
    from jinja2 import StrictUndefined, TemplateSyntaxError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    try:
        return environment.from_string(template)
    except TemplateSyntaxError as error:
        raise UserError(f"prompt, line {error.lineno}: {error.message}") from error


def check(template: str, known: Sequence[str]) -> None:
    """Raise UserError when the template uses a field that is not among `known`."""
    from jinja2 import meta

    compiled = _compiled(template)
    for field in sorted(meta.find_undeclared_variables(compiled.environment.parse(template))):
        if field not in known:
            raise unknown("field in the prompt", field, known)


def render(template: str, fields: Mapping[str, Any]) -> str:
    """The template with its fields filled in. Raises UserError when that fails."""
    from jinja2 import TemplateError

    try:
        return _compiled(template).render(fields)
    except TemplateError as error:
        raise UserError(
            f"the prompt cannot be rendered: {error}. Known fields: {', '.join(sorted(fields))}."
        ) from error


def task_fields(task: Task) -> dict[str, Any]:
    """What a template may say about the task itself (e_task of the prompt triple, Eq. 1)."""
    return {
        "role": task.role,
        "instruction": task.instruction,
        "text_type": task.text,
        "label_type": task.label,
        "definitions": {name: label.definition for name, label in task.classify.items()},
        "verbalizers": task.verbalizers(),
    }


def completion(text: str, api: str) -> list[Message]:
    """A text to go on with, for a model that completes, or said in words to a model that chats."""
    user = {"role": "user", "content": text.rstrip()}
    return [user] if api == "completions" else [{"role": "system", "content": CONTINUE}, user]


def chat(text: str, role: str) -> list[Message]:
    """A chat message, under the task's role if it has one."""
    system: list[Message] = [{"role": "system", "content": role}] if role else []
    return [*system, {"role": "user", "content": text.strip()}]
