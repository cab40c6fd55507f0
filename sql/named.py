"""Named queries: the files of sql/queries, with what they answer and the parameters that they take.

-- Where does a row come from?
-- param: row_id  a row's id
select ... where row_id = $row_id
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from synth_assets.core.errors import UserError, unknown

QUERIES = Path(__file__).parent / "queries"
PARAMETER = re.compile(r"^-- param: (\w+)  (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Query:
    """A query that has a name."""

    name: str
    answers: str
    parameters: Mapping[str, str]  # name -> what it is
    sql: str

    def bind(self, given: Mapping[str, str]) -> dict[str, str]:
        """The parameters, if they are those of the query. UserError for a missing or an unknown one."""
        for name in given:
            if name not in self.parameters:
                raise unknown("parameter", name, self.parameters, f"query {self.name}")
        missing = [name for name in self.parameters if name not in given]
        if missing:
            words = "; ".join(f"--param {name}=... ({self.parameters[name]})" for name in missing)
            raise UserError(f"query {self.name} needs {words}")
        return dict(given)


def queries() -> dict[str, Query]:
    """Name -> query."""
    found = {}
    for path in sorted(QUERIES.glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        first = text.partition("\n")[0].removeprefix("-- ")
        found[path.stem] = Query(path.stem, first, dict(PARAMETER.findall(text)), text)
    return found


def query(name: str) -> Query:
    """UserError when there is none of this name."""
    known = queries()
    if name not in known:
        raise unknown("query", name, known, "--query")
    return known[name]


def parameters(pairs: Sequence[str]) -> dict[str, str]:
    """`["row_id=3f2a"]` as a mapping. UserError for a pair that is written otherwise, or given twice."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UserError(f"--param {pair!r}: write it as --param name=value.")
        if name in found:
            raise UserError(f"--param {name} is given twice.")
        found[name] = value
    return found
