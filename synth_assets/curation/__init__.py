"""Curation: scores, filters, duplicates, labels and weights, as plain functions on tables."""
