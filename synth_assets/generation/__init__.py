"""Generation: conditions, prompts and steps, as plain functions on tables."""
