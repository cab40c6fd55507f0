"""Annotation: whoever gives labels."""
