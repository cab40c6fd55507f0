"""python -m tests.golden_make [RECIPE ...]: write tests/golden anew, from the code as it is.

A changed file there says that users pay for answers again, or make stages again that they have. So it goes
with a change of an algorithm only, which shows in three places at once: another tag in its hashes (`row/1`
becomes `row/2`), a line in the table of docs/increments.md, and here. Code that only moves leaves it alone.
A recipe that is new or was edited in the gallery has a new file: name it, so that the others stay.
"""

from __future__ import annotations

import os
import sys

import pytest


def main(recipes: list[str]) -> int:
    os.environ["SYNTH_GOLDEN"] = "write"
    chosen = ["-k", " or ".join(f"[{recipe}]" for recipe in recipes)] if recipes else []
    return pytest.main(
        [
            "-q",
            "-n",
            "2",
            "tests/test_golden.py::test_the_identities_of_a_recipe_are_those_of_before",
            *chosen,
        ]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
