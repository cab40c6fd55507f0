"""A step of bad luck; `make chaos` has more of them, with a clock and a full disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import Chaos
from tests.endpoint import Endpoint, reviewer


@pytest.mark.slow
def test_rounds_under_bad_luck(tmp_path: Path) -> None:
    with Endpoint(say=reviewer) as endpoint:
        chaos = Chaos(tmp_path, endpoint, seed=263)
        chaos.step(0)
    assert chaos.happened["killed"] == chaos.happened["out of disk"] == 1
