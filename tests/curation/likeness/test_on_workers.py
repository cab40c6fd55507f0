"""Near duplicates by several workers are those of this process: the same scores, rows and nearest rows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.curation.likeness import on_workers, similarity_join
from tests.engine import WORDS, Here


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), max_size=40),
    st.sampled_from([0.0, 0.5, 0.8, 1.0]),
    st.integers(0, 10),
    st.booleans(),
)
def test_any_small_set(texts: list[str], at_most: float, earlier: int, keep_all: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for module in (on_workers, similarity_join):
            patch.setattr(module, "BLOCK", 7)
        given = (texts, at_most, min(earlier, len(texts)), (1, 3), keep_all)
        wanted, found = similarity_join.near(*given), on_workers.near(Here(), *given)
    assert [of.tolist() for of in found] == [of.tolist() for of in wanted]
