"""One module a stage, from the seeds to the feedback; their tables and views."""
