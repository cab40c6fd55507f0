"""Conditions: what each row is asked to be, and where those values come from."""
