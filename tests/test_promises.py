"""The tests that docs/promises.md names exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_each_promise_has_its_test() -> None:
    text = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("|") and "---" not in line]
    promises = [line for line in rows if not line.startswith("| promise |")]
    assert len(promises) > 10
    for line in promises:
        named = re.findall(r"`(tests/\S+\.py)::(\w+)`", line)
        assert named, f"no test shows: {line}"
        for file, test in named:
            tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
            defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            assert test in defined, f"{file} has no {test}"
