"""synth-assets: synthetic text data sets as partitioned Dagster assets."""
