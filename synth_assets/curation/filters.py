"""All filters by name. Importing this module is what makes them known."""

from synth_assets.curation import constraints, copies, judge, language, marks, personal, phrases, rules, sets
from synth_assets.curation.base import FILTERS, Context, Filter, ended, keep
from synth_assets.curation.named import named

__all__ = [
    "FILTERS",
    "Context",
    "Filter",
    "constraints",
    "copies",
    "ended",
    "judge",
    "keep",
    "language",
    "marks",
    "named",
    "personal",
    "phrases",
    "rules",
    "sets",
]
