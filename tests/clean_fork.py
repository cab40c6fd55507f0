"""What the process has imported that tests fork (`tests.forked`). It has one thread: nobody holds a lock."""

from importlib import import_module

import pytest

from tests import quick_rounds

for name in (
    *("synth_assets.cli", "synth_assets.code_location", "pandas", "pyarrow.parquet", "duckdb", "openai"),
    *("sklearn.linear_model", "matplotlib.pyplot"),
):
    import_module(name)
quick_rounds.patch_dagster(pytest.MonkeyPatch())
quick_rounds.patch_ours(pytest.MonkeyPatch())
