"""The call log: every model call, before its answer is used."""
