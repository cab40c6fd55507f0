"""All filters by name. Importing this package is what makes them known."""

from synth_assets.contracts.filter import FILTERS
from synth_assets.curation.filters import (
    constraints,
    copies,
    duplicates,
    judge,
    label_agreement,
    language,
    marks,
    personal,
    phrases,
    rules,
    students,
)

__all__ = [
    "FILTERS",
    "constraints",
    "copies",
    "duplicates",
    "judge",
    "label_agreement",
    "language",
    "marks",
    "personal",
    "phrases",
    "rules",
    "students",
]
