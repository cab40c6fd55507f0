"""All filters by name. Importing this module is what makes them known."""

from synth_assets.curation import constraints, copies, judge, language, marks, personal, phrases, rules, sets
from synth_assets.curation.base import FILTERS, Context, Filter, keep

__all__ = [
    "FILTERS",
    "Context",
    "Filter",
    "constraints",
    "copies",
    "judge",
    "keep",
    "language",
    "marks",
    "personal",
    "phrases",
    "rules",
    "sets",
]
