"""Prompts: Jinja templates in a sandbox, in which an unknown field is an error and never an empty string."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, meta, nodes
from jinja2.environment import TemplateExpression
from jinja2.sandbox import ImmutableSandboxedEnvironment

from synth_assets.core.asking import Message
from synth_assets.core.errors import UserError, unknown

CONTINUE = (
    "You continue texts. Answer with what comes next after the user's text, up to the end of that line, "
    "and with nothing else."
)


class _NoField(StrictUndefined):
    """What is no field of a demonstration or of an answer is said with those that there are."""

    @property
    def _undefined_message(self) -> str:
        within = self._undefined_obj
        known = within if isinstance(within, Mapping) else getattr(within, "__dict__", {})
        if not known or not isinstance(self._undefined_name, str):
            return super()._undefined_message
        return str(unknown("field", self._undefined_name, known)).rstrip(".")


ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=_NoField, trim_blocks=True, lstrip_blocks=True)


@cache
def _compiled(template: str) -> Template:
    try:
        return ENVIRONMENT.from_string(template)
    except TemplateSyntaxError as error:
        raise UserError(f"prompt, line {error.lineno}: {error.message}") from error


@cache
def expression(rule: str, what: str = "constraint") -> TemplateExpression:
    """A constraint or condition of a step, to be called with values. UserError when it is no expression."""
    try:
        return ENVIRONMENT.compile_expression(rule, undefined_to_none=False)
    except TemplateSyntaxError as error:
        fix = "write it without braces, with `==` for equal, and texts in quotes"
        raise UserError(
            f"{what} {rule!r} is no expression ({error.message}): {fix}.", "wrong_value", fix
        ) from error


@cache
def names_in(rule: str) -> frozenset[str]:
    """The values that an expression names."""
    expression(rule)
    return frozenset(meta.find_undeclared_variables(ENVIRONMENT.parse("{{ (" + rule + ") }}")))


def names(template: str) -> set[str]:
    """The fields that a template uses."""
    return meta.find_undeclared_variables(_compiled(template).environment.parse(template))


def check_expression(rule: str, known: Mapping[str, Sequence[str] | None], where: str, what: str) -> None:
    """The same as `check`, of an expression that the message calls `what`."""
    expression(rule, what)
    check("{{ (" + rule + ") }}", known, where, f"name in `{what}`")


def check(
    template: str,
    known: Mapping[str, Sequence[str] | None],
    where: str,
    what: str = "field in the prompt",
) -> None:
    """Raise UserError when the template uses a field that is not among `known`. What follows `if FIELD is
    defined` is not looked at where the field is not.

    A field with parts is an answer with fields: `known` has their names, and the template has to name one.
    """
    try:
        parsed = _compiled(template).environment.parse(template)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    for branch in parsed.find_all(nodes.If):
        test: Any = branch.test
        is_it = isinstance(test, nodes.Test) and test.name == "defined" and isinstance(test.node, nodes.Name)
        if is_it and test.node.name not in known:
            branch.test, branch.body = nodes.Const(False), []
    for field in sorted(meta.find_undeclared_variables(parsed)):
        if field not in known:
            raise unknown(what, field, known, where)
        if parts := known[field]:
            _check_parts(parsed, field, parts, where)


def _check_parts(parsed: nodes.Template, field: str, parts: Sequence[str], where: str) -> None:
    named = set()  # the places in which a part follows
    places: Iterable[Any] = parsed.find_all((nodes.Getattr, nodes.Getitem))
    for place in places:
        if isinstance(place.node, nodes.Name) and place.node.name == field:
            named.add(id(place.node))
            part = place.attr if isinstance(place, nodes.Getattr) else getattr(place.arg, "value", parts[0])
            if part not in parts:
                raise unknown(f"field of {field}", part, parts, where)
    if any(name.name == field and id(name) not in named for name in parsed.find_all(nodes.Name)):
        whole = " or ".join(f"{field}.{part}" for part in parts)
        raise UserError(f"{where}: {field} has fields: write {whole}.")


def render(template: str, fields: Mapping[str, Any]) -> str:
    """The template with its fields filled in. Raises UserError when that fails."""
    compiled = _compiled(template)
    try:
        return compiled.render(fields)
    except Exception as error:  # a template is a program: 1 / rating may divide by zero
        named = " Known: " in str(error)  # of what stands inside a field
        known = "" if named else f" Known fields: {', '.join(sorted(fields))}."
        raise UserError(f"the prompt cannot be rendered: {error}.{known}") from error


def completion(text: str, api: str) -> list[Message]:
    """A text to go on with, for a model that completes, or said in words to a model that chats."""
    user = {"role": "user", "content": text.rstrip()}
    return [user] if api == "completions" else [{"role": "system", "content": CONTINUE}, user]


def chat(text: str, role: str) -> list[Message]:
    """A chat message, under the task's role if it has one."""
    system: list[Message] = [{"role": "system", "content": role}] if role else []
    return [*system, {"role": "user", "content": text.strip()}]
