"""What the product imports in the end, so that a fork of this process has it."""

from importlib import import_module

for name in (
    *("synth_assets.cli", "synth_assets.code_location", "pandas", "pyarrow.parquet", "duckdb", "openai"),
    *("sklearn.linear_model", "matplotlib.pyplot"),
):
    import_module(name)
