"""Labels of rows: enhanced, relabelled, aggregated."""
