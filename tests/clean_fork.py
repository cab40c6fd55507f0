"""What the process has imported that tests fork (`tests.forked`). It has one thread: nobody holds a lock."""

import pytest

from tests import imported, quick_rounds

__all__ = ["imported"]

quick_rounds.patch_dagster(pytest.MonkeyPatch())
quick_rounds.patch_ours(pytest.MonkeyPatch())
