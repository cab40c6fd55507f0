"""What a field of a section is, in one line: the text that stands below it in its class.

Read from the source when somebody asks (`synth context`, `synth schema`), so that loading a recipe does not
pay for it. A plug-in may say it as `Field(description=...)` instead.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from functools import cache
from itertools import pairwise

from pydantic import BaseModel


def described(model: type[BaseModel]) -> dict[str, str]:
    """Field -> what it is, its own or its base's words; a field without any is left out."""
    found = {}
    for name, field in model.model_fields.items():
        words = [field.description, *(below(kind).get(name) for kind in model.__mro__)]
        if said := next((each for each in words if each), None):
            found[name] = " ".join(said.split())
    return found


def summary(kind: object) -> str:
    """The first sentence of a docstring, on one line."""
    first = " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())
    return re.split(r"(?<=[^.]\.)(?<!\bal\.)(?<!e\.g\.) ", first, maxsplit=1)[0]


@cache
def below(kind: type) -> dict[str, str]:
    """Attribute -> the text below it in the class; empty where there is no source: a notebook, a builtin."""
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    return {
        one.target.id: inspect.cleandoc(next_.value.value)
        for one, next_ in pairwise(body)
        if isinstance(one, ast.AnnAssign)
        and isinstance(one.target, ast.Name)
        and isinstance(next_, ast.Expr)
        and isinstance(next_.value, ast.Constant)
        and isinstance(next_.value.value, str)
    }
