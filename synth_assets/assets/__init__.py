"""The Dagster layer: how stages are run, scheduled, watched and shown."""
